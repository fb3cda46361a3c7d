use std::collections::{HashMap, HashSet};

use super::verify::Principal;

/// What must no longer be let in although it has not expired, by the issuer's short name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations(HashMap<String, Revoked>);

/// What is revoked of one issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Values of `jti`.
    pub tokens: HashSet<String>,
    /// Values of `sub`.
    pub subjects: HashSet<String>,
    /// Values of `client_id` (or `azp`).
    pub clients: HashSet<String>,
}

impl Revocations {
    /// What is revoked of each issuer.
    pub fn new(by_issuer: HashMap<String, Revoked>) -> Self {
        Self(by_issuer)
    }

    /// Whether the token of `principal` is revoked, its subject, its client, or one of those that act in it (RFC 8693
    /// §4.1), by its client or its subject. An actor is known by one name, which may be either.
    pub fn cover(&self, principal: &Principal) -> bool {
        let Some(Revoked { tokens, subjects, clients }) = self.0.get(principal.issuer_name()) else { return false };
        principal.token_id().is_some_and(|id| tokens.contains(id))
            || principal.subject().is_some_and(|subject| subjects.contains(subject))
            || clients.contains(principal.client())
            || principal.actors().iter().any(|actor| clients.contains(actor) || subjects.contains(actor))
            || principal.actor_subjects().iter().any(|subject| subjects.contains(subject))
    }
}
