//! Which paths there are at all.

use std::collections::BTreeSet;

use super::readings::{LOCAL, TOKEN, VERSION};
use crate::policy::arguments::{ArgumentType, RecordType};

/// What policies can read that a record shows.
#[derive(Debug)]
pub struct Known<'a> {
    /// The arguments of each tool.
    pub arguments: Vec<&'a RecordType>,
    /// The declared claims.
    pub claims: Vec<&'a str>,
}

impl Known<'_> {
    /// The names that can follow `at` in a path, which begins with `context` or `principal`. None, where it ends: the parts
    /// of a text have no path of their own.
    pub fn after(&self, at: &[String]) -> BTreeSet<&str> {
        let names: Vec<&str> = at.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["principal"] => self.claims.iter().copied().collect(),
            ["context"] => ["arguments", "count", "undeclared", "token", "request"].into(),
            ["context", "arguments", inner @ ..] => {
                self.arguments.iter().flat_map(|record| fields(record, inner)).map(|(name, _)| name).collect()
            }
            ["context", "count"] => {
                let all = self.arguments.iter().flat_map(|record| fields(record, &[]));
                all.filter(|(_, kind)| kind.is_array()).map(|(name, _)| name).collect()
            }
            ["context", "token"] => TOKEN.iter().map(|(name, _)| *name).collect(),
            ["context", "request"] => ["local", VERSION].into(),
            ["context", "request", "local"] => LOCAL.iter().map(|(name, _)| *name).collect(),
            _ => BTreeSet::new(),
        }
    }
}

/// The members of the record at `at` in `record`, if there is one.
fn fields<'r>(record: &'r RecordType, at: &[&str]) -> Vec<(&'r str, &'r ArgumentType)> {
    let Some((name, rest)) = at.split_first() else {
        return record.fields.iter().map(|field| (field.name.as_str(), &field.kind)).collect();
    };
    match record.fields.iter().find(|field| field.name == *name).map(|field| &field.kind) {
        Some(ArgumentType::Record(inner)) => fields(inner, rest),
        Some(
            ArgumentType::String
            | ArgumentType::Bool
            | ArgumentType::Long
            | ArgumentType::Decimal
            | ArgumentType::Set(_)
            | ArgumentType::Parts(_),
        )
        | None => Vec::new(),
    }
}
