//! What is handed out for records: what policies read, and nothing else.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::random::Random;
use super::world::{Servers, World, calling, facts, subject};
use crate::mcp::{Operation, ResourceMethod};
use crate::policy::Question;
use crate::policy::evaluate::{Conclusion, Refusal};
use crate::policy::overlay::Overlay;
use crate::policy::stepup::Published;
use crate::policy::subject::ScopeHierarchy;
use crate::policy::values::{MAX_READINGS, Value, names, path};

const CATALOG: &str = r#"{"tools": [
    {"name": "tool", "inputSchema": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}, "ratio": {"type": "number"}, "on": {"type": "boolean"},
        "a-b": {"type": "string"}, "in": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}},
        "to": {"type": "object", "properties": {"name": {"type": "string"}, "street": {"type": "object", "properties": {"no": {"type": "integer"}}}}},
        "rows": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "string"}}}},
        "path": {"type": "string"}, "url": {"type": "string"},
        "paths": {"type": "array", "items": {"type": "string"}}, "urls": {"type": "array", "items": {"type": "string"}}}}},
    {"name": "other", "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}}}]}"#;

const OVERLAYS: [(&str, &str, Overlay); 4] = [
    ("tool", "path", Overlay::Path),
    ("tool", "paths", Overlay::Path),
    ("tool", "url", Overlay::Url),
    ("tool", "urls", Overlay::Url),
];

/// Somebody with every claim.
const ADA: &str = r#""sub":"ada","client_id":"agent","jti":"the-token","acr":"gold","amr":["pwd","otp"],"act":{"client_id":"bot"},
    "scope":"read","department":"forecasts","clearance":3,"ratio":0.50,"labels":["x","y"]"#;

/// A client that acts for itself, with a claim.
const AGENT: &str = r#""sub":"agent","client_id":"agent","department":"machines""#;

static SERVERS: LazyLock<Servers> = LazyLock::new(|| Servers::overlaid(&[("s", Some(CATALOG), &[])], &OVERLAYS));

fn asked(world: &World, claims: &str, operation: &Operation<'_>) -> Conclusion {
    let hierarchy = ScopeHierarchy::default();
    let subject = subject(claims, &hierarchy);
    let (facts, published) = (facts(), Published { scopes: &[], repeat_held: true });
    let server = &world.servers[0];
    let question = Question { subject: &subject, hierarchy: &hierarchy, server, operation, facts: &facts, published };
    world.engine.evaluate(&question, &mut Vec::new())
}

/// Values by their paths, as short text: each path once.
#[track_caller]
fn told(conclusion: &Conclusion) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for (path, value) in conclusion.values.iter() {
        assert_eq!(told.insert(path.to_owned(), short(value)), None, "{path} twice");
    }
    told
}

fn short(value: &Value) -> String {
    match value {
        Value::Absent => "absent".to_owned(),
        Value::Presence(truth) => format!("present {truth}"),
        Value::Unfit => "unfit".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Moment(time) => format!("@{}", time.seconds()),
        Value::Text(text) => format!("{text:?}"),
        Value::List(items) => format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", ")),
    }
}

/// Policies in full, or conditions of a permit for the call of the tool.
fn policies(texts: &[&str]) -> Vec<String> {
    let full = |(at, text): (usize, &&str)| {
        if text.contains("principal,") {
            format!("@id(\"p{at}\") {text}")
        } else {
            format!("@id(\"p{at}\") permit (principal, action == Action::\"s:tool\", resource) when {{ {text} }};")
        }
    };
    texts.iter().enumerate().map(full).collect()
}

/// The call of the tool with `arguments` by a caller with `claims`, under the policies `texts`: what is told of it.
#[track_caller]
fn check(texts: &[&str], claims: &str, arguments: &str, expected: &[(&str, &str)]) {
    let world = SERVERS.under(&policies(texts));
    let conclusion = calling("tool", arguments, |operation| asked(&world, claims, operation));
    let expected = expected.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    assert_eq!(told(&conclusion), expected, "{texts:?} over {arguments}");
    assert_eq!(conclusion.values.left_out(), 0);
}

const ALL: &str = r#"{"city":"Oslo","days":3,"ratio":1.50,"on":true,"a-b":"x","in":"y","tags":["b","a"],
    "to":{"name":"N","street":{"no":7},"secret":"not declared"},"rows":[{"x":1,"y":"one","secret":"not declared"},{}],
    "path":"/data/a.txt","url":"https://api.example:8443/v1?key=hidden","paths":["/data/a","/data/b"],
    "urls":["https://a.example/x?key=hidden","http://b.example/"],"more":[1]}"#;

#[test]
fn arguments_are_told_as_they_are_read() {
    let argument = |name: &str| format!("context.arguments.{name}");
    for (condition, expected) in [
        ("true", &[][..]),
        ("context.arguments.city == \"x\"", &[("city", "\"Oslo\"")]),
        (
            "context.arguments.city like \"O*\" && context.arguments has days",
            &[("city", "\"Oslo\""), ("days", "present true")],
        ),
        ("context.arguments has days && context.arguments.days > 1", &[("days", "3")]),
        ("context.arguments has on && context.arguments.on", &[("on", "true")]),
        ("context.arguments has ratio && context.arguments.ratio.lessThan(decimal(\"2.0\"))", &[("ratio", "\"1.5\"")]),
        ("context.arguments has tags && context.arguments.tags.contains(\"a\")", &[("tags", "[\"b\", \"a\"]")]),
        ("context.arguments has to.name && context.arguments.to.name == \"N\"", &[("to.name", "\"N\"")]),
        ("context.arguments has to.street", &[("to.street", "present true")]),
        (
            "context.arguments has to && context.arguments.to == context.arguments.to",
            &[("to.name", "\"N\""), ("to.street.no", "7")],
        ),
        (
            "context.arguments has rows && context.arguments.rows.isEmpty()",
            &[("rows", r#"["{\"x\":1,\"y\":\"one\"}", "{}"]"#)],
        ),
        (
            "context.arguments has path && context.arguments.path.within.contains(\"/data\")",
            &[("path", "\"/data/a.txt\"")],
        ),
        ("context.arguments has path", &[("path", "present true")]),
        (
            "context.arguments has paths && context.arguments.paths.within.contains(\"/data\")",
            &[("paths", "[\"/data/a\", \"/data/b\"]")],
        ),
        (
            "context.arguments has url && context.arguments.url.domains.contains(\"example\")",
            &[("url.host", "\"api.example\"")],
        ),
        (
            "context.arguments has url && context.arguments.url.host == \"h\" && context.arguments.url.scheme == \"https\" && context.arguments.url has port",
            &[("url.host", "\"api.example\""), ("url.scheme", "\"https\""), ("url.port", "present true")],
        ),
        (
            "context.arguments has url && context.arguments.url has port && context.arguments.url.port > 1 && context.arguments.url.path == \"/v1\"",
            &[("url.port", "8443"), ("url.path", "\"/v1\"")],
        ),
        (
            "context.arguments has url && context.arguments.url.text == \"x\"",
            &[("url", "\"https://api.example:8443/v1?key=hidden\"")],
        ),
        (
            "context.arguments has urls && context.arguments.urls.domains.contains(\"example\")",
            &[("urls.host", "[\"a.example\", \"b.example\"]")],
        ),
    ] {
        let expected: Vec<(String, &str)> = expected.iter().map(|(name, value)| (argument(name), *value)).collect();
        let expected: Vec<(&str, &str)> = expected.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        check(&[condition], ADA, ALL, &expected);
    }
    check(
        &[
            "context.arguments has \"a-b\" && context.arguments[\"a-b\"] == \"x\" && context.arguments has \"in\" && context.arguments[\"in\"] == \"y\"",
        ],
        ADA,
        ALL,
        &[("context.arguments[\"a-b\"]", "\"x\""), ("context.arguments[\"in\"]", "\"y\"")],
    );
    check(
        &["context.count has tags && context.count.tags < 3 && context.undeclared.isEmpty()"],
        ADA,
        ALL,
        &[("context.count.tags", "2"), ("context.undeclared", r#"["/to/secret", "/rows/*/secret", "/more"]"#)],
    );
}

#[test]
fn what_is_absent_or_of_another_type_is_told_without_its_text() {
    let days = "context.arguments has days && context.arguments.days > 1";
    let to = "context.arguments has to.name && context.arguments.to.name == \"N\"";
    let url = "context.arguments has url && context.arguments.url.host == \"h\"";
    for (condition, arguments, path, value) in [
        (days, r#"{"city":"Oslo"}"#, "days", "absent"),
        (days, r#"{"city":"Oslo","days":null}"#, "days", "absent"),
        (days, r#"{"city":"Oslo","days":"secret"}"#, "days", "unfit"),
        (to, r#"{"city":"Oslo"}"#, "to.name", "absent"),
        (to, r#"{"city":"Oslo","to":{}}"#, "to.name", "absent"),
        (to, r#"{"city":"Oslo","to":"secret"}"#, "to.name", "unfit"),
        (to, r#"{"city":"Oslo","to":{"name":["secret"]}}"#, "to.name", "unfit"),
        (url, r#"{"city":"Oslo"}"#, "url.host", "absent"),
        (url, r#"{"city":"Oslo","url":"https://user:secret@h/"}"#, "url.host", "unfit"),
        ("context.arguments has days", r#"{"city":"Oslo"}"#, "days", "present false"),
        ("context.arguments has days", r#"{"city":"Oslo","days":"secret"}"#, "days", "present true"),
        ("context.arguments.city == \"x\"", "{}", "city", "absent"),
    ] {
        check(&[condition], ADA, arguments, &[(&format!("context.arguments.{path}"), value)]);
    }
}

#[test]
fn facts_of_the_token_and_the_request() {
    let now = super::world::NOW.seconds();
    let (issued, expires) = (format!("@{}", now - 60), format!("@{}", now + 600));
    for (condition, expected) in [
        ("principal in Scope::\"read\" && principal is User", &[][..]),
        ("principal has department && principal.department == \"x\"", &[("principal.department", "\"forecasts\"")]),
        ("principal has clearance", &[("principal.clearance", "present true")]),
        ("principal has ratio && principal.ratio.lessThan(decimal(\"1.0\"))", &[("principal.ratio", "\"0.5\"")]),
        ("principal has labels && principal.labels.contains(\"x\")", &[("principal.labels", "[\"x\", \"y\"]")]),
        ("principal is User && principal.subject == \"x\" && principal.issuer == \"x\"", &[]),
        ("resource.name == \"x\" && resource.readOnly", &[]),
        ("context.token has acr && context.token.acr == \"x\"", &[("context.token.acr", "\"gold\"")]),
        ("context.token.amr.contains(\"otp\")", &[("context.token.amr", "[\"pwd\", \"otp\"]")]),
        ("context.token.actors.isEmpty()", &[("context.token.actors", "[\"bot\"]")]),
        ("context.token has id && context.token.id == \"x\"", &[]),
        ("context.token.issuer == \"x\" && context.token.client.id == \"x\"", &[]),
        ("context.token.client has department", &[]),
        (
            "context.token.issuedAt < context.token.expiresAt",
            &[("context.token.issuedAt", &*issued), ("context.token.expiresAt", &expires)],
        ),
        (
            "context.token has authTime && context.token.authTime < context.request.now",
            &[("context.token.authTime", "absent")],
        ),
        ("context.request has ip && context.request.ip.isLoopback()", &[]),
        (
            "context.request.local.weekday == 1 && context.request.local.minute > 5 && context.request.local.date < context.request.now",
            &[
                ("context.request.local.weekday", "1"),
                ("context.request.local.minute", "570"),
                ("context.request.local.date", "\"2025-06-02\""),
            ],
        ),
        (
            "context.request has protocolVersion && context.request.protocolVersion == \"x\"",
            &[("context.request.protocolVersion", "absent")],
        ),
    ] {
        check(&[condition], ADA, ALL, expected);
    }
    let either = "context.token.client has department && context.token.client.department == \"machines\"";
    for condition in [either, "principal has department && principal.department == \"machines\""] {
        check(&[condition], AGENT, ALL, &[("principal.department", "\"machines\"")]);
    }
    check(&[either, "principal has department"], AGENT, ALL, &[("principal.department", "\"machines\"")]);
    check(&[either, "principal has department"], ADA, ALL, &[("principal.department", "present true")]);
    let wrong = r#""sub":"ada","client_id":"agent","department":7"#;
    check(
        &["principal has department && principal.department == \"x\""],
        wrong,
        ALL,
        &[("principal.department", "unfit")],
    );
}

/// Those of all policies that can concern the call: in shadow, in error, and of whichever effect; of no others.
#[test]
fn policies_that_concern_the_call() {
    let days = "context.arguments has days && context.arguments.days > 99";
    let (found_days, found_city) = (("context.arguments.days", "3"), ("context.arguments.city", "\"Oslo\""));
    let city = "(principal, action == Action::\"s:tool\", resource) when { context.arguments.city == \"x\" };";
    check(&[days, &format!("forbid {city}")], ADA, ALL, &[found_days, found_city]);
    check(&[days, &format!("@mode(\"shadow\") forbid {city}")], ADA, ALL, &[found_days, found_city]);
    let other = city.replace("s:tool", "s:other").replace("{ ", "{ context.arguments has city && ");
    check(&[days, &format!("permit {other}")], ADA, ALL, &[found_days]);
    let overflow = "context.arguments has days && context.arguments.days * 9223372036854775807 > 0";
    check(&[overflow, &format!("forbid {city}")], ADA, ALL, &[found_days, found_city]);
    // What the first policy that is asked decides does not matter to what is told: denials for want of a scope, too.
    let scoped = "principal in Scope::\"write\" && context.arguments.city == \"x\"";
    check(&[scoped], ADA, ALL, &[found_city]);
}

/// One message may raise several questions: what they read of it is told once.
#[test]
fn several_targets_share_their_values() {
    let texts = [
        "permit (principal, action in Action::\"session\", resource) when { context.token has acr && context.token.acr == \"gold\" };",
        "permit (principal, action == Action::\"resources/subscribe\", resource == Resource::\"s:file:///a\") when { principal has department && principal.department == \"forecasts\" };",
        "permit (principal, action == Action::\"resources/subscribe\", resource in Server::\"s\") when { context.token.amr.contains(\"otp\") && principal has clearance };",
        "permit (principal, action == Action::\"resources/subscribe\", resource == Resource::\"s:file:///c\") when { principal has labels };",
    ];
    let world = SERVERS.under(&policies(&texts));
    let acr = ("context.token.acr", "\"gold\"");
    let shared = [("context.token.amr", "[\"pwd\", \"otp\"]"), ("principal.clearance", "present true")];
    for (uris, expected) in [
        (&[][..], vec![acr]),
        (&["file:///b"], [&[acr][..], &shared].concat()),
        (&["file:///a", "file:///b"], [&[acr, ("principal.department", "\"forecasts\"")][..], &shared].concat()),
    ] {
        let resources = uris.iter().map(|uri| (*uri).into()).collect();
        let operation = Operation::Listen { resources, tasks: Vec::new() };
        let conclusion = asked(&world, ADA, &operation);
        assert!(conclusion.verdict.is_ok(), "{:?}", conclusion.verdict);
        let expected = expected.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
        assert_eq!(told(&conclusion), expected, "{uris:?}");
    }
    // Of what is asked no more after a denial nothing is told.
    let operation = Operation::Resource { method: ResourceMethod::Read, uri: "file:///a".into() };
    assert!(told(&asked(&world, ADA, &operation)).is_empty());
}

#[test]
fn nothing_is_told_of_what_does_not_exist() {
    let world = SERVERS.under(&policies(&["context.arguments.city == \"x\""]));
    for (tool, verdict) in [("nothing", Refusal::ToolUnknown), ("tool", Refusal::Denied { advice: None })] {
        let conclusion = calling(tool, ALL, |operation| asked(&world, ADA, operation));
        assert_eq!(told(&conclusion).is_empty(), tool == "nothing");
        assert_eq!(conclusion.verdict.map(drop), Err(verdict));
    }
}

#[test]
fn more_values_than_a_record_holds_are_counted() {
    for (count, left_out) in [(MAX_READINGS, 0), (MAX_READINGS + 3, 3)] {
        let members: Vec<String> = (0..count).map(|at| format!("\"a{at}\":{{\"type\":\"integer\"}}")).collect();
        let catalog =
            format!(r#"{{"tools":[{{"name":"tool","inputSchema":{{"properties":{{{}}}}}}}]}}"#, members.join(","));
        let world =
            Servers::new(&[("s", Some(&catalog), &[])]).under(&policies(&["context.arguments == context.arguments"]));
        let conclusion = calling("tool", r#"{"a0":1}"#, |operation| asked(&world, ADA, operation));
        assert_eq!((conclusion.values.iter().count(), conclusion.values.left_out()), (MAX_READINGS, left_out));
    }
}

#[test]
fn a_path_is_written_as_in_a_policy() {
    for (text, expected) in [
        ("context.arguments.days", &["context", "arguments", "days"][..]),
        ("context[\"arguments\"].a[\"b c\\\"d\"].e", &["context", "arguments", "a", "b c\"d", "e"]),
        ("principal", &["principal"]),
        ("context.arguments[\"in\"]", &["context", "arguments", "in"]),
    ] {
        let found = names(text).unwrap();
        assert_eq!(found, expected, "{text}");
        let again = path(found.iter().map(String::as_str));
        assert_eq!(names(&again).unwrap(), expected, "{again}");
    }
    for text in [
        "",
        "arguments.days",
        "resource.name",
        "action",
        "context.",
        "context.a b",
        "context.a == 1",
        "context has a",
        "context.a };",
        "context.a } when { context.b",
        "context.a // b",
        "principal.a }; permit (principal, action, resource) when { true",
        "\"context\".a",
        "if true then context.a else context.b",
    ] {
        assert_eq!(names(text), None, "{text}");
    }
}

/// The law: whatever stands in a record was read by a policy. Each value is a word of its own, found again wherever it is.
#[test]
fn no_value_is_told_that_no_policy_reads() {
    let mut random = Random::new(7);
    let conditions: [(&str, &[&str]); 14] = [
        ("context.arguments.city == \"x\"", &["W-city"]),
        ("context.arguments has days", &[]),
        ("context.arguments has to.name && context.arguments.to.name like \"x\"", &["W-name"]),
        ("context.arguments has to && context.arguments.to has name", &[]),
        ("context.arguments has tags && context.arguments.tags.contains(\"x\")", &["W-tag"]),
        ("context.arguments has rows && context.arguments.rows.isEmpty()", &["W-row"]),
        ("context.arguments has path && context.arguments.path.text == \"x\"", &["W-path"]),
        ("context.arguments has url && context.arguments.url.scheme == \"x\"", &[]),
        ("context.arguments has url && context.arguments.url.path == \"x\"", &["W-url"]),
        ("principal has department && principal.department == \"x\"", &["W-department"]),
        ("principal has department", &[]),
        ("context.token has acr && context.token.acr == \"x\"", &["W-acr"]),
        ("context.token.amr.contains(\"x\")", &["W-amr"]),
        ("context.undeclared.isEmpty()", &["W-undeclared"]),
    ];
    let arguments = r#"{"city":"W-city","days":3,"a-b":"W-ab","in":"W-in","tags":["W-tag"],"to":{"name":"W-name","x":"W-inner"},
        "rows":[{"y":"W-row","z":"W-column"}],"path":"/W-path/a","url":"https://h.example/W-url?W-query",
        "paths":["/W-paths/a"],"urls":["https://h.example/W-urls"],"W-undeclared":"W-hidden"}"#;
    let claims = r#""sub":"W-sub","client_id":"W-client","jti":"W-jti","acr":"W-acr","amr":["W-amr"],"department":"W-department",
        "labels":["W-labels"],"other":"W-other""#;
    for _ in 0..60 {
        let chosen: Vec<&(&str, &[&str])> = conditions.iter().filter(|_| random.chance(25)).collect();
        let texts: Vec<String> = chosen
            .iter()
            .enumerate()
            .map(|(at, (condition, _))| {
                let mode = if random.chance(30) { "@mode(\"shadow\") " } else { "" };
                let effect = random.pick(&["permit", "forbid"]);
                format!("@id(\"p{at}\") {mode}{effect} (principal, action == Action::\"s:tool\", resource) when {{ {condition} }};")
            })
            .collect();
        let world = SERVERS.under(&texts);
        let conclusion = calling("tool", arguments, |operation| asked(&world, claims, operation));
        let told = format!("{:?}", told(&conclusion));
        let mut found: Vec<&str> = told.split(apart).filter(|word| word.starts_with("W-")).collect();
        let mut expected: Vec<&str> = chosen.iter().flat_map(|(_, words)| *words).copied().collect();
        // Of the members of an object that is not declared, none is told in its place.
        if expected.contains(&"W-undeclared") {
            assert!(told.contains("/to/x") && told.contains("/rows/*/z"), "{told}");
        }
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{texts:#?}\n{told}");
    }
}

/// Whether `letter` is in no word.
fn apart(letter: char) -> bool {
    !letter.is_ascii_alphanumeric() && letter != '-'
}
