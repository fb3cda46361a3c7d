//! The revocation file: what must no longer be let in although it has not expired.
//!
//! ```yaml
//! corp:                        # the issuer's short name
//!   tokens: [4f1c9a]           # jti
//!   subjects: [mallory]        # sub
//!   clients: [lost-laptop]     # client_id
//! ```

use std::collections::HashSet;

use super::reader::{Field, Reader};
use super::{known, yaml};
use crate::problem::{Problem, Source};
use crate::token::{Revocations, Revoked};

/// Reads a revocation file. `issuers` are the short names that it may use. An empty file is a problem, not an empty list:
/// it may be one that is still being written, and would let in again what was shut out. `{}` is the empty list.
pub fn revocations(source: &Source, issuers: &[String]) -> (Option<Revocations>, Vec<Problem>) {
    let reader = Reader::new(source);
    let read = match yaml::load(&source.text) {
        Ok(root) => Field::root(&reader, &root).entries(|issuer, field| {
            let name = known(issuer.value, issuers, "issuer").map_err(|fault| field.report(fault)).ok();
            let revoked = field.section(|section| {
                let mut names = |key| section.optional(key, names).unwrap_or_default();
                Some(Revoked { tokens: names("tokens"), subjects: names("subjects"), clients: names("clients") })
            });
            Some((name?, revoked?))
        }),
        Err(error) => {
            reader.report(Some(error.span), error.message, error.help.to_owned());
            None
        }
    };
    (read.map(|entries| Revocations::new(entries.into_iter().collect())), reader.into_problems())
}

/// Names of any number; one that is listed twice is as good as once.
fn names(field: &Field<'_>) -> Option<HashSet<String>> {
    Some(field.items(|item| item.text().map(str::to_owned))?.into_iter().collect())
}
