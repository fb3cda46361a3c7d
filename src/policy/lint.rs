//! Typos that strict validation lets pass: a name under `has` that nothing declares, a scope, tool or group that does not
//! exist. Each would make a policy silently never match, which for a forbid means an open door.

use std::collections::BTreeSet;

use cedar_policy::{ActionConstraint, EntityUid};

use crate::policy::arguments::{ArgumentType, RecordType};
use crate::policy::bundle::BundledPolicy;
use crate::policy::catalog::CataloguedTool;
use crate::policy::names::{EntityKind, any_tool, owned};
use crate::policy::overlay::{Never, never};
use crate::policy::schema::{SchemaInput, ServerSchema};
use crate::problem::closest;

/// Something that a policy names and that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The text to mark, as it stands in the policy.
    pub text: String,
    /// What is wrong with it.
    pub message: String,
    /// What was probably meant.
    pub help: Option<String>,
}

/// Names of the base schema that a policy may read, by where.
const TOKEN: [&str; 9] = ["id", "client", "issuer", "actors", "issuedAt", "expiresAt", "authTime", "acr", "amr"];
const REQUEST: [&str; 4] = ["ip", "now", "local", "protocolVersion"];
const LOCAL: [&str; 3] = ["weekday", "minute", "date"];
const ENTITY_ATTRIBUTES: [&str; 12] = [
    "issuer",
    "subject",
    "id",
    "host",
    "name",
    "readOnly",
    "destructive",
    "idempotent",
    "openWorld",
    "uri",
    "scheme",
    "path",
];

/// Everything that `policy` names and that does not exist.
pub fn lint(policy: &BundledPolicy, known: &SchemaInput<'_>) -> Vec<Finding> {
    if let Some(values) = &policy.link {
        // The rest of a link is its template's, and said of that.
        return values.iter().filter_map(|value| unknown_value(value, known)).collect();
    }
    let mut findings: Vec<Finding> =
        policy.policy.entity_literals().iter().filter_map(|literal| unknown_literal(literal, known)).collect();
    let scope = arguments_in_scope(&policy.policy.action_constraint(), known);
    findings.extend(policy.reads.context.each().iter().filter_map(|path| unknown_path(path, &scope, known)));
    let overlaid = |path: &[&str]| scope.iter().find_map(|record| record.parts(path));
    findings.extend(never(&policy.policy, &overlaid).into_iter().map(|never| {
        let Never { literal: text, message, help } = never;
        Finding { text, message, help }
    }));
    let claims = known.claims.iter().map(|(name, _)| *name);
    let attributes: Vec<&str> = ENTITY_ATTRIBUTES.into_iter().chain(claims).collect();
    let unknown = policy.reads.attributes.iter().filter(|name| !attributes.contains(&name.as_str()));
    findings.extend(unknown.map(|name| {
        let message = format!("no principal and no resource has an attribute `{name}`");
        finding(name.clone(), message, name, attributes.iter().copied())
    }));
    findings.dedup();
    findings
}

fn finding<'a>(text: String, message: String, written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Finding {
    Finding { text, message, help: closest(written, candidates).map(|name| format!("did you mean `{name}`?")) }
}

/// A literal that names nothing. Actions and servers are checked by the validator; of prompts, resources, tasks, users and
/// clients only the owner is known.
fn unknown_literal(literal: &EntityUid, known: &SchemaInput<'_>) -> Option<Finding> {
    let (kind, id) = (literal.type_name().basename(), literal.id().unescaped());
    let kind = EntityKind::ALL.into_iter().find(|each| each.as_str() == kind)?;
    let servers: Vec<&str> = known.servers.iter().map(|server| server.name).collect();
    match kind {
        EntityKind::Action | EntityKind::Server => None,
        EntityKind::Scope => (!known.scopes.contains(id)).then(|| {
            let message = format!("no server publishes the scope `{id}`, and no configured scope implies it");
            finding(literal.to_string(), message, id, known.scopes.iter().copied())
        }),
        EntityKind::Group | EntityKind::User | EntityKind::Client => owner(literal, id, &known.issuers, "issuer"),
        EntityKind::Prompt | EntityKind::Resource | EntityKind::Task => owner(literal, id, &servers, "server"),
        EntityKind::Tool => owner(literal, id, &servers, "server").or_else(|| unknown_tool(literal, id, known)),
    }
}

/// A value of a link that names nothing: the validator looks at the types of these alone.
fn unknown_value(value: &EntityUid, known: &SchemaInput<'_>) -> Option<Finding> {
    let (id, servers) = (value.id().unescaped(), known.servers.iter().map(|server| server.name));
    if value.type_name().basename() != EntityKind::Server.as_str() {
        return unknown_literal(value, known);
    }
    let message = format!("there is no server `{id}`");
    (!servers.clone().any(|name| name == id)).then(|| finding(value.to_string(), message, id, servers))
}

/// Whether the id of `literal` belongs to one of `owners`.
pub(in crate::policy) fn owner(literal: &EntityUid, id: &str, owners: &[&str], what: &str) -> Option<Finding> {
    let (owner, _) = id.split_once(':').unwrap_or((id, ""));
    if id.contains(':') && owners.contains(&owner) {
        return None;
    }
    let message = format!("the id `{id}` does not begin with the name of an {what} and a colon");
    let message = if what == "issuer" { message } else { message.replace(" an ", " a ") };
    Some(finding(literal.to_string(), message, owner, owners.iter().copied()))
}

fn unknown_tool(literal: &EntityUid, id: &str, known: &SchemaInput<'_>) -> Option<Finding> {
    let (owner, tool) = id.split_once(':')?;
    let catalog = known.servers.iter().find(|server| server.name == owner)?.catalog?;
    if catalog.tools.iter().any(|each| each.name == tool) {
        return None;
    }
    let message = format!("the catalogue of `{owner}` has no tool `{tool}`");
    Some(finding(literal.to_string(), message, tool, catalog.tools.iter().map(|each| each.name.as_str())))
}

/// The argument types of every tool that `constraint` admits.
fn arguments_in_scope<'a>(constraint: &ActionConstraint, known: &SchemaInput<'a>) -> Vec<&'a RecordType> {
    let named: Option<Vec<&str>> = match constraint {
        ActionConstraint::Any => None,
        ActionConstraint::Eq(action) => Some(vec![action.id().unescaped()]),
        ActionConstraint::In(list) => Some(list.iter().map(|action| action.id().unescaped()).collect()),
    };
    let admits = |server: &ServerSchema<'_>, tool: &CataloguedTool| {
        let Some(named) = &named else { return true };
        let (group, own) = (any_tool(server.name), owned(server.name, &tool.name));
        named.iter().any(|name| ["mcp", "tools/call", &group, &own].contains(name))
    };
    let tools = known.servers.iter().flat_map(|server| {
        let catalogued = server.catalog.into_iter().flat_map(|catalog| &catalog.tools);
        catalogued.map(move |tool| (server, tool))
    });
    tools.filter(|(server, tool)| admits(server, tool)).map(|(_, tool)| &tool.arguments).collect()
}

/// A path of the context that no action in scope declares.
fn unknown_path(path: &[&str], scope: &[&RecordType], known: &SchemaInput<'_>) -> Option<Finding> {
    let fixed = |names: &[&str], name: &str| {
        let message = format!("`context.{}` does not exist", path.join("."));
        (!names.contains(&name)).then(|| finding(name.to_owned(), message, name, names.iter().copied()))
    };
    match path {
        [top] => fixed(&["token", "request", "arguments", "count", "undeclared"], top),
        ["token", member] => fixed(&TOKEN, member),
        ["request", "ip"] if !known.has_client_address => {
            let message = "`context.request.ip` does not exist: whose address it is has not been configured".to_owned();
            let help = Some("set `client_address` in the configuration".to_owned());
            Some(Finding { text: "ip".to_owned(), message, help })
        }
        ["request", member] => fixed(&REQUEST, member),
        ["request", "local", member] => fixed(&LOCAL, member),
        ["arguments", inner @ ..] => unknown_argument(inner, scope),
        ["count", name] => {
            let arrays = |record: &RecordType| field(record, name).is_some_and(ArgumentType::is_array);
            let message = format!("no tool that this policy speaks of has an array argument `{name}`");
            (!scope.iter().any(|record| arrays(record)))
                .then(|| finding((*name).to_owned(), message, name, names(scope)))
        }
        _ => None,
    }
}

fn unknown_argument(path: &[&str], scope: &[&RecordType]) -> Option<Finding> {
    let (last, _) = path.split_last()?;
    if scope.iter().any(|record| record.declares(path)) {
        return None;
    }
    let hidden = scope.iter().flat_map(|record| &record.hidden).find(|hidden| path == [hidden.name.as_str()]);
    let message = match hidden {
        Some(hidden) => format!("the argument `{}` is not exposed to policies: {}", hidden.name, hidden.why),
        None => format!("no tool that this policy speaks of has the argument `{}`", path.join(".")),
    };
    Some(finding((*last).to_owned(), message, last, names(scope)))
}

fn field<'a>(record: &'a RecordType, name: &str) -> Option<&'a ArgumentType> {
    record.fields.iter().find(|field| field.name == name).map(|field| &field.kind)
}

/// The names of all arguments in scope, nested ones too.
fn names<'a>(scope: &[&'a RecordType]) -> BTreeSet<&'a str> {
    let mut all = BTreeSet::new();
    let mut open: Vec<&RecordType> = scope.to_vec();
    while let Some(record) = open.pop() {
        for field in &record.fields {
            all.insert(field.name.as_str());
            match &field.kind {
                ArgumentType::Record(inner) => open.push(inner),
                ArgumentType::Parts(parts) => all.extend(parts.members()),
                ArgumentType::String
                | ArgumentType::Bool
                | ArgumentType::Long
                | ArgumentType::Decimal
                | ArgumentType::Set(_) => {}
            }
        }
    }
    all
}
