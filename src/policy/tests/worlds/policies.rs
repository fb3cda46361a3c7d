//! Random policies that are valid for the servers of this test, most of them.

use crate::policy::tests::random::Random;

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
        &[
            "resource.readOnly",
            "resource.destructive && resource.name like \"w*\"",
            "context.undeclared.contains(\"/other\")",
        ],
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
        &[
            "== Action::\"resources/read\"",
            "in [Action::\"resources/read\", Action::\"resources/subscribe\"]",
            "in Action::\"mcp\"",
        ],
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
const CONDITIONS: [&str; 17] = [
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
    "context.request.local.minute * 9223372036854775807 > 0",
    "principal is User && principal.subject == \"u0\"",
    "(if principal has department then context.token else {amr: [\"none\"]}).amr.contains(\"pwd\")",
];

/// A policy with the number `at`.
pub(super) fn policy(random: &mut Random, at: usize) -> String {
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
