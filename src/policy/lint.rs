//! Typos that strict validation lets pass: a name under `has` that nothing declares, a scope, tool or group that does not
//! exist. Each would make a policy silently never match, which for a forbid means an open door.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{ActionConstraint, EntityUid, Policy};

use crate::policy::arguments::{ArgumentType, RecordType};
use crate::policy::bundle::BundledPolicy;
use crate::policy::catalog::Catalog;
use crate::policy::groups::GroupHierarchy;
use crate::policy::names::{EntityKind, owned};
use crate::policy::overlay::{Never, never};
use crate::policy::schema::SchemaInput;
use crate::problem::{Severity, closest};

/// Something that a policy names and that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave.
    pub severity: Severity,
    /// What to mark in the policy.
    pub what: What,
    /// What is wrong with it.
    pub message: String,
    /// What was probably meant.
    pub help: Option<String>,
}

/// A piece of a policy's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An attribute or a member of a record, by its name.
    Attribute(String),
    /// An entity literal, as Cedar writes it.
    Literal(String),
    /// An annotation, by its name.
    Annotation(String),
}

/// The annotations that mean something here; others are the author's own.
const ANNOTATIONS: [&str; 5] = ["id", "advice", "acr", "max_age", "mode"];

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

/// The values of `@mode`.
const MODES: [&str; 2] = ["shadow", "enforce"];

/// What is known of the names that policies may use.
#[derive(Debug)]
pub struct Lints<'a> {
    known: &'a SchemaInput<'a>,
    /// By server and tool.
    tools: HashMap<&'a str, HashMap<&'a str, &'a RecordType>>,
    attributes: BTreeSet<&'a str>,
    /// The groups that others are in.
    parents: BTreeSet<&'a EntityUid>,
}

impl<'a> Lints<'a> {
    /// The names of `known`, and of `groups` that others are in.
    pub fn new(known: &'a SchemaInput<'a>, groups: &'a GroupHierarchy) -> Self {
        let of =
            |catalog: &'a Catalog| catalog.tools.iter().map(|tool| (tool.name.as_str(), &tool.arguments)).collect();
        let tools = known.servers.iter().filter_map(|server| Some((server.name, of(server.catalog?)))).collect();
        let claims = known.claims.iter().map(|(name, _)| *name);
        let attributes = ENTITY_ATTRIBUTES.into_iter().chain(claims).collect();
        Self { known, tools, attributes, parents: groups.parents().collect() }
    }

    /// Everything that `policy` names and that does not exist. It has the entity literals `literals`, or is a link with
    /// these values.
    pub fn of(&self, policy: &BundledPolicy, literals: &[EntityUid]) -> Vec<Finding> {
        let mut findings: Vec<Finding> = literals.iter().filter_map(|literal| self.unknown_literal(literal)).collect();
        if policy.link.is_some() {
            // The rest of a link is its template's, and said of that.
            return findings;
        }
        let paths = policy.reads.context.each();
        if !paths.is_empty() {
            let scope = self.scope(&policy.policy.action_constraint(), &paths);
            findings.extend(paths.iter().filter_map(|path| unknown_path(path, &scope, self.known)));
            findings.extend(never_equal(policy, &scope));
        }
        let unknown = policy.reads.attributes.iter().filter(|name| !self.attributes.contains(name.as_str()));
        findings.extend(unknown.map(|name| {
            let message = format!("no principal and no resource has an attribute `{name}`");
            unknown_attribute(message, name, self.attributes.iter().copied())
        }));
        findings.dedup();
        findings
    }

    /// A literal that names nothing. Methods are left to the validator; of prompts, resources, tasks, users and
    /// clients only the owner is known, and of a group whether its issuer's tokens name any.
    fn unknown_literal(&self, literal: &EntityUid) -> Option<Finding> {
        let known = self.known;
        let (kind, id) = (literal.type_name().basename(), literal.id().unescaped());
        let kind = EntityKind::ALL.into_iter().find(|each| each.as_str() == kind)?;
        let servers = known.servers.iter().map(|server| server.name);
        match kind {
            EntityKind::Server => servers.clone().all(|server| server != id).then(|| {
                let message = format!("there is no server `{id}`");
                unknown(literal, message, id, servers)
            }),
            EntityKind::Scope => (!known.scopes.contains(id)).then(|| {
                let message = format!("no server asks for the scope `{id}`, and no configured hierarchy has it");
                unknown(literal, message, id, known.scopes.iter().copied())
            }),
            EntityKind::Group | EntityKind::User | EntityKind::Client => {
                let of_nobody = owner(literal, id, known.issuers.iter().copied(), "an issuer");
                of_nobody.or_else(|| (kind == EntityKind::Group).then(|| self.empty_group(literal, id))?)
            }
            EntityKind::Prompt | EntityKind::Resource | EntityKind::Task => owner(literal, id, servers, "a server"),
            EntityKind::Tool => owner(literal, id, servers, "a server").or_else(|| self.unknown_tool(literal, id)),
            // An id without a colon is a method, or a group of methods.
            EntityKind::Action => id.split_once(':').and_then(|(server, tool)| {
                let of_nobody = owner(literal, id, servers, "a server");
                of_nobody.or_else(|| (tool != "*").then(|| self.unknown_action(literal, (server, tool)))?)
            }),
        }
    }

    /// A group that nobody can be in. What groups there are is for tokens to say; but of an issuer whose tokens name none,
    /// there are only those that others are in.
    fn empty_group(&self, literal: &EntityUid, id: &str) -> Option<Finding> {
        let (issuer, _) = id.split_once(':')?;
        if !self.known.groupless.contains(issuer) || self.parents.contains(literal) {
            return None;
        }
        let of_issuer =
            |uid: &&'a EntityUid| uid.id().unescaped().split_once(':').is_some_and(|(name, _)| name == issuer);
        let there = self.parents.iter().copied().filter(|uid| of_issuer(uid)).map(|uid| uid.id().unescaped());
        let message = format!("nobody is in the group `{id}`: tokens of `{issuer}` name no groups");
        let help = did_you_mean(id, there).unwrap_or_else(|| format!("set `groups` of the issuer `{issuer}`"));
        let what = What::Literal(literal.to_string());
        Some(Finding { severity: Severity::Warning, what, message, help: Some(help) })
    }

    fn unknown_tool(&self, literal: &EntityUid, id: &str) -> Option<Finding> {
        let (server, tool) = id.split_once(':')?;
        let tools = self.tools.get(server)?;
        if tools.contains_key(tool) {
            return None;
        }
        let message = format!("the catalogue of `{server}` has no tool `{tool}`");
        Some(unknown(literal, message, tool, tools.keys().copied()))
    }

    fn unknown_action(&self, literal: &EntityUid, (server, tool): (&str, &str)) -> Option<Finding> {
        if self.tools.contains_key(server) {
            return self.unknown_tool(literal, &owned(server, tool));
        }
        let message = format!("`{server}` has no catalogue, so there is no action for its tool `{tool}`");
        let help = format!(
            "name a catalogue in `tools`, or write `Action::\"{server}:*\"` and `resource == Tool::\"{server}:{tool}\"`"
        );
        let what = What::Literal(literal.to_string());
        Some(Finding { severity: Severity::Error, what, message, help: Some(help) })
    }

    /// The tools that `constraint` admits, as far as `paths` concern them.
    fn scope(&self, constraint: &ActionConstraint, paths: &[Vec<&str>]) -> Scope<'a> {
        if !paths.iter().any(|path| matches!(path.as_slice(), ["arguments" | "count", _, ..])) {
            return Scope { named: None, is_missing: false, tools: Vec::new() };
        }
        let named: Option<Vec<&EntityUid>> = match constraint {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(action) => Some(vec![action]),
            ActionConstraint::In(list) => Some(list.iter().collect()),
        };
        let all = || self.tools.values().flat_map(HashMap::values).copied();
        let Some(named) = named else {
            return Scope { named: None, is_missing: false, tools: all().collect() };
        };
        let mut tools = Vec::new();
        for action in &named {
            match action.id().unescaped().split_once(':') {
                None if ["mcp", "tools/call"].contains(&action.id().unescaped()) => tools.extend(all()),
                None => {}
                Some((server, "*")) => tools.extend(self.tools.get(server).into_iter().flat_map(HashMap::values)),
                Some((server, tool)) => tools.extend(self.tools.get(server).and_then(|tools| tools.get(tool))),
            }
        }
        let one = match named.as_slice() {
            [one] => one.id().unescaped().split_once(':').filter(|(_, tool)| *tool != "*"),
            _ => None,
        };
        let is_missing = one.is_some() && tools.is_empty();
        Scope { named: one.map(|(server, tool)| (server.to_owned(), tool.to_owned())), is_missing, tools }
    }
}

/// The tools that a policy speaks of.
struct Scope<'a> {
    /// Server and name, if it is one tool.
    named: Option<(String, String)>,
    /// Whether it is one tool that does not exist; then its arguments go without saying.
    is_missing: bool,
    tools: Vec<&'a RecordType>,
}

impl Scope<'_> {
    /// That none of them has `what`.
    fn lacks(&self, what: &str) -> String {
        match &self.named {
            Some((server, tool)) => format!("in the catalogue of `{server}`, the tool `{tool}` has no {what}"),
            None => format!("no tool that this policy speaks of has the {what}").replace("the array", "an array"),
        }
    }
}

/// Texts that a part of an overlaid argument never is.
fn never_equal(policy: &BundledPolicy, scope: &Scope<'_>) -> Vec<Finding> {
    // To look into a policy takes a while, and few tools are overlaid.
    if !scope.tools.iter().any(|record| record.has_parts()) {
        return Vec::new();
    }
    let overlaid = |path: &[&str]| scope.tools.iter().find_map(|record| record.parts(path));
    let found = never(&policy.policy, &overlaid).into_iter();
    let finding = |Never { literal, message, help }: Never| Finding {
        severity: Severity::Error,
        what: What::Literal(literal),
        message,
        help,
    };
    found.map(finding).collect()
}

/// Annotations that look like one that means something, and values that mean nothing. A policy whose `@mode` is
/// misspelt would be in force though nobody meant it to be.
pub(in crate::policy) fn annotations(policy: &Policy) -> Vec<Finding> {
    let error = |name: &str, message, help| Finding {
        severity: Severity::Error,
        what: What::Annotation(name.to_owned()),
        message,
        help,
    };
    let finding = |(name, value): (&str, &str)| match name {
        "max_age" => value.parse::<u64>().err().map(|_| {
            let help = Some("write seconds, as in `@max_age(\"300\")`".to_owned());
            error(name, format!("`@max_age` is `{value}`, not a number of seconds"), help)
        }),
        "mode" if !MODES.contains(&value) => {
            let message = format!("`@mode` is `{value}`, not `shadow` or `enforce`");
            Some(error(name, message, did_you_mean(value, MODES)))
        }
        name if ANNOTATIONS.contains(&name) => None,
        name => closest(name, ANNOTATIONS).map(|meant| {
            let message = format!("the annotation `@{name}` means nothing");
            error(name, message, Some(format!("did you mean `@{meant}`?")))
        }),
    };
    policy.annotations().filter_map(finding).collect()
}

fn did_you_mean<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut candidates: Vec<&str> = candidates.into_iter().collect();
    // Of names that are as near, always the same one.
    candidates.sort_unstable();
    closest(written, candidates).map(|name| format!("did you mean `{name}`?"))
}

fn unknown_attribute<'a>(message: String, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Finding {
    let (severity, what) = (Severity::Error, What::Attribute(name.to_owned()));
    Finding { severity, what, message, help: did_you_mean(name, candidates) }
}

fn unknown<'a>(
    literal: &EntityUid,
    message: String,
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Finding {
    let (severity, what) = (Severity::Error, What::Literal(literal.to_string()));
    Finding { severity, what, message, help: did_you_mean(written, candidates) }
}

/// Whether the id of `literal` belongs to one of `owners`.
pub(in crate::policy) fn owner<'a>(
    literal: &EntityUid,
    id: &str,
    owners: impl Iterator<Item = &'a str> + Clone,
    what: &str,
) -> Option<Finding> {
    let (owner, _) = id.split_once(':').unwrap_or((id, ""));
    if id.contains(':') && owners.clone().any(|each| each == owner) {
        return None;
    }
    let message = format!("the id `{id}` does not begin with the name of {what} and a colon");
    Some(unknown(literal, message, owner, owners))
}

/// A path of the context that no action in scope declares.
fn unknown_path(path: &[&str], scope: &Scope<'_>, known: &SchemaInput<'_>) -> Option<Finding> {
    let fixed = |names: &[&str], name: &str| {
        let message = format!("`context.{}` does not exist", path.join("."));
        (!names.contains(&name)).then(|| unknown_attribute(message, name, names.iter().copied()))
    };
    match path {
        [top] => fixed(&["token", "request", "arguments", "count", "undeclared"], top),
        ["token", member] => fixed(&TOKEN, member),
        ["request", "ip"] if !known.has_client_address => {
            let message = "`context.request.ip` does not exist: whose address it is has not been configured".to_owned();
            let help = Some("set `client_address` in the configuration".to_owned());
            Some(Finding { severity: Severity::Error, what: What::Attribute("ip".to_owned()), message, help })
        }
        ["request", member] => fixed(&REQUEST, member),
        ["request", "local", member] => fixed(&LOCAL, member),
        ["arguments" | "count", ..] if scope.is_missing => None,
        ["arguments", inner @ ..] => unknown_argument(inner, scope),
        ["count", name] => {
            let arrays = |record: &RecordType| field(record, name).is_some_and(ArgumentType::is_array);
            let message = || scope.lacks(&format!("array argument `{name}`"));
            (!scope.tools.iter().any(|record| arrays(record)))
                .then(|| unknown_attribute(message(), name, names(&scope.tools)))
        }
        _ => None,
    }
}

fn unknown_argument(path: &[&str], scope: &Scope<'_>) -> Option<Finding> {
    let (last, _) = path.split_last()?;
    if scope.tools.iter().any(|record| record.declares(path)) {
        return None;
    }
    let hidden = scope.tools.iter().flat_map(|record| &record.hidden).find(|hidden| path == [hidden.name.as_str()]);
    let message = match hidden {
        Some(hidden) => format!("the argument `{}` is not exposed to policies: {}", hidden.name, hidden.why),
        None => scope.lacks(&format!("argument `{}`", path.join("."))),
    };
    Some(unknown_attribute(message, last, names(&scope.tools)))
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
