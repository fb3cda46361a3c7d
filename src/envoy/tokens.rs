//! Verified tokens, remembered. Facts about a token only, never a decision.
//!
//! INVARIANT (nothing stale verifies): the key is a hash of the whole token. An entry counts only while the issuer that
//! verified it is, as an object, the one in force, and while that issuer still has the key; audience, issuers of the
//! server, `exp` and `nbf` are checked by `decision::decide` on every request, cached or not.

use std::sync::Arc;

use aws_lc_rs::digest;
use moka::sync::Cache;

use crate::context::UnixTime;
use crate::decision::Caller;
use crate::decision::denial::{Denial, InvalidToken, Malfunction};
use crate::decision::server::Server;
use crate::issuer::Issuer;
use crate::policy::subject::Subject;
use crate::reload::generation::{Generation, Trusted};
use crate::token::{Credential, TokenError, UnverifiedToken, verify};

/// Bytes that remembered tokens may take, roughly.
const CAPACITY: u64 = 64 * 1024 * 1024;

/// Bytes of an entry beside the token's own facts, which are about as long as the token: the Cedar entity, the context
/// record and the cache's own book-keeping, measured with a dozen claims.
const OVERHEAD: usize = 6 * 1024;

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
    size: u32,
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
        Self(Cache::builder().max_capacity(CAPACITY).weigher(|_, known: &Arc<Known>| known.size).build())
    }
}

impl Tokens {
    /// The caller that `credential` proves, for a request to `server`. `fingerprint` makes the record's stand-in for a token.
    ///
    /// # Errors
    /// A [`Denial`] if the token does not verify, or cannot be verified now.
    pub fn caller(
        &self,
        credential: &Credential,
        server: &Server,
        generation: &Generation,
        now: UnixTime,
        fingerprint: impl FnOnce(&[u8]) -> String,
    ) -> (Lookup, Result<Arc<Known>, Denial>) {
        let key = hash(credential.token());
        if let Some(known) = self.0.get(&key).filter(|known| counts(known, generation)) {
            return (Lookup::Hit, Ok(known));
        }
        let verified = verified(credential, server, generation, now, fingerprint).map(Arc::new);
        if let Ok(known) = &verified {
            self.0.insert(key, known.clone());
        }
        (Lookup::Miss, verified)
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
    credential: &Credential,
    server: &Server,
    generation: &Generation,
    now: UnixTime,
    fingerprint: impl FnOnce(&[u8]) -> String,
) -> Result<Known, Denial> {
    if credential.token().len() > generation.rules.token_limit {
        return Err(TokenError::TooLong("token").into());
    }
    let token = UnverifiedToken::parse(credential.token())?;
    let Trusted { issuer, hierarchy, .. } = trusted(token.issuer(), server, generation)?;
    let keys = issuer.keys().ok_or(Denial::KeysUnavailable)?;
    let principal = verify(&token, issuer.rules(), &keys, now).inspect_err(|error| {
        if *error == TokenError::UnknownKey {
            issuer.unknown_kid();
        }
    })?;
    let subject = Subject::new(&principal, hierarchy).map_err(|_| Denial::Internal(Malfunction::Engine))?;
    let fingerprint = fingerprint(principal.token_id().unwrap_or(credential.token()).as_bytes());
    let size = u32::try_from(credential.token().len().saturating_add(OVERHEAD)).unwrap_or(u32::MAX);
    Ok(Known {
        principal: subject.uid().to_string(),
        caller: Caller { principal, subject, hierarchy: hierarchy.clone() },
        fingerprint,
        issuer: issuer.clone(),
        size,
    })
}

/// The issuer of this server whose identifier is exactly `iss`.
fn trusted<'a>(iss: &str, server: &Server, generation: &'a Generation) -> Result<&'a Trusted, Denial> {
    let mut own = server.issuers.iter().filter_map(|name| generation.issuer(name));
    own.find(|trusted| trusted.issuer.rules().issuer == iss).ok_or(Denial::TokenInvalid(InvalidToken::Issuer))
}

#[cfg(test)]
mod tests;
