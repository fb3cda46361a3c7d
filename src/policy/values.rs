//! What policies read of a request, for its record: values by the paths that policies write.
//!
//! INVARIANT (nothing else is shown): a value is handed out only if a policy that can concern the target reads it; where
//! it asks for presence alone, only that is told. What a record says elsewhere is not said again: who the principal, its
//! issuer and its client are, the token's id, the address and the moment of the request. `policy/tests/values.rs` holds it.
//!
//! What is read is known when the rules are loaded ([`Readings`]); a request looks nothing up that no policy reads. Facts
//! of the token are taken as it has them, so that none becomes a Cedar value for the record alone.

mod argument;
mod known;
mod readings;

use std::sync::Arc;

pub use known::Known;
pub use readings::{MAX_READINGS, Readings, names, path};

use crate::context::UnixTime;
use crate::json;
use crate::policy::arguments::RecordType;
use crate::policy::query::RequestFacts;
use crate::policy::subject::Subject;
use crate::policy::values::readings::{Fact, Reading};
use crate::token::{ClaimValue, Principal};

/// A value that policies read, or what is told in its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Nothing is there.
    Absent,
    /// Whether something is there, of which policies read no more.
    Presence(bool),
    /// Something is there that is not of its declared type. What it is does not matter to a policy, and is not told.
    Unfit,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Long(i64),
    /// A moment.
    Moment(UnixTime),
    /// A text, or the text of a type that JSON has no word for.
    Text(String),
    /// The items of an array, as the caller orders them. What is no scalar is its JSON text.
    List(Vec<Value>),
}

/// The values that policies read of one message, each path once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    entries: Vec<(Arc<str>, Value)>,
    left_out: usize,
}

/// What there is to read for one question.
#[derive(Clone, Copy)]
pub(in crate::policy) struct Scene<'a> {
    pub(in crate::policy) subject: &'a Subject,
    pub(in crate::policy) facts: &'a RequestFacts<'a>,
    /// The arguments and their types.
    pub(in crate::policy) arguments: Option<(&'a RecordType, Option<json::Value<'a>>)>,
}

impl Values {
    /// The values, with the paths at which policies read them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(path, value)| (&**path, value))
    }

    /// How many more values policies read than are told of one message.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Adds what `readings` find. All questions of one message are about one request, so that a path has one value, whichever
    /// question it is read for.
    pub(in crate::policy) fn read(&mut self, readings: &Readings, scene: Scene<'_>) {
        let known = self.entries.len();
        for reading in readings.iter() {
            let is_known = |path: &str| self.entries.iter().take(known).any(|(other, _)| **other == *path);
            if !is_known(reading.path()) {
                reading.read(scene, &mut self.entries);
            }
        }
        self.left_out = self.left_out.max(readings.left_out());
    }
}

impl FromIterator<(Arc<str>, Value)> for Values {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Value)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect(), left_out: 0 }
    }
}

impl Reading {
    fn read(&self, scene: Scene<'_>, found: &mut Vec<(Arc<str>, Value)>) {
        let principal = scene.subject.principal();
        let (declared, arguments) = scene.arguments.unzip();
        let arguments = arguments.flatten();
        let value = match &self.fact {
            Fact::Argument { at, .. } if self.presence => {
                return found.push((self.path.clone(), argument::presence(arguments, at)));
            }
            Fact::Argument { at, kind } => argument::value(arguments, at, kind),
            Fact::Url { at, many, parts } => return argument::url(arguments, at, *many, parts, found),
            Fact::Count(name) => argument::count(arguments, name),
            Fact::Undeclared => undeclared(declared, arguments),
            Fact::Claim(name) => claim(principal, name),
            Fact::ClientClaim(name) if principal.is_client() => {
                found.retain(|(path, _)| *path != self.path);
                claim(principal, name)
            }
            Fact::ClientClaim(_) => return,
            Fact::Token(read) => read(principal),
            Fact::Request(read) => read(scene.facts),
        };
        let value = if self.presence { Value::Presence(value != Value::Absent) } else { value };
        found.push((self.path.clone(), value));
    }
}

fn claim(principal: &Principal, name: &str) -> Value {
    let Some((_, value)) = principal.claims().iter().find(|(claim, _)| claim == name) else { return Value::Absent };
    match value {
        ClaimValue::String(text) | ClaimValue::Decimal(text) => Value::Text(text.clone()),
        ClaimValue::Long(number) => Value::Long(*number),
        ClaimValue::Bool(truth) => Value::Bool(*truth),
        ClaimValue::Strings(list) => texts(list),
        ClaimValue::Longs(list) => Value::List(list.iter().copied().map(Value::Long).collect()),
        ClaimValue::Unrepresentable => Value::Unfit,
    }
}

fn undeclared(declared: Option<&RecordType>, arguments: Option<json::Value<'_>>) -> Value {
    let mut paths = Vec::new();
    if let (Some(declared), Some(arguments)) = (declared, arguments) {
        declared.undeclared(arguments, "", &mut paths);
    }
    Value::List(paths.into_iter().map(Value::Text).collect())
}

fn texts(list: &[String]) -> Value {
    Value::List(list.iter().cloned().map(Value::Text).collect())
}

fn optional(text: Option<&str>) -> Value {
    text.map_or(Value::Absent, |text| Value::Text(text.to_owned()))
}
