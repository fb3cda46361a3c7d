//! Validation over the part of the schema that concerns a policy, against validation over the whole: the same problems,
//! word for word.

use super::random::Random;
use super::world::Servers;
use crate::policy::bundle::{Bundle, PolicyFile};
use crate::policy::parts::{Part, Parts};
use crate::problem::{Problem, Source};

const PLACES: &str = r#"{"tools": [
    {"name": "read", "inputSchema": {"type": "object", "required": ["path"], "properties": {"path": {"type": "string"},
        "limit": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}}}},
    {"name": "write", "inputSchema": {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"},
        "path": {"type": "integer"}}}},
    {"name": "plain", "inputSchema": {"type": "object"}},
    {"name": "odd \"name\", \\ of", "inputSchema": {"type": "object", "properties": {"limit": {"type": "string"}}}}]}"#;

/// A tool without a second one to stand for it, and the same names with other types.
const LONE: &str = r#"{"tools": [{"name": "read", "inputSchema": {"type": "object", "properties": {"path": {"type": "boolean"},
    "limit": {"type": "integer"}}}}]}"#;

const PRINCIPALS: [&str; 8] = [
    "principal",
    "principal == User::\"corp:a\"",
    "principal is Client",
    "principal in Group::\"corp:g\"",
    "principal is User in Scope::\"s\"",
    "principal == Tool::\"files:read\"",
    "principal in Usr::\"x\"",
    "principal in Server::\"files\"",
];

const ACTIONS: [&str; 19] = [
    "action",
    "action == Action::\"files:read\"",
    "action == Action::\"files:write\"",
    "action == Action::\"files:odd \\\"name\\\", \\\\ of\"",
    "action == Action::\"lone:read\"",
    "action == Action::\"open:*\"",
    "action == Action::\"resources/subscribe\"",
    "action == Action::\"initialize\"",
    "action in [Action::\"files:read\", Action::\"files:write\"]",
    "action in [Action::\"files:read\", Action::\"session\"]",
    "action in Action::\"files:*\"",
    "action in Action::\"lone:*\"",
    "action in Action::\"tools/call\"",
    "action in Action::\"session\"",
    "action in Action::\"mcp\"",
    "action == Action::\"files:*\"",
    "action == Action::\"files:raed\"",
    "action in Action::\"flies:*\"",
    "action in [Action::\"custom/method\", Action::\"files:plain\"]",
];

const RESOURCES: [&str; 7] = [
    "resource",
    "resource == Tool::\"files:read\"",
    "resource in Server::\"files\"",
    "resource in Server::\"flies\"",
    "resource is Tool",
    "resource is Resource in Server::\"files\"",
    "resource == User::\"corp:a\"",
];

const CONDITIONS: [&str; 32] = [
    "true",
    "false",
    "resource.readOnly",
    "resource has uri && resource.uri like \"a*\"",
    "resource.nothing",
    "principal has department && principal.department == \"x\"",
    "principal.department == \"x\"",
    "principal.clearance > 1",
    "principal == resource",
    "action == Action::\"files:read\"",
    "action != Action::\"files:plain\"",
    "action == Action::\"lone:read\"",
    "action in Action::\"files:*\"",
    "action in Action::\"tools/call\"",
    "action in Action::\"nothing\"",
    "action == Action::\"files:read\" && context.arguments.path == \"x\"",
    "Action::\"files:read\" in Action::\"files:*\"",
    "context.token.issuer == \"corp\"",
    "context.token has acr && context.token.acr == \"x\"",
    "context.token.acr == \"x\"",
    "context.token.actors.contains(context.token.client)",
    "context.request.local.weekday < 6",
    "context.request.local.weekend",
    "context has arguments",
    "context.arguments has path && context.arguments.path == \"x\"",
    "context.arguments has limit && context.arguments.limit < 3",
    "context has arguments.limit && context.arguments.limit < 3",
    "context has count && context.count has tags && context.count.tags > 1",
    "context has undeclared && context.undeclared.isEmpty()",
    "context.undeclared.contains(1)",
    "context == context",
    "(if context has arguments then context.arguments else {path: \"x\"}) has path",
];

fn servers() -> Servers {
    Servers::new(&[("files", Some(PLACES), &["custom/method"]), ("lone", Some(LONE), &[]), ("open", None, &[])])
}

fn policy(random: &mut Random, number: usize) -> String {
    let effect = random.pick(&["permit", "forbid"]);
    let pick = |random: &mut Random, from: &[&'static str], usual: usize| {
        let end = if random.chance(80) { usual } else { from.len() };
        random.pick(&from[..end]).to_owned()
    };
    let (principal, action) = (pick(random, &PRINCIPALS, 5), pick(random, &ACTIONS, 15));
    let resource = pick(random, &RESOURCES, 3);
    let mut text = format!("@id(\"p{number}\")\n{effect} ({principal}, {action}, {resource})");
    for _ in 0..random.below(3) {
        text += &format!("\n{} {{ {} }}", random.pick(&["when", "unless"]), random.pick(&CONDITIONS));
    }
    text + ";\n"
}

/// The problems of one policy as a user sees them, in an order of their own.
fn problems(files: &[PolicyFile], mut parts: Parts) -> Vec<String> {
    let (_, problems) = Bundle::load(files, None, &mut parts, &|_, _| Vec::new());
    let said = |problem: &Problem| {
        let Problem { severity, source, span, message, help } = problem;
        format!("{} {span:?} {severity:?} {message} {help:?}", source.name)
    };
    let mut all: Vec<String> = problems.iter().map(said).collect();
    all.sort();
    all
}

fn check(seed: u64) {
    let (servers, mut random) = (servers(), Random::new(seed));
    let (mut valid, mut broken, mut narrow) = (0, 0, 0);
    for round in 0..40 {
        let texts: Vec<String> = (0..25).map(|number| policy(&mut random, number)).collect();
        let file = |(number, text): (usize, &String)| {
            let name = format!("{number}.cedar");
            PolicyFile { source: Source::new(name.as_str(), text.as_str()), name }
        };
        let files: Vec<PolicyFile> = texts.iter().enumerate().map(file).collect();
        let in_parts = problems(&files, servers.parts());
        assert_eq!(
            in_parts,
            problems(&files, servers.parts().only_whole(servers.schema.clone())),
            "{round}: {texts:#?}"
        );
        let faulty = |at: usize| in_parts.iter().any(|problem| problem.starts_with(&format!("{at}.cedar")));
        for at in 0..texts.len() {
            *(if faulty(at) { &mut broken } else { &mut valid }) += 1;
        }
        let lone: Vec<String> =
            texts.iter().enumerate().filter(|(at, _)| !faulty(*at)).map(|(_, t)| t.clone()).collect();
        let world = servers.under(&lone);
        let mut parts = servers.parts();
        narrow += world
            .engine
            .bundle()
            .iter()
            .filter(|policy| parts.of(policy, &policy.policy.entity_literals()) != Part::Whole)
            .count();
    }
    assert!(valid > 200 && broken > 200, "{valid} valid, {broken} broken");
    assert!(narrow * 10 > valid * 9, "{narrow} of {valid} are validated against a part");
}

#[test]
fn a_part_of_the_schema_gives_the_same_problems_1() {
    check(1);
}

#[test]
fn a_part_of_the_schema_gives_the_same_problems_2() {
    check(2);
}

#[test]
fn a_policy_on_one_tool_needs_little() {
    let servers = servers();
    let text = "@id(\"a\") permit (principal, action == Action::\"files:read\", resource);
        @id(\"b\") permit (principal, action in Action::\"files:*\", resource) when { resource.readOnly };
        @id(\"c\") permit (principal, action in Action::\"files:*\", resource) when { context.arguments has path };
        @id(\"d\") permit (principal, action in Action::\"mcp\", resource) when { context has arguments.path };";
    let world = servers.under(&[text.to_owned()]);
    let mut parts = servers.parts();
    let sizes: Vec<Option<usize>> = world
        .engine
        .bundle()
        .iter()
        .map(|policy| match parts.of(policy, &policy.policy.entity_literals()) {
            Part::Whole => None,
            Part::Of(part) => Some(part.len()),
        })
        .collect();
    // The tool or tools, `files:*`, `tools/call` and `mcp`.
    assert_eq!(sizes, [Some(4), Some(4), Some(7), None]);
}
