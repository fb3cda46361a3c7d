//! What should come of a case.

use super::Known;
use crate::config::reader::{Fault, Field, Section};
use crate::config::values::quoted;
use crate::decision::denial::Reason;
use crate::problem::closest;

/// What should be decided, and why. What is absent is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The decision.
    pub decision: Wanted,
    /// The policies that decide, in any order.
    pub policies: Option<Vec<String>>,
    /// The policies in error, in any order.
    pub errors: Option<Vec<String>>,
    /// The scopes that would cure a denial, in any order.
    pub scopes: Option<Vec<String>>,
    /// What the caller is told.
    pub advice: Option<String>,
    /// The authentication context classes that would cure a denial, in any order.
    pub acr: Option<Vec<String>>,
    /// The age of a login that would cure a denial, in seconds.
    pub max_age: Option<u64>,
    /// The policies in shadow that would have made another decision, in any order.
    pub shadow: Option<Vec<String>>,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// An allow.
    Allow,
    /// The policies' no, whatever would cure it. A request that never gets to them (a tool that does not exist, an argument
    /// of another type) is not denied by them: a test that is about something else would pass for a slip of the finger.
    Deny,
    /// This outcome and no other.
    Reason(Reason),
}

impl Wanted {
    /// Whether `reason` is what is wanted.
    pub fn is(self, reason: Reason) -> bool {
        match self {
            Self::Allow => reason == Reason::Allow,
            Self::Deny => {
                matches!(reason, Reason::PolicyDenied | Reason::ScopeInsufficient | Reason::LoginInsufficient)
            }
            Self::Reason(wanted) => reason == wanted,
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Reason(reason) => reason.as_str(),
        }
    }
}

/// A word, or a mapping with more.
pub(super) fn expected(field: &Field<'_>, known: &Known<'_>) -> Option<Expected> {
    if field.is_mapping() { field.section(|section| whole(section, known)) } else { wanted(field).map(only) }
}

fn only(decision: Wanted) -> Expected {
    let (policies, errors, scopes, acr, shadow) = (None, None, None, None, None);
    Expected { decision, policies, errors, scopes, advice: None, acr, max_age: None, shadow }
}

fn whole(section: &mut Section<'_, '_>, names: &Known<'_>) -> Option<Expected> {
    let policy = |text: &str| policy(text, &names.policies);
    let any = |text: &str| Ok(text.to_owned());
    let decision = section.required("decision", wanted);
    let expected = Expected {
        policies: section.optional("policies", |field| field.texts(policy)),
        errors: section.optional("errors", |field| field.texts(policy)),
        scopes: section.optional("scopes", |field| field.texts(any)),
        advice: section.optional("advice", |field| field.text().map(str::to_owned)),
        acr: section.optional("acr", |field| field.texts(any)),
        max_age: section.optional("max_age", seconds),
        shadow: section.optional("shadow", |field| field.texts(policy)),
        ..only(Wanted::Allow)
    };
    Some(Expected { decision: decision?, ..expected })
}

/// The id of a policy. There may be too many to list.
fn policy(text: &str, ids: &[String]) -> Result<String, Fault> {
    if ids.iter().any(|id| id == text) {
        return Ok(text.to_owned());
    }
    let help = match closest(text, ids.iter().map(String::as_str)) {
        Some(id) => format!("did you mean `{id}`?"),
        None => "write what its `@id` says".to_owned(),
    };
    Err(Fault::new(format!("names no policy: {}", quoted(text)), help))
}

fn wanted(field: &Field<'_>) -> Option<Wanted> {
    let reasons = Reason::ALL.iter().filter(|reason| **reason != Reason::Allow);
    let reasons = reasons.map(|reason| (reason.as_str(), Wanted::Reason(*reason)));
    let words: Vec<_> = [("allow", Wanted::Allow), ("deny", Wanted::Deny)].into_iter().chain(reasons).collect();
    field.choice(&words)
}

fn seconds(field: &Field<'_>) -> Option<u64> {
    let text = field.amount()?;
    let read = text.parse().map_err(|_| Fault::new("must be a number of seconds", "write a whole number, such as 300"));
    read.map_err(|fault| field.report(fault)).ok()
}
