//! The whole engine against Cedar alone, on the model that authors see: real callers and messages on one side, whole
//! entities and contexts, written a second time as Cedar's own JSON, on the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{Authorizer, Context, Decision, Effect, Entities, PolicySet, Request, Response, Schema};
use serde_json::{Value, json};

use super::random::Random;
use super::slicing::{errors, same};
use super::world::{Servers, World, calling, facts, subject};
use crate::mcp::{Operation, ResourceMethod, SessionMethod, TaskMethod};
use crate::policy::Question;
use crate::policy::evaluate::{Conclusion, Refusal};
use crate::policy::query::{Query, queries};
use crate::policy::stepup::Published;
use crate::policy::subject::{ScopeHierarchy, Subject};

const CATALOG: &str = r#"{"tools": [
    {"name": "read", "annotations": {"readOnlyHint": true, "destructiveHint": false}, "inputSchema": {"type": "object",
        "required": ["path"], "properties": {"path": {"type": "string"}, "limit": {"type": "integer"},
        "ratio": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}},
        "deep": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}, "on": {"type": "boolean"}}}}}},
    {"name": "write", "inputSchema": {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}},
    {"name": "plain", "inputSchema": {"type": "object"}}]}"#;

/// Kinds of target: the action scopes and resource scopes that can concern them, and what only they can be asked.
const KINDS: [(&[&str], &[&str], &[&str]); 8] = [
    (
        &["== Action::\"a:read\"", "in [Action::\"a:read\"]", "in Action::\"a:read\""],
        &["", "is Tool", "== Tool::\"a:read\"", "in Tool::\"a:read\"", "is Tool in Server::\"a\""],
        &[
            "context.arguments.path == \"/a\"",
            "context.arguments has limit && context.arguments.limit * 2 > 0",
            "context.arguments has ratio && context.arguments.ratio.lessThan(decimal(\"0.0\"))",
            "context.arguments has deep.on && context.arguments.deep.on",
            "context.arguments has deep && (if context.arguments.deep.n > 1 then context.arguments.deep else {n: 0}).n > 3",
            "context.arguments has tags && context.arguments.tags.containsAny([\"x\", \"y\"])",
            "context.count has tags && context.count.tags > 1",
            "context.undeclared.isEmpty()",
            "resource.readOnly",
        ],
    ),
    (
        &["== Action::\"a:write\"", "in [Action::\"a:write\", Action::\"session\"]"],
        &["", "== Tool::\"a:write\"", "in Server::\"a\""],
        &["true"],
    ),
    (
        &["in Action::\"a:*\"", "in [Action::\"a:write\", Action::\"a:plain\"]"],
        &["", "is Tool", "in Server::\"a\"", "== Tool::\"a:plain\"", "is Tool in Tool::\"a:write\""],
        &["resource.readOnly", "resource.destructive && resource.name like \"w*\"", "context.undeclared.contains(\"/other\")"],
    ),
    (
        &["in Action::\"tools/call\"", "== Action::\"b:*\"", "in [Action::\"b:*\", Action::\"a:plain\"]"],
        &["", "is Tool", "in Server::\"b\"", "== Tool::\"b:t0\"", "is Tool in Tool::\"b:t1\""],
        &["resource.readOnly", "resource.openWorld", "resource in Server::\"a\""],
    ),
    (
        &["== Action::\"prompts/get\"", "in Action::\"mcp\""],
        &["is Prompt", "== Prompt::\"a:p0\"", "in Prompt::\"b:p1\"", "is Prompt in Server::\"b\""],
        &["resource.name == \"p0\""],
    ),
    (
        &["== Action::\"resources/read\"", "in [Action::\"resources/read\", Action::\"resources/subscribe\"]", "in Action::\"mcp\""],
        &[
            "is Resource",
            "== Resource::\"a:file:///public/sub/b.txt\"",
            "in Resource::\"a:file:///public\"",
            "is Resource in Resource::\"a:file:///public/sub\"",
            "in Resource::\"b:https://h.example\"",
            "is Resource in Server::\"a\"",
        ],
        &["resource has path && resource.path like \"*.txt\"", "resource.uri like \"file:*\"", "resource has host"],
    ),
    (
        &["== Action::\"tasks/get\"", "in [Action::\"tasks/get\", Action::\"tasks/cancel\"]"],
        &["is Task", "== Task::\"a:1\"", "in Server::\"b\"", "in Task::\"a:2\""],
        &["true"],
    ),
    (
        &["in Action::\"session\"", "== Action::\"initialize\"", "== Action::\"x/custom\"", ""],
        &["", "is Server", "== Server::\"a\"", "in Server::\"b\""],
        &["resource in Server::\"a\""],
    ),
];

const PRINCIPALS: [&str; 12] = [
    "",
    "",
    "is User",
    "is Client",
    "== User::\"corp:u0\"",
    "== Client::\"corp:app0\"",
    "in Group::\"corp:g0\"",
    "in Group::\"corp:g1\"",
    "in Scope::\"s1\"",
    "in Scope::\"s3\"",
    "is User in Scope::\"s2\"",
    "is Client in Group::\"corp:g2\"",
];

/// Conditions on any question.
const CONDITIONS: [&str; 16] = [
    "true",
    "context.token.issuer == \"corp\"",
    "context.token has acr && context.token.acr == \"mfa\"",
    "context.token.amr.contains(\"pwd\")",
    "context.token.client == Client::\"corp:app0\"",
    "context.token.client.id == \"app0\"",
    "context.token.client has host && context.token.client.host == \"c.example\"",
    "context.token.actors.contains(Client::\"corp:app0\")",
    "context.request.local.minute < 600 && context.request.local.weekday == 1",
    "context.request has ip && context.request.ip.isInRange(ip(\"10.0.0.0/8\"))",
    "context.request has protocolVersion",
    "principal in Scope::\"s1\" || principal in Group::\"corp:g2\"",
    "principal has department && principal.department == \"eng\"",
    "principal has clearance && principal.clearance + 9223372036854775807 > 0",
    "principal is User && principal.subject == \"u0\"",
    "(if principal has department then context.token else {amr: [\"none\"]}).amr.contains(\"pwd\")",
];

fn policy(random: &mut Random, at: usize) -> String {
    let (actions, resources, own) = KINDS[random.below(KINDS.len())];
    let effect = if random.chance(75) { "permit" } else { "forbid" };
    let (principal, action, resource) = (random.pick(&PRINCIPALS), random.pick(actions), random.pick(resources));
    let mut text = format!("@id(\"p{at}\") {effect} (principal {principal}, action {action}, resource {resource})");
    for _ in 0..random.below(3) {
        let condition = if random.chance(50) { random.pick(own) } else { random.pick(&CONDITIONS) };
        text.push_str(&format!(" {} {{ {condition} }}", random.pick(&["when", "unless"])));
    }
    text + ";"
}

/// A caller: the claims of the token, and the same as entities and as `context.token`.
struct Caller {
    subject: Subject,
    entities: Entities,
    token: Value,
}

/// What every caller shares: the targets, and the actions of the schema.
#[expect(clippy::disallowed_methods, reason = "the test's own data, and a second way to make Cedar's values")]
fn targets(schema: &Schema) -> Entities {
    let server = |name: &str| json!({"type": "Server", "id": name});
    let entity = |kind: &str, id: &str, attrs: Value, parents: Vec<Value>| json!({"uid": {"type": kind, "id": id}, "attrs": attrs, "parents": parents});
    let mut all = vec![entity("Server", "a", json!({}), vec![]), entity("Server", "b", json!({}), vec![])];
    for (server_name, name, read_only, destructive) in
        [("a", "read", true, false), ("a", "write", false, true), ("a", "plain", false, true), ("b", "t0", false, true), ("b", "t1", false, true)]
    {
        let attrs = json!({"name": name, "readOnly": read_only, "destructive": destructive, "idempotent": false, "openWorld": true});
        all.push(entity("Tool", &format!("{server_name}:{name}"), attrs, vec![server(server_name)]));
    }
    for name in ["a", "b"] {
        for prompt in ["p0", "p1"] {
            all.push(entity("Prompt", &format!("{name}:{prompt}"), json!({"name": prompt}), vec![server(name)]));
        }
        for task in ["1", "2"] {
            all.push(entity("Task", &format!("{name}:{task}"), json!({}), vec![server(name)]));
        }
        let folder = |uri: &str| json!({"type": "Resource", "id": format!("{name}:{uri}")});
        for (uri, attrs, folders) in [
            ("file:///public/a.txt", json!({"scheme": "file", "path": "/public/a.txt"}), vec![folder("file:///public")]),
            ("file:///public/sub/b.txt", json!({"scheme": "file", "path": "/public/sub/b.txt"}), vec![folder("file:///public"), folder("file:///public/sub")]),
            ("file:///public", json!({"scheme": "file", "path": "/public"}), vec![]),
            ("file:///public/../etc", json!({}), vec![]),
            ("https://h.example/x", json!({"scheme": "https", "path": "/x", "host": "h.example"}), vec![folder("https://h.example")]),
        ] {
            let mut attrs = attrs;
            attrs["uri"] = uri.into();
            all.push(entity("Resource", &format!("{name}:{uri}"), attrs, folders.into_iter().chain([server(name)]).collect()));
        }
    }
    let actions = schema.action_entities().unwrap();
    actions.add_entities_from_json_value(Value::Array(all), None).unwrap()
}

/// A caller of the world's `number`, in some groups, with some scopes and claims.
#[expect(clippy::disallowed_methods, reason = "the test's own data, and a second way to make Cedar's values")]
fn caller(random: &mut Random, implies: &[(usize, usize)], targets: &Entities) -> Caller {
    let clients = ["app0", "app1", "https://c.example/client"];
    let client = random.pick(&clients);
    let user = random.chance(70).then(|| random.pick(&["u0", "u1", "u2"]));
    let groups = random.some(&["g0", "g1", "g2"], 30);
    let scopes = random.some(&["s0", "s1", "s2", "s3"], 30);
    let department = random.chance(50).then(|| random.pick(&["eng", "law"]));
    let clearance = random.chance(50).then(|| random.below(3));
    let (acr, actor) = (random.chance(40).then_some("mfa"), random.chance(30).then(|| random.pick(&clients)));
    let amr = random.some(&["pwd", "otp"], 50);

    let mut claims = vec![format!(r#""client_id":"{client}","sub":"{}""#, user.unwrap_or(client))];
    claims.push(format!(r#""groups":{},"scope":"{}","amr":{}"#, json!(groups), scopes.join(" "), json!(amr)));
    claims.extend(department.map(|text| format!(r#""department":"{text}""#)));
    claims.extend(clearance.map(|number| format!(r#""clearance":{number}"#)));
    claims.extend(acr.map(|text| format!(r#""acr":"{text}""#)));
    claims.extend(actor.map(|text| format!(r#""act":{{"sub":"{text}"}}"#)));
    let names = |at: usize| format!("s{at}");
    let hierarchy = ScopeHierarchy::new(&(0..4).map(|at| (names(at), implies.iter().filter(|(from, _)| *from == at).map(|(_, to)| names(*to)).collect())).collect());

    let uid = |kind: &str, id: String| json!({"type": kind, "id": id});
    let client_of = |id: &str| {
        let mut attrs = json!({"issuer": "corp", "id": id});
        if id.starts_with("https:") {
            attrs["host"] = "c.example".into();
        }
        (uid("Client", format!("corp:{id}")), attrs)
    };
    let (own, mut attrs) = user.map_or_else(|| client_of(client), |user| (uid("User", format!("corp:{user}")), json!({"issuer": "corp", "subject": user})));
    if let Some(department) = department {
        attrs["department"] = department.into();
    }
    if let Some(clearance) = clearance {
        attrs["clearance"] = clearance.into();
    }
    let groups = groups.iter().map(|group| uid("Group", format!("corp:{group}")));
    let parents: Vec<Value> = groups.chain(scopes.iter().map(|scope| uid("Scope", (*scope).to_owned()))).collect();
    let mut all = vec![json!({"uid": own, "attrs": attrs, "parents": parents})];
    if user.is_some() {
        let (uid, attrs) = client_of(client);
        all.push(json!({"uid": uid, "attrs": attrs, "parents": []}));
    }
    // The hierarchy of scopes is Cedar's own here: a scope is in those that it implies.
    all.extend((0..4).map(|at| {
        let parents: Vec<Value> = implies.iter().filter(|(from, _)| *from == at).map(|(_, to)| uid("Scope", names(*to))).collect();
        json!({"uid": uid("Scope", names(at)), "attrs": {}, "parents": parents})
    }));
    let reference = |id: &str| json!({"__entity": {"type": "Client", "id": format!("corp:{id}")}});
    let mut token = json!({"client": reference(client), "issuer": "corp", "amr": amr,
        "actors": actor.into_iter().map(|id| reference(id)).collect::<Vec<_>>(),
        "issuedAt": datetime("2025-06-02T09:29:00Z"), "expiresAt": datetime("2025-06-02T09:40:00Z")});
    if let Some(acr) = acr {
        token["acr"] = acr.into();
    }
    let entities = targets.clone().add_entities_from_json_value(Value::Array(all), None).unwrap();
    Caller { subject: subject(&claims.join(","), &hierarchy), entities, token }
}

fn datetime(text: &str) -> Value {
    json!({"__extn": {"fn": "datetime", "arg": text}})
}

/// Arguments of `read`: as a caller sends them, and as members of the whole context.
fn arguments(random: &mut Random) -> (String, Value) {
    let path = random.pick(&["/a", "/b"]);
    let mut text = vec![format!(r#""path":"{path}""#)];
    let mut typed = json!({"arguments": {"path": path}, "count": {}, "undeclared": []});
    if random.chance(50) {
        let limit = random.pick(&["0", "5", "9223372036854775807"]);
        text.push(format!(r#""limit":{limit}"#));
        typed["arguments"]["limit"] = limit.parse::<i64>().unwrap().into();
    }
    if random.chance(50) {
        let ratio = random.pick(&["0.5", "-3.25"]);
        text.push(format!(r#""ratio":{ratio}"#));
        typed["arguments"]["ratio"] = json!({"__extn": {"fn": "decimal", "arg": ratio}});
    }
    if random.chance(50) {
        let tags = random.some(&["x", "y", "z"], 50);
        text.push(format!(r#""tags":{}"#, json!(tags)));
        typed["count"]["tags"] = tags.len().into();
        typed["arguments"]["tags"] = json!(tags);
    }
    if random.chance(50) {
        let deep = if random.chance(50) { json!({"n": random.below(5)}) } else { json!({"n": random.below(5), "on": random.chance(50)}) };
        text.push(format!(r#""deep":{deep}"#));
        typed["arguments"]["deep"] = deep;
    }
    if random.chance(30) {
        text.push(r#""other":1.5e999"#.to_owned());
        typed["undeclared"] = json!(["/other"]);
    }
    (format!("{{{}}}", text.join(",")), typed)
}

/// What was asked, and how often it ended how.
#[derive(Default)]
struct Met {
    cases: usize,
    allows: usize,
    forbids: usize,
    errors: usize,
}

/// One world's policies and callers.
struct Case {
    world: World,
    set: PolicySet,
    callers: Vec<Caller>,
    met: Met,
}

impl Case {
    /// Asks `operation` of the server number `server`, on behalf of every caller.
    fn ask(&mut self, server: usize, operation: &Operation<'_>, arguments: &Value) {
        let server = &self.world.servers[server];
        for caller in &self.callers {
            let asked = queries(operation, server).unwrap();
            let mut wholes = Vec::new();
            let published = Published { scopes: &[], repeat_held: true };
            let (facts, hierarchy) = (facts(), ScopeHierarchy::default());
            let question = Question { subject: &caller.subject, hierarchy: &hierarchy, server, operation, facts: &facts, published };
            for query in &asked {
                let whole = whole(&self.set, caller, query, arguments);
                let members = query.context(&caller.subject, &facts).unwrap();
                let context = Context::from_pairs(members).unwrap();
                let answer = self.world.engine.ask(query, &caller.subject, caller.subject.entity().clone(), &[], context).unwrap();
                same(&answer, &whole, &|| format!("{query:?}\n{:?}\n{}", caller.entities, self.set));
                self.met.cases += 1;
                self.met.allows += usize::from(whole.decision() == Decision::Allow);
                self.met.forbids += usize::from(whole.decision() == Decision::Deny && whole.diagnostics().reason().next().is_some());
                self.met.errors += usize::from(whole.diagnostics().errors().next().is_some());
                wholes.push(whole);
            }
            concluded(&self.world.engine.evaluate(&question, &mut Vec::new()), &wholes, &self.set);
        }
    }
}

/// Cedar's answer over everything.
#[expect(clippy::disallowed_methods, reason = "the test's own data, and a second way to make Cedar's values")]
fn whole(set: &PolicySet, caller: &Caller, query: &Query<'_>, arguments: &Value) -> Response {
    let mut context = arguments.clone();
    context["token"] = caller.token.clone();
    context["request"] = json!({"ip": {"__extn": {"fn": "ip", "arg": "10.1.2.3"}}, "now": datetime("2025-06-02T09:30:00Z"),
        "local": {"weekday": 1, "minute": 570, "date": datetime("2025-06-02")}});
    let context = Context::from_json_value(context, None).unwrap();
    let (principal, action) = (caller.subject.uid().clone(), query.route.action().clone());
    let request = Request::new(principal, action, query.resource.clone(), context, None).unwrap();
    Authorizer::new().is_authorized(&request, set, &caller.entities)
}

/// Holds the outcome of a message against Cedar's answers to its questions, of which the first denial ends it.
#[track_caller]
fn concluded(found: &Conclusion, wholes: &[Response], set: &PolicySet) {
    let erred = |whole: &Response| errors(whole).iter().any(|id| set.policy(id).unwrap().effect() == Effect::Forbid);
    let refused = wholes.iter().position(|whole| whole.decision() == Decision::Deny || erred(whole));
    let asked = &wholes[..refused.map_or(wholes.len(), |at| at + 1)];
    let names = |ids: BTreeSet<String>| ids.into_iter().map(Arc::from).collect::<Vec<Arc<str>>>();
    let reasons = |whole: &Response| whole.diagnostics().reason().map(ToString::to_string).collect::<Vec<_>>();
    let erring = asked.iter().flat_map(|whole| errors(whole)).map(|id| id.to_string()).collect();
    assert_eq!(found.erring, names(erring));
    let Some(at) = refused else {
        assert_eq!(found.determining, names(wholes.iter().flat_map(reasons).collect()));
        assert_eq!(found.verdict.as_ref().unwrap().policies(), found.determining);
        return;
    };
    let (denied, by) = (&wholes[at], reasons(&wholes[at]));
    let is_erred = erred(denied) && (denied.decision() == Decision::Allow || by.is_empty());
    assert_eq!(matches!(found.verdict, Err(Refusal::Erred)), is_erred);
    assert_eq!(matches!(found.verdict, Err(Refusal::Denied { .. })), !is_erred);
    assert_eq!(found.determining, names(if is_erred { BTreeSet::new() } else { by.into_iter().collect() }));
}

/// Every kind of message to both servers.
fn messages(case: &mut Case, random: &mut Random) {
    let none = json!({});
    for _ in 0..4 {
        let (text, typed) = arguments(random);
        calling("read", &text, |call| case.ask(0, call, &typed));
    }
    let size = json!({"arguments": {"size": 7}, "count": {}, "undeclared": ["/other"]});
    calling("write", r#"{"size": 7, "other": {"deep": null}}"#, |call| case.ask(0, call, &size));
    calling("plain", "{}", |call| case.ask(0, call, &json!({"arguments": {}, "count": {}, "undeclared": []})));
    for tool in ["t0", "t1"] {
        calling(tool, r#"{"x": 1.5}"#, |call| case.ask(1, call, &none));
    }
    for server in 0..2 {
        for name in ["p0", "p1"] {
            case.ask(server, &Operation::Prompt { name: name.into() }, &none);
        }
        for uri in ["file:///public/a.txt", "file:///public/sub/b.txt", "file:///public", "file:///public/../etc", "https://h.example/x"] {
            case.ask(server, &Operation::Resource { method: ResourceMethod::Read, uri: uri.into() }, &none);
        }
        case.ask(server, &Operation::Task { method: TaskMethod::Get, id: "1".into() }, &none);
        case.ask(server, &Operation::Task { method: TaskMethod::Cancel, id: "2".into() }, &none);
        case.ask(server, &Operation::Session(SessionMethod::Initialize), &none);
        case.ask(server, &Operation::Session(SessionMethod::ListTasks), &none);
        let resources = vec!["file:///public/a.txt".into(), "https://h.example/x".into()];
        case.ask(server, &Operation::Listen { resources, tasks: vec!["2".into()] }, &none);
    }
    case.ask(0, &Operation::Other { method: "x/custom".into() }, &none);
}

/// 40 worlds of eight callers and 37 questions each.
#[track_caller]
fn check(seed: u64) {
    let servers = Servers::new(&[("a", Some(CATALOG), &["x/custom"]), ("b", None, &[])]);
    let targets = targets(&servers.schema);
    let mut random = Random::new(seed);
    let mut met = Met::default();
    for _ in 0..40 {
        let size = if random.chance(30) { 1 + random.below(12) } else { 12 + random.below(90) };
        let policies = servers.valid((0..size).map(|at| policy(&mut random, at)).collect());
        let implies: Vec<(usize, usize)> =
            [(0, 1), (0, 2), (1, 3), (2, 3)].into_iter().filter(|_| random.chance(50)).collect();
        let world = servers.under(&policies);
        let callers = (0..8).map(|_| caller(&mut random, &implies, &targets)).collect();
        let mut case = Case { set: world.whole(), world, callers, met };
        messages(&mut case, &mut random);
        met = case.met;
    }
    assert!(met.cases > 10_000, "{} cases", met.cases);
    for (what, count) in [("allow", met.allows), ("forbid", met.forbids), ("error", met.errors)] {
        assert!(count > 300, "seed {seed}: {what} in {count} of {}", met.cases);
    }
}

#[test]
fn the_engine_answers_as_cedar_alone_1() {
    check(1);
}

#[test]
fn the_engine_answers_as_cedar_alone_2() {
    check(2);
}
