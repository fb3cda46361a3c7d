//! Verified tokens, remembered. Facts about a token only, never a decision.
//!
//! INVARIANT (nothing stale verifies): the key is a hash of the whole token. An entry counts only while the issuer that
//! verified it is, as an object, the one in force, and while that issuer still has the key; audience, issuers of the
//! server, `exp` and `nbf` are checked by `decision::decide` on every request, cached or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::digest;
use moka::sync::Cache;

use crate::context::UnixTime;
use crate::decision::Caller;
use crate::decision::denial::{Denial, InvalidToken, Malfunction};
use crate::decision::server::Server;
use crate::issuer::Issuer;
use crate::policy::subject::Subject;
use crate::reload::generation::{Generation, Trusted};
use crate::token::{Bearer, TokenError, UnverifiedToken, verify};

/// Bytes that remembered tokens may take: what is counted for each is measured (`bench memory`) and within a quarter of
/// what it takes.
const CAPACITY: u64 = 64 * 1024 * 1024;

/// Bytes of an entry beside the token's own facts, which are about as long as the token, and beside groups and scopes: the
/// Cedar entities, the context record and the cache's own book-keeping.
const OVERHEAD: usize = 9 * 1024;

/// Bytes of each group or scope, which is in the token's facts, in the entity, and beside it.
const PARENT: usize = 544;

/// Bytes of an entity store, without the groups and scopes of the entity.
const STORE: usize = 3328;

/// Bytes of each group or scope in an entity store.
const STORED_PARENT: usize = 224;

/// The verified tokens of this process.
#[derive(Debug)]
pub struct Tokens(Cache<[u8; 32], Arc<Known>>);

/// A verified token, as it is remembered.
#[derive(Debug)]
pub struct Known {
    /// The caller.
    pub caller: Caller,
    /// The caller as policies name it.
    pub principal: String,
    /// What stands for the token in records.
    pub fingerprint: String,
    issuer: Arc<Issuer>,
    /// Bytes of the token.
    length: usize,
    /// Bytes that it was last counted with.
    counted: AtomicU32,
}

/// Whether a token was remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It was.
    Hit,
    /// It had to be verified.
    Miss,
}

impl Default for Tokens {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(|_, known: &Arc<Known>| known.counted.load(Ordering::Relaxed))
                .build(),
        )
    }
}

impl Tokens {
    /// The caller that `bearer` proves, for a request to `server`. `fingerprint` makes the record's stand-in for a token.
    ///
    /// # Errors
    /// A [`Denial`] if the token does not verify, or cannot be verified now.
    pub fn caller(
        &self,
        bearer: &Bearer,
        server: &Server,
        generation: &Generation,
        now: UnixTime,
        fingerprint: impl FnOnce(&[u8]) -> String,
    ) -> (Lookup, Result<Arc<Known>, Denial>) {
        let key = hash(bearer.as_str());
        if let Some(known) = self.0.get(&key).filter(|known| counts(known, generation)) {
            // What a token remembers grows with what is asked with it.
            let size = known.size();
            if known.counted.swap(size, Ordering::Relaxed) != size {
                self.0.insert(key, known.clone());
            }
            return (Lookup::Hit, Ok(known));
        }
        let verified = verified(bearer, server, generation, now, fingerprint).map(Arc::new);
        if let Ok(known) = &verified {
            self.0.insert(key, known.clone());
        }
        (Lookup::Miss, verified)
    }
}

impl Known {
    /// Bytes that it takes, with the store that its first request will make.
    fn size(&self) -> u32 {
        let subject = &self.caller.subject;
        let (parents, stores) = (subject.parents().len(), subject.remembered().max(1));
        let fixed = OVERHEAD.saturating_add(self.length).saturating_add(parents.saturating_mul(PARENT));
        let store = STORE.saturating_add(parents.saturating_mul(STORED_PARENT));
        u32::try_from(fixed.saturating_add(stores.saturating_mul(store))).unwrap_or(u32::MAX)
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}

/// Whether what verified `known` still holds.
fn counts(known: &Known, generation: &Generation) -> bool {
    let principal = &known.caller.principal;
    let same =
        generation.issuer(principal.issuer_name()).is_some_and(|trusted| Arc::ptr_eq(&trusted.issuer, &known.issuer));
    same && principal.key().is_some_and(|key| known.issuer.keys().is_some_and(|keys| keys.contains(key)))
}

fn verified(
    bearer: &Bearer,
    server: &Server,
    generation: &Generation,
    now: UnixTime,
    fingerprint: impl FnOnce(&[u8]) -> String,
) -> Result<Known, Denial> {
    if bearer.as_str().len() > generation.rules.token_limit {
        return Err(TokenError::TooLong("token").into());
    }
    let token = UnverifiedToken::parse(bearer.as_str())?;
    let Trusted { issuer, hierarchy, .. } = trusted(token.issuer(), server, generation)?;
    let keys = issuer.keys().ok_or(Denial::KeysUnavailable)?;
    let principal = verify(&token, issuer.rules(), &keys, now).inspect_err(|error| {
        if *error == TokenError::UnknownKey {
            issuer.unknown_kid();
        }
    })?;
    let subject = Subject::new(&principal, hierarchy).map_err(|_| Denial::Internal(Malfunction::Engine))?;
    let fingerprint = fingerprint(principal.token_id().unwrap_or(bearer.as_str()).as_bytes());
    let known = Known {
        principal: subject.uid().to_string(),
        caller: Caller { principal, subject, hierarchy: hierarchy.clone() },
        fingerprint,
        issuer: issuer.clone(),
        length: bearer.as_str().len(),
        counted: AtomicU32::new(0),
    };
    known.counted.store(known.size(), Ordering::Relaxed);
    Ok(known)
}

/// The issuer of this server whose identifier is exactly `iss`.
fn trusted<'a>(iss: &str, server: &Server, generation: &'a Generation) -> Result<&'a Trusted, Denial> {
    let mut own = server.issuers.iter().filter_map(|name| generation.issuer(name));
    own.find(|trusted| trusted.issuer.rules().issuer == iss).ok_or(Denial::TokenInvalid(InvalidToken::Issuer))
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::policy::subject::ScopeHierarchy;
    use crate::token::support::{TestKey, key_set};
    use crate::token::{Algorithm, IssuerRules, KeySet};

    /// A remembered token without length of its own, of somebody in this many groups.
    fn known(groups: usize) -> Known {
        let key = TestKey::new("EdDSA", "a");
        let rules = IssuerRules {
            name: "corp".to_owned(),
            issuer: "https://id.example.com".to_owned(),
            algorithms: vec![Algorithm::EdDSA],
            token_types: vec!["at+jwt".to_owned()],
            groups: Some("/groups".to_owned()),
            scope_claim: "/scope".to_owned(),
            claims: Vec::new(),
        };
        let names: Vec<String> = (0..groups).map(|number| format!("\"{number}\"")).collect();
        let claims = format!(
            r#"{{"iss":"https://id.example.com","sub":"ada","client_id":"agent","aud":"a","iat":1,"exp":1000,"jti":"1","groups":[{}]}}"#,
            names.join(",")
        );
        let token = key.token(&key.header(), &claims);
        let keys = KeySet::parse(key_set(&[&key]).as_bytes()).unwrap();
        let now = UnixTime::from_seconds(500);
        let principal = verify(&UnverifiedToken::parse(&token).unwrap(), &rules, &keys, now).unwrap();
        let subject = Subject::new(&principal, &ScopeHierarchy::default()).unwrap();
        Known {
            principal: subject.uid().to_string(),
            caller: Caller { principal, subject, hierarchy: Arc::default() },
            fingerprint: String::new(),
            issuer: Arc::new(Issuer::with_keys(rules, keys)),
            length: 0,
            counted: AtomicU32::new(0),
        }
    }

    #[test]
    fn groups_and_stores_are_counted() {
        for groups in [0, 3, 1000] {
            let known = known(groups);
            let store = STORE + groups * STORED_PARENT;
            for stores in 0..4 {
                let expected = OVERHEAD + groups * PARENT + stores.max(1) * store;
                assert_eq!(known.size() as usize, expected, "{groups} groups, {stores} stores");
                let made = known.caller.subject.store(&Arc::default(), |base| Ok::<_, ()>(base.clone()));
                assert!(made.is_ok());
            }
        }
    }
}
