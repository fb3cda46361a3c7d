//! Which values to hand out for a target: found once, when the rules are loaded.

use std::sync::Arc;

use cedar_policy::pst::{Clause, Expr, Var};
use cedar_policy::{EntityTypeName, Policy};

use super::{Value, optional, texts};
use crate::policy::arguments::{ArgumentType, RecordType};
use crate::policy::names::quoted;
use crate::policy::overlay::Parts;
use crate::policy::paths::{Need, Paths, Reads};
use crate::policy::query::RequestFacts;
use crate::token::Principal;

/// Values of one message that are told. A record has no room for more: each takes twenty bytes and more of what there is.
pub const MAX_READINGS: usize = 64;

/// What is read for one kind of target.
#[derive(Debug, Default)]
pub struct Readings {
    list: Vec<Reading>,
    left_out: usize,
}

/// A value that is read, and how a record gets it.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) path: Arc<str>,
    /// Whether only its presence is.
    pub(super) presence: bool,
    pub(super) fact: Fact,
}

/// Where a value comes from.
#[derive(Debug)]
pub(super) enum Fact {
    /// The argument at these names, of this type.
    Argument { at: Vec<String>, kind: ArgumentType },
    /// Parts of the URL, or of each of many, at these names: each with its path, and whether only its presence is read.
    Url { at: Vec<String>, many: bool, parts: Vec<(Arc<str>, UrlPart, bool)> },
    /// How many items an argument has.
    Count(String),
    /// The arguments that are not declared.
    Undeclared,
    /// A claim of the principal.
    Claim(String),
    /// A claim of the token's client, which it has where it is the principal.
    ClientClaim(String),
    /// A fact of the token.
    Token(OfToken),
    /// A fact of the request.
    Request(OfRequest),
}

type OfToken = fn(&Principal) -> Value;
type OfRequest = fn(&RequestFacts<'_>) -> Value;

/// A part of a URL. Its domains follow from its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlPart {
    Scheme,
    Host,
    Port,
    Path,
}

/// Facts of the token, without those that a record has in members of their own.
pub(super) const TOKEN: [(&str, OfToken); 6] = [
    ("acr", |principal| optional(principal.acr())),
    ("amr", |principal| texts(principal.amr())),
    ("actors", |principal| texts(principal.actors())),
    ("issuedAt", |principal| Value::Moment(principal.issued_at())),
    ("expiresAt", |principal| Value::Moment(principal.expires_at())),
    ("authTime", |principal| principal.auth_time().map_or(Value::Absent, Value::Moment)),
];

/// Facts of the request, likewise.
pub(super) const LOCAL: [(&str, OfRequest); 3] = [
    ("weekday", |facts| facts.local().map_or(Value::Absent, |local| Value::Long(local.weekday))),
    ("minute", |facts| facts.local().map_or(Value::Absent, |local| Value::Long(local.minute))),
    ("date", |facts| facts.local().map_or(Value::Absent, |local| Value::Text(local.date))),
];

/// The name of the protocol revision.
pub(super) const VERSION: &str = "protocolVersion";

/// Attributes of principals that are no claims: a record names the principal and the client.
const IDENTITY: [&str; 4] = ["issuer", "subject", "id", "host"];

/// `context.arguments.days`, as policies write it.
pub fn path<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut text = String::new();
    for name in names {
        // A word that Cedar reserves is no type name either.
        let plain = !name.contains(':') && name.trim() == name && name.parse::<EntityTypeName>().is_ok();
        match (plain, text.is_empty()) {
            (true, true) => text.push_str(name),
            (true, false) => text.extend([".", name]),
            (false, _) => text.extend(["[", &quoted(name), "]"]),
        }
    }
    text
}

/// The names in a path that is written as in a policy, `context` or `principal` first.
pub fn names(path: &str) -> Option<Vec<String>> {
    let policy = Policy::parse(None, format!("permit (principal, action, resource) when {{ {path} }};")).ok()?;
    let tree = policy.to_pst().ok()?;
    let [Clause::When(expr)] = tree.body().clauses().as_slice() else { return None };
    let (mut expr, mut names) = (expr, Vec::new());
    while let Expr::GetAttr { expr: inner, attr } = &**expr {
        names.push(attr.to_string());
        expr = inner;
    }
    let Expr::Var(variable) = &**expr else { return None };
    names.push(match variable {
        Var::Context => "context".to_owned(),
        Var::Principal => "principal".to_owned(),
        Var::Action | Var::Resource => return None,
    });
    names.reverse();
    Some(names)
}

impl Readings {
    /// What `reads` names, of a target whose arguments are of the type `arguments`, if it has any.
    pub(in crate::policy) fn of(reads: &Reads, arguments: Option<&RecordType>) -> Self {
        let mut readings = Self::default();
        let context = &reads.context;
        if let Some(declared) = arguments {
            readings.arguments(declared, context.need("arguments"), &mut Vec::new());
            for field in declared.fields.iter().filter(|field| field.kind.is_array()) {
                let need = context.need("count").member(&field.name);
                readings.add(need, &["context", "count", &field.name], || Fact::Count(field.name.clone()));
            }
            readings.add(context.need("undeclared"), &["context", "undeclared"], || Fact::Undeclared);
        }
        for (name, need) in claims(&reads.principal) {
            readings.add(need, &["principal", name], || Fact::Claim(name.to_owned()));
        }
        let token = context.need("token");
        if let Need::Part(client) = token.member("client") {
            // One path for one claim, by whichever name it is read: what is hidden at the one is not shown at another.
            for (name, need) in claims(client).filter(|(name, _)| reads.principal.need(name) != Need::Whole) {
                readings.add(need, &["principal", name], || Fact::ClientClaim(name.to_owned()));
            }
        }
        for (name, read) in TOKEN {
            readings.add(token.member(name), &["context", "token", name], || Fact::Token(read));
        }
        let request = context.need("request");
        for (name, read) in LOCAL {
            let need = request.member("local").member(name);
            readings.add(need, &["context", "request", "local", name], || Fact::Request(read));
        }
        readings.add(request.member(VERSION), &["context", "request", VERSION], || {
            Fact::Request(|facts| optional(facts.revision.map(|revision| revision.as_str())))
        });
        readings
    }

    /// Whether nothing is read.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Reading> {
        self.list.iter()
    }

    /// How many there are beyond [`MAX_READINGS`].
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    fn add(&mut self, need: Need<'_>, names: &[&str], fact: impl FnOnce() -> Fact) {
        let presence = match need {
            Need::Nothing => return,
            // No policy goes into a scalar.
            Need::Presence | Need::Part(_) => true,
            Need::Whole => false,
        };
        if self.list.len() == MAX_READINGS {
            self.left_out += 1;
        } else {
            self.list.push(Reading { path: path(names.iter().copied()).into(), presence, fact: fact() });
        }
    }

    fn arguments(&mut self, declared: &RecordType, need: Need<'_>, at: &mut Vec<String>) {
        for field in &declared.fields {
            let need = need.member(&field.name);
            at.push(field.name.clone());
            match (&field.kind, need) {
                (ArgumentType::Record(inner), Need::Part(_) | Need::Whole) => self.arguments(inner, need, at),
                (ArgumentType::Parts(parts), Need::Part(paths)) => self.parts(*parts, paths, at),
                (kind, need) => self.argument(need, at, kind),
            }
            at.pop();
        }
    }

    fn argument(&mut self, need: Need<'_>, at: &[String], kind: &ArgumentType) {
        let names: Vec<&str> = argument_names(at).collect();
        self.add(need, &names, || Fact::Argument { at: at.to_owned(), kind: kind.clone() });
    }

    /// A path is told by its text, whichever part is read: there is nothing in it but names. Of a URL only the parts are
    /// told that are read, for its query may hold what nobody is to see.
    fn parts(&mut self, parts: Parts, read: &Paths, at: &[String]) {
        let is_read = |name: &str| matches!(read.need(name), Need::Whole | Need::Part(_));
        let kind = ArgumentType::Parts(parts);
        match parts {
            Parts::Path | Parts::Paths if is_read("text") || is_read("within") => {
                self.argument(Need::Whole, at, &kind);
            }
            Parts::Url | Parts::Urls if is_read("text") => self.argument(Need::Whole, at, &kind),
            Parts::Path | Parts::Paths => self.argument(Need::Presence, at, &kind),
            Parts::Url | Parts::Urls => self.url(parts.is_array(), read, at, &kind),
        }
    }

    fn url(&mut self, many: bool, read: &Paths, at: &[String], kind: &ArgumentType) {
        let mut parts: Vec<(Arc<str>, UrlPart, bool)> = Vec::new();
        let all =
            [("scheme", UrlPart::Scheme), ("host", UrlPart::Host), ("port", UrlPart::Port), ("path", UrlPart::Path)];
        for (name, part) in all {
            let domains = if part == UrlPart::Host { read.need("domains") } else { Need::Nothing };
            let needs = [read.need(name), domains];
            let whole = needs.iter().any(|need| matches!(need, Need::Whole | Need::Part(_)));
            // The other parts are there with the URL.
            if whole || (part == UrlPart::Port && needs.contains(&Need::Presence)) {
                parts.push((path(argument_names(at).chain([name])).into(), part, !whole));
            }
        }
        let Some((first, _, _)) = parts.first() else { return self.argument(Need::Presence, at, kind) };
        if self.list.len() + parts.len() > MAX_READINGS {
            self.left_out += parts.len();
            return;
        }
        let fact = Fact::Url { at: at.to_owned(), many, parts: parts.clone() };
        self.list.push(Reading { path: first.clone(), presence: false, fact });
    }
}

impl Reading {
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

fn argument_names(at: &[String]) -> impl Iterator<Item = &str> {
    ["context", "arguments"].into_iter().chain(at.iter().map(String::as_str))
}

/// The claims among the attributes that are read of a principal.
fn claims(read: &Paths) -> impl Iterator<Item = (&str, Need<'_>)> {
    read.needs().filter(|(name, _)| !IDENTITY.contains(name))
}
