//! Values of callers: exact or refused, never rounded; whatever an object's members are called, it stays an object.

use std::sync::LazyLock;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicySet, Request, RestrictedExpression,
};

use super::world::{Servers, calling, facts, subject};
use crate::json::{Document, Limits};
use crate::policy::Question;
use crate::policy::arguments::RecordType;
use crate::policy::evaluate::Refusal;
use crate::policy::overlay::Overlay;
use crate::policy::paths::Need;
use crate::policy::stepup::Published;
use crate::policy::subject::ScopeHierarchy;

const CATALOG: &str = r#"{"tools": [{"name": "tool", "inputSchema": {"type": "object", "properties": {
    "n": {"type": "integer"}, "w": {"type": "number"}, "p": {"type": "string"}, "u": {"type": "string"}, "d": {"type": "number"}, "s": {"type": "string"}, "b": {"type": "boolean"},
    "list": {"type": "array", "items": {"type": "integer"}}, "names": {"type": "array", "items": {"type": "string"}},
    "rows": {"type": "array", "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}},
    "o": {"type": "object", "properties": {"n": {"type": "integer"}, "owner": {"type": "string"},
        "o": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}}}}}}]}"#;

static SERVERS: LazyLock<Servers> = LazyLock::new(|| {
    let overlays = [("tool", "w", Overlay::Long), ("tool", "p", Overlay::Path), ("tool", "u", Overlay::Url)];
    Servers::overlaid(&[("s", Some(CATALOG), &[])], &overlays)
});

/// What a call came to.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Allow,
    Deny,
    /// The place of an argument that has no value.
    Argument(String),
    /// The name of a claim that has none.
    Claim(String),
}

use Outcome::{Allow, Deny};

/// Calls the tool with `arguments`, by a client with `claims` (further members), where `condition` permits it.
#[track_caller]
fn outcome(arguments: &str, claims: &str, condition: &str) -> Outcome {
    outcome_in(&SERVERS, arguments, claims, condition)
}

/// The same of the tool of other `servers`.
#[track_caller]
pub(super) fn outcome_in(servers: &Servers, arguments: &str, claims: &str, condition: &str) -> Outcome {
    let policy =
        format!("@id(\"p\") permit (principal, action == Action::\"s:tool\", resource) when {{ {condition} }};");
    let world = servers.under(&[policy]);
    let hierarchy = ScopeHierarchy::default();
    let subject = subject(&format!(r#""sub":"c","client_id":"c"{claims}"#), &hierarchy);
    let (facts, published) = (facts(), Published { scopes: &[], repeat_held: true });
    let conclusion = calling("tool", arguments, |operation| {
        let question = Question {
            subject: &subject,
            hierarchy: &hierarchy,
            server: &world.servers[0],
            operation,
            facts: &facts,
            published,
        };
        world.engine.evaluate(&question, &mut Vec::new())
    });
    match conclusion.verdict {
        Ok(_) => Allow,
        Err(Refusal::Denied { .. }) => Deny,
        Err(Refusal::ArgumentUnrepresentable(pointer)) => Outcome::Argument(pointer),
        Err(Refusal::ClaimUnrepresentable(name)) => Outcome::Claim(name),
        Err(other) => panic!("{other:?}"),
    }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "the table reads better with values")]
fn check(arguments: &str, condition: &str, expected: Outcome) {
    assert_eq!(outcome(arguments, "", condition), expected, "{arguments} when {condition}");
}

/// The argument `at` (a pointer) of `arguments` has no value where `condition` reads it.
#[track_caller]
fn refused(arguments: &str, condition: &str, at: &str) {
    check(arguments, condition, Outcome::Argument(at.to_owned()));
}

/// The number `literal` is `value` exactly, or, without one, has no value: as an integer, and as a number that an overlay
/// says is one.
#[track_caller]
fn integer(literal: &str, value: Option<i128>) {
    for name in ["n", "w"] {
        let arguments = format!(r#"{{"{name}":{literal}}}"#);
        let equals = |other: &str| format!("context.arguments has {name} && context.arguments.{name} == {other}");
        match value {
            Some(value) => check(&arguments, &equals(&value.to_string()), Allow),
            None => refused(&arguments, &equals(&format!("context.arguments.{name}")), &format!("/{name}")),
        }
    }
}

/// The same as a decimal, whose value is given in ten-thousandths.
#[track_caller]
fn decimal(literal: &str, value: Option<i128>) {
    let arguments = format!(r#"{{"d":{literal}}}"#);
    let equals = |text: &str| format!("context.arguments has d && context.arguments.d == decimal(\"{text}\")");
    match value {
        Some(value) => check(&arguments, &equals(&ten_thousandths(value)), Allow),
        None => refused(&arguments, &equals("1.0"), "/d"),
    }
}

fn ten_thousandths(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}.{:04}", value.abs() / 10_000, value.abs() % 10_000)
}

#[test]
fn an_integer_is_exact_or_refused_around_every_bound() {
    let bounds = [0, 1 << 31, 1 << 32, 1 << 53, 10_i128.pow(18), 1 << 63, 1 << 64, 10_i128.pow(19)];
    for bound in bounds.into_iter().flat_map(|bound| [bound, -bound]) {
        for value in bound - 2..=bound + 2 {
            let fits = i64::try_from(value).is_ok().then_some(value);
            for literal in
                [format!("{value}"), format!("{value}.0"), format!("{value}e0"), format!("{}e-1", value * 10)]
            {
                integer(&literal, fits);
            }
            integer(&format!("{value}.5"), None);
            integer(&format!("{}e-1", value * 10 + if value < 0 { -1 } else { 1 }), None);
        }
    }
}

#[test]
fn an_integer_in_other_clothes() {
    for (literal, value) in [
        ("-0", 0),
        ("-0.0", 0),
        ("0e99999", 0),
        ("1.0", 1),
        ("1e0", 1),
        ("1E+2", 100),
        ("-2.50e1", -25),
        ("9e18", 9 * 10_i128.pow(18)),
    ] {
        integer(literal, Some(value));
    }
    for literal in [
        "1e19",
        "1e400",
        "-1e99999999999999999999",
        "1e-1",
        "0.1",
        "1e-400",
        &"9".repeat(1000),
        &format!("-{}", "9".repeat(1000)),
    ] {
        integer(literal, None);
    }
}

#[test]
fn a_decimal_is_exact_or_refused_around_every_bound() {
    let bounds = [0, 1, 10_000, 1 << 53, 10_i128.pow(18), 1 << 63, 10_i128.pow(19)];
    for bound in bounds.into_iter().flat_map(|bound| [bound, -bound]) {
        for value in bound - 2..=bound + 2 {
            let fits = i64::try_from(value).is_ok().then_some(value);
            let plain = ten_thousandths(value);
            for literal in [plain.clone(), format!("{plain}0"), format!("{value}e-4"), format!("{}E-05", value * 10)] {
                decimal(&literal, fits);
            }
            decimal(&format!("{plain}1"), None);
            let tenth = Some(value / 10).filter(|tenth| tenth * 10 == value && i64::try_from(*tenth).is_ok());
            decimal(&format!("{value}e-5"), tenth);
        }
    }
    for (literal, value) in [
        ("-0", Some(0)),
        ("-0.0", Some(0)),
        ("1", Some(10_000)),
        ("1e2", Some(1_000_000)),
        ("1e400", None),
        ("1e-400", None),
    ] {
        decimal(literal, value);
    }
}

#[test]
fn a_value_of_another_type_is_refused_and_null_is_absent() {
    for (name, fitting) in
        [("n", "1"), ("d", "1.5"), ("s", "\"\""), ("b", "true"), ("list", "[1]"), ("names", "[\"\"]"), ("o", "{}")]
    {
        let reads = format!("context.arguments has {name} && context.arguments.{name} == context.arguments.{name}");
        check(&format!(r#"{{"{name}":{fitting}}}"#), &reads, Allow);
        check(&format!(r#"{{"{name}":null}}"#), &reads, Deny);
        check("{}", &reads, Deny);
        for other in ["1.5", "\"1\"", "true", "[true]", "[null]", "[1,\"x\"]", "[[1]]", "{\"n\":true}"] {
            if (name, other) != ("s", "\"1\"") && (name, other) != ("b", "true") && (name, other) != ("d", "1.5") {
                let at = if name == "o" && other.starts_with('{') { "/o/n".to_owned() } else { format!("/{name}") };
                refused(&format!(r#"{{"{name}":{other}}}"#), &reads, &at);
            }
        }
    }
}

#[test]
fn arrays_and_nested_objects() {
    let list = "context.arguments has list && context.arguments.list";
    check(r#"{"list":[]}"#, &format!("{list}.isEmpty()"), Allow);
    check(r#"{"list":[2,1,1.0,2e0]}"#, &format!("{list} == [1, 2]"), Allow);
    refused(r#"{"list":[1,9223372036854775808]}"#, &format!("{list}.contains(1)"), "/list");
    let rows = "context.arguments has rows && context.arguments.rows";
    check(r#"{"rows":[{"n":1},{"n":1,"x":[1.5]}]}"#, &format!("{rows} == [{{n: 1}}]"), Allow);
    refused(r#"{"rows":[{"n":1.5}]}"#, &format!("{rows}.isEmpty()"), "/rows/n");
    refused(r#"{"rows":[{"N":1}]}"#, &format!("{rows}.isEmpty()"), "/rows/n");
    let nested = "context.arguments has o.o.n && context.arguments.o.o.n == 1";
    check(r#"{"o":{"o":{"n":1.0}}}"#, nested, Allow);
    check(r#"{"o":{"o":null}}"#, nested, Deny);
    refused(r#"{"o":{"o":{"n":null}}}"#, nested, "/o/o/n");
    refused(r#"{"o":{"o":{}}}"#, nested, "/o/o/n");
    refused(r#"{"o":{"o":[]}}"#, nested, "/o/o");
    refused(r#"{"o":[{"o":{"n":1}}]}"#, nested, "/o");
}

#[test]
fn the_count_of_an_array_is_refused_where_there_is_no_array() {
    let many = "context.count has list && context.count.list > 1";
    check(r#"{"list":[1,1]}"#, many, Allow);
    check(r#"{"list":[1]}"#, many, Deny);
    check(r#"{"list":null}"#, many, Deny);
    // What is in it is not looked at.
    check(r#"{"list":["x",null]}"#, many, Allow);
    for other in ["\"1,1\"", "{\"0\":1,\"1\":1}", "2"] {
        refused(&format!(r#"{{"list":{other}}}"#), many, "/list");
    }
    refused(r#"{"List":[1,1]}"#, many, "/list");
    check(r#"{"names":{"0":1}}"#, many, Deny);
}

#[test]
fn an_object_or_array_in_the_place_of_another_is_undeclared() {
    for (arguments, undeclared) in [
        (r#"{"o":[{"n":1}]}"#, "\"/o\""),
        (r#"{"o":[]}"#, "\"/o\""),
        (r#"{"o":{"o":[1]}}"#, "\"/o/o\""),
        (r#"{"names":{"0":"x"}}"#, "\"/names\""),
        (r#"{"names":["x",["y"]]}"#, "\"/names/*\""),
        (r#"{"rows":{"n":1}}"#, "\"/rows\""),
        (r#"{"rows":[[{"n":1}]]}"#, "\"/rows/*\""),
        (r#"{"n":{"n":1},"s":[],"p":{},"u":["x"]}"#, "\"/n\", \"/s\", \"/p\", \"/u\""),
        // Another scalar is not.
        (r#"{"o":7,"names":"x","n":"1","s":null,"p":7,"rows":[null,1]}"#, ""),
    ] {
        let condition = match undeclared {
            "" => "context.undeclared.isEmpty()".to_owned(),
            some => format!("context.undeclared == [{some}]"),
        };
        check(arguments, &condition, Allow);
    }
}

#[test]
fn a_name_in_another_case_is_refused_where_the_argument_is_read() {
    for (arguments, condition, at) in [
        (r#"{"N":1}"#, "!(context.arguments has n)", "/n"),
        (r#"{"LIST":[]}"#, "context.arguments has list", "/list"),
        // U+017F, a long s, is an S in upper case; U+212A, the Kelvin sign, a k in lower case.
        ("{\"\u{17f}\":\"x\"}", "!(context.arguments has s)", "/s"),
        (r#"{"NAMES":null}"#, "!(context.arguments has names)", "/names"),
        (r#"{"o":{"OWNER":"x"}}"#, "context.arguments has o.owner", "/o/owner"),
        (r#"{"o":{"o":{"N":1}}}"#, "context.arguments has o.o.n", "/o/o/n"),
    ] {
        refused(arguments, condition, at);
        check(arguments, "true", Allow);
    }
    check(r#"{"N":1}"#, "context.undeclared == [\"/N\"]", Allow);
}

#[test]
fn what_nobody_reads_denies_nobody() {
    for arguments in [
        r#"{"n":1.5,"d":1e999,"s":7,"b":null,"list":[{}],"o":[1,"x",null],"other":1e-999}"#,
        r#"{"N":1,"O":{}}"#,
        r#"{"o":{"n":99999999999999999999}}"#,
    ] {
        check(arguments, "true", Allow);
        check(
            arguments,
            "context.arguments has n || !(context.arguments has b) || context.token.issuer == \"corp\"",
            match arguments {
                r#"{"N":1,"O":{}}"# => Outcome::Argument("/n".to_owned()),
                _ => Allow,
            },
        );
    }
    // Presence asks for no value, and a part of an object for no other.
    check(r#"{"n":1.5}"#, "context.arguments has n", Allow);
    check(
        r#"{"o":{"n":1.5,"owner":"x"}}"#,
        "context.arguments has o.owner && context.arguments.o.owner == \"x\"",
        Allow,
    );
}

#[test]
fn claims_are_exact_or_refused_where_they_are_read() {
    let reads = "principal has clearance && principal.clearance == 1";
    for (claim, expected) in [("1", Allow), ("1.0", Allow), ("1e0", Allow), ("null", Deny), ("2", Deny)] {
        assert_eq!(outcome("{}", &format!(r#","clearance":{claim}"#), reads), expected, "{claim}");
    }
    for claim in ["1.5", "\"1\"", "9223372036854775808", "[1]", "{\"__extn\":{\"fn\":\"decimal\",\"arg\":\"1.0\"}}"] {
        let claims = format!(r#","clearance":{claim}"#);
        for condition in [
            reads,
            "!(principal has clearance)",
            "!(context.token.client has clearance)",
            "!(context has token.client.clearance)",
        ] {
            assert_eq!(
                outcome("{}", &claims, condition),
                Outcome::Claim("clearance".to_owned()),
                "{claim}: {condition}"
            );
        }
        assert_eq!(outcome("{}", &claims, "true"), Allow, "{claim}");
    }
    let ratio = "principal has ratio && principal.ratio == decimal(\"0.5\")";
    assert_eq!(outcome("{}", r#","ratio":5e-1"#, ratio), Allow);
    assert_eq!(outcome("{}", r#","ratio":0.50001"#, ratio), Outcome::Claim("ratio".to_owned()));
    let labels = "principal has labels && principal.labels.contains(\"x\")";
    assert_eq!(outcome("{}", r#","labels":["x","x"]"#, labels), Allow);
    assert_eq!(
        outcome("{}", r#","labels":["x",{"__entity":{"type":"Group","id":"g"}}]"#, labels),
        Outcome::Claim("labels".to_owned())
    );
}

#[test]
fn escapes_of_cedars_json_are_no_values_of_other_types() {
    let entity = r#"{"__entity":{"type":"Client","id":"corp:c"}}"#;
    let extension = r#"{"__extn":{"fn":"ip","arg":"10.0.0.1"}}"#;
    let expression = r#"{"__expr":"principal"}"#;
    for escape in [entity, extension, expression] {
        for name in ["n", "w", "p", "u", "d", "s", "b", "list", "names", "rows"] {
            let reads = format!("context.arguments has {name} && context.arguments.{name} == context.arguments.{name}");
            refused(&format!(r#"{{"{name}":{escape}}}"#), &reads, &format!("/{name}"));
        }
        refused(
            &format!(r#"{{"names":[{escape}]}}"#),
            "context.arguments has names && context.arguments.names.isEmpty()",
            "/names",
        );
        refused(
            &format!(r#"{{"rows":[{escape}]}}"#),
            "context.arguments has rows && context.arguments.rows.isEmpty()",
            "/rows/n",
        );
        let name = escape.split('"').nth(1).unwrap();
        check(
            &format!(r#"{{"rows":[{{"n":1,"x":{escape}}},{escape}],"names":[{escape}]}}"#),
            &format!("context.undeclared == [\"/rows/*/x\", \"/rows/*/{name}\", \"/names/*\"]"),
            Allow,
        );
        let o = format!(r#"{{"o":{escape}}}"#);
        check(&o, "context.arguments has o && !(context.arguments has o.owner) && !(context.arguments has o.n)", Allow);
        check(&o, &format!("context.undeclared == [\"/o/{name}\"]"), Allow);
        check(escape, &format!("context.undeclared == [\"/{name}\"]"), Allow);
    }
}

/// A catalogue that declares Cedar's own escapes as members; the value of `e` is held against what it could be taken for,
/// without validation, which refuses to compare a record with an entity.
#[test]
fn a_declared_escape_is_a_record() {
    const ESCAPES: &str = r#"{"properties": {"e": {"type": "object", "properties": {
        "__entity": {"type": "object", "properties": {"type": {"type": "string"}, "id": {"type": "string"}}},
        "__extn": {"type": "object", "properties": {"fn": {"type": "string"}, "arg": {"type": "string"}}},
        "__expr": {"type": "string"}}}}}"#;
    let limits = Limits { depth: 64, nodes: 1000 };
    let schema = Document::parse(ESCAPES.as_bytes(), limits).unwrap();
    let record = RecordType::from_schema(schema.root(), schema.root());
    for (value, same) in [
        (r#"{"__entity":{"type":"User","id":"root"}}"#, r#"{"__entity": {"type": "User", "id": "root"}}"#),
        (r#"{"__extn":{"fn":"ip","arg":"10.0.0.1"}}"#, r#"{"__extn": {"fn": "ip", "arg": "10.0.0.1"}}"#),
        (r#"{"__expr":"principal"}"#, r#"{"__expr": "principal"}"#),
    ] {
        let text = format!(r#"{{"e":{value}}}"#);
        let document = Document::parse(text.as_bytes(), limits).unwrap();
        let members = record.value(Some(document.root()), Need::Whole, "").unwrap();
        let arguments = RestrictedExpression::new_record(members).unwrap();
        for (condition, expected) in [
            (format!("context.arguments.e == {same}"), Decision::Allow),
            ("context.arguments.e == principal".to_owned(), Decision::Deny),
            ("[context.arguments.e].contains(principal)".to_owned(), Decision::Deny),
            ("principal in context.arguments.e".to_owned(), Decision::Deny),
            ("context.arguments.e == ip(\"10.0.0.1\")".to_owned(), Decision::Deny),
            ("context.arguments.e.isLoopback() || true".to_owned(), Decision::Deny),
        ] {
            let policy = format!("permit (principal, action, resource) when {{ {condition} }};");
            let set = PolicySet::from_policies([Policy::parse(None, policy).unwrap()]).unwrap();
            let context = Context::from_pairs([("arguments".to_owned(), arguments.clone())]).unwrap();
            let uid = |text: &str| text.parse::<EntityUid>().unwrap();
            let request =
                Request::new(uid("User::\"root\""), uid("Action::\"a\""), uid("R::\"r\""), context, None).unwrap();
            let found = Authorizer::new().is_authorized(&request, &set, &Entities::empty()).decision();
            assert_eq!(found, expected, "{value}: {condition}");
        }
    }
}
