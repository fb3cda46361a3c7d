//! Random policies that are valid for the servers of this test, most of them.

use crate::policy::links::Link;
use crate::policy::tests::random::Random;
use crate::policy::tests::world::written;

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

const PRINCIPALS: [&str; 16] = [
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
    "in Group::\"corp:g3\"",
    "in Group::\"corp:g4\"",
    "is User in Group::\"corp:g4\"",
    "== Client::\"corp:app1\"",
];

/// Conditions on any question.
const CONDITIONS: [&str; 20] = [
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
    "principal in Group::\"corp:g4\"",
    "Group::\"corp:g0\" in Group::\"corp:g3\"",
    "(if principal in Group::\"corp:g1\" then Group::\"corp:g1\" else Group::\"corp:g2\") in Group::\"corp:g4\"",
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
    let mode = if random.chance(20) { "@mode(\"shadow\") " } else { "" };
    let mut text =
        format!("@id(\"p{at}\") {mode}{effect} (principal {principal}, action {action}, resource {resource})");
    for _ in 0..random.below(3) {
        let condition = if random.chance(50) { random.pick(own) } else { random.pick(&CONDITIONS) };
        text.push_str(&format!(" {} {{ {condition} }}", random.pick(&["when", "unless"])));
    }
    text + ";"
}

/// `policies`, some of them as templates, and the links that make the same policies of these, and others.
pub(super) fn templates(random: &mut Random, policies: Vec<String>) -> (Vec<String>, Vec<Link>) {
    let mut links = Vec::new();
    let policies = policies.into_iter().map(|text| {
        if !random.chance(40) {
            return text;
        }
        let id = text.split('"').nth(1).unwrap().to_owned();
        let (text, principal) = slot(&text, "principal ");
        let (text, resource) = slot(&text, "resource ");
        if principal.is_none() && resource.is_none() {
            return text;
        }
        for number in 0..=random.below(3) {
            // The first is what was there; further ones are of its type.
            let value = |own: &Option<String>, random: &mut Random| {
                let own = own.as_ref()?;
                let others: Vec<&str> = VALUES.into_iter().filter(|other| kind(other) == kind(own)).collect();
                Some(written(if number == 0 || others.is_empty() { own } else { random.pick(&others) }))
            };
            let (principal, resource) = (value(&principal, random), value(&resource, random));
            links.push(Link { template: written(&id), id: written(format!("{id}.{number}")), principal, resource });
        }
        text
    });
    (policies.collect(), links)
}

/// What further links are of.
const VALUES: [&str; 12] = [
    "User::\"corp:u1\"",
    "Client::\"corp:app1\"",
    "Group::\"corp:g0\"",
    "Group::\"corp:g3\"",
    "Scope::\"s0\"",
    "Scope::\"s2\"",
    "Server::\"a\"",
    "Server::\"b\"",
    "Prompt::\"a:p1\"",
    "Resource::\"a:file:///public\"",
    "Resource::\"b:https://h.example\"",
    "Task::\"a:1\"",
];

fn kind(uid: &str) -> Option<&str> {
    uid.split("::").next()
}

/// `text` with a slot for the entity that the scope of `variable` names, and that entity.
fn slot(text: &str, variable: &str) -> (String, Option<String>) {
    let (before, rest) = text.split_at(text.find(variable).unwrap());
    let (scope, after) = rest.split_at(rest.find([',', ')']).unwrap());
    let Some(literal) = scope.split(' ').find(|word| word.contains("::")) else { return (text.to_owned(), None) };
    let slotted = scope.replace(literal, &format!("?{}", variable.trim()));
    (format!("{before}{slotted}{after}"), Some(literal.to_owned()))
}
