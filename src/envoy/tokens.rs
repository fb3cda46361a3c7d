//! Verified tokens, remembered. Facts about a token only, never a decision.
//!
//! INVARIANT (nothing stale verifies): the key is a hash of the whole token, and of the issuer too if that was asked. An entry
//! counts only while the issuer that vouches for it is, as an object, the one in force, and while that issuer still has the
//! key, or still remembers the very answer that the entry was made of; audience, issuers of the
//! server, `exp` and `nbf` are checked by `decision::decide` on every request, cached or not.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use aws_lc_rs::digest;
use moka::sync::Cache;

use crate::context::UnixTime;
use crate::decision::Caller;
use crate::decision::denial::{Denial, InvalidToken, Malfunction};
use crate::decision::server::Server;
use crate::issuer::{Active, Introspector, Issuer, TokenKey};
use crate::policy::subject::Subject;
use crate::reload::generation::{Generation, Trusted};
use crate::token::{Credential, Form, Principal, TokenError, UnverifiedToken, Voucher, verify};

/// Bytes that remembered tokens may take: what is counted for each is measured (`bench memory`) and within a quarter of
/// what it takes.
const CAPACITY: u64 = 64 * 1024 * 1024;

/// Places that the table of tokens begins with: more than there is ever room for, since a table that is nearly full is made
/// anew whenever enough entries have come and gone.
const PLACES: usize = 16 * 1024;

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
    /// Not kept alive by it: an issuer that was replaced ends, whatever is still remembered of it.
    issuer: Weak<Issuer>,
    /// The issuer's answer that it was made of, if the token is opaque.
    active: Option<Arc<Active>>,
    /// Bytes of the token, or of that answer.
    length: usize,
    /// Bytes that it was last counted with.
    counted: AtomicU32,
}

/// A token in a request to a server.
#[derive(Debug)]
pub struct Presented<'a> {
    /// The token.
    pub credential: &'a Credential,
    /// The server.
    pub server: &'a Server,
    /// The rules that hold.
    pub generation: &'a Generation,
    /// When it is.
    pub now: UnixTime,
    /// How long the proxy waits, less a margin; absent if it does not say.
    pub patience: Option<Duration>,
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
                .initial_capacity(PLACES)
                .weigher(|_, known: &Arc<Known>| known.counted.load(Ordering::Relaxed))
                .build(),
        )
    }
}

/// Makes the record's stand-in for a token.
type Fingerprint<'a> = &'a (dyn Fn(&[u8]) -> String + Sync);

impl Tokens {
    /// The caller that the token of a request proves. It waits only for an issuer's word about an opaque token.
    ///
    /// # Errors
    /// A [`Denial`] if the token does not verify, or cannot be verified now.
    pub async fn caller(
        &self,
        presented: &Presented<'_>,
        fingerprint: Fingerprint<'_>,
    ) -> (Lookup, Result<Arc<Known>, Denial>) {
        if Form::of(presented.credential.token()) == Form::Opaque
            && let Some((trusted, introspector)) = presented.introspecting()
        {
            return self.by_word(presented, trusted, introspector, fingerprint).await;
        }
        self.by_signature(presented, fingerprint)
    }

    fn by_signature(
        &self,
        presented: &Presented<'_>,
        fingerprint: Fingerprint<'_>,
    ) -> (Lookup, Result<Arc<Known>, Denial>) {
        let token = presented.credential.token();
        let key = hash(token);
        if let Some(known) = self.0.get(&key).filter(|known| known.counts(presented.generation)) {
            self.count_again(key, &known);
            return (Lookup::Hit, Ok(known));
        }
        let verified = presented.verified(fingerprint).map(Arc::new);
        if let Ok(known) = &verified {
            self.0.insert(key, known.clone());
        }
        (Lookup::Miss, verified)
    }

    /// The caller by an issuer's word. That is remembered by the issuer alone; here is what was made of it.
    async fn by_word(
        &self,
        presented: &Presented<'_>,
        trusted: &Trusted,
        introspector: &Introspector,
        fingerprint: Fingerprint<'_>,
    ) -> (Lookup, Result<Arc<Known>, Denial>) {
        let (token, now) = (presented.credential.token(), presented.now);
        if token.len() > presented.generation.rules.token_limit {
            return (Lookup::Miss, Err(TokenError::TooLong("token").into()));
        }
        let key = introspector.key(token);
        let (lookup, said) = match introspector.remembered(&key, now) {
            Some(said) => (Lookup::Hit, said.map_err(Denial::from)),
            None => {
                // Boxed, so that the future of every other request has not this one's size.
                let said = Box::pin(introspector.ask(key, token, now, presented.patience)).await;
                (Lookup::Miss, said.map_err(Denial::from))
            }
        };
        (lookup, said.and_then(|active| self.by_answer(key, &active, presented, trusted, fingerprint)))
    }

    fn by_answer(
        &self,
        key: TokenKey,
        active: &Arc<Active>,
        presented: &Presented<'_>,
        trusted: &Trusted,
        fingerprint: Fingerprint<'_>,
    ) -> Result<Arc<Known>, Denial> {
        if let Some(known) = self.0.get(&key).filter(|known| known.rests_on(active)) {
            self.count_again(key, &known);
            return Ok(known);
        }
        let known = presented.known(active.principal.clone(), trusted, Some(active.clone()), fingerprint)?;
        let known = Arc::new(known);
        self.0.insert(key, known.clone());
        Ok(known)
    }

    /// What a token remembers grows with what is asked with it.
    fn count_again(&self, key: TokenKey, known: &Arc<Known>) {
        let size = known.size();
        if known.counted.swap(size, Ordering::Relaxed) != size {
            self.0.insert(key, known.clone());
        }
    }
}

impl Known {
    /// Bytes that it takes, with the store that its first request will make.
    fn size(&self) -> u32 {
        let subject = &self.caller.subject;
        let (parents, stores) = (subject.parents().len(), subject.remembered().max(1));
        let fixed = OVERHEAD.saturating_add(self.length).saturating_add(parents.saturating_mul(PARENT));
        let stored = stores.saturating_mul(parents).saturating_add(subject.inherited()).saturating_mul(STORED_PARENT);
        let stores = stores.saturating_mul(STORE).saturating_add(stored);
        u32::try_from(fixed.saturating_add(stores)).unwrap_or(u32::MAX)
    }

    /// Whether the key that verified it still holds.
    fn counts(&self, generation: &Generation) -> bool {
        let principal = &self.caller.principal;
        let Some(Trusted { issuer, .. }) = generation.issuer(principal.issuer_name()) else { return false };
        // A `Weak` holds on to the address, so that no other issuer can have it.
        std::ptr::eq(Arc::as_ptr(issuer), self.issuer.as_ptr())
            && match principal.voucher() {
                Voucher::Key(key) => issuer.keys().is_some_and(|keys| keys.contains(&key)),
                // The issuer's word is asked for under a key of its own; nothing supposed is ever remembered.
                Voucher::Introspection | Voucher::Supposed => false,
            }
    }

    /// Whether it was made of this very answer, which the issuer object in force remembers.
    fn rests_on(&self, active: &Arc<Active>) -> bool {
        self.active.as_ref().is_some_and(|own| Arc::ptr_eq(own, active))
    }
}

impl Presented<'_> {
    fn verified(&self, fingerprint: Fingerprint<'_>) -> Result<Known, Denial> {
        let token = self.credential.token();
        if token.len() > self.generation.rules.token_limit {
            return Err(TokenError::TooLong("token").into());
        }
        let token = UnverifiedToken::parse(token)?;
        let trusted = trusted(token.issuer(), self.server, self.generation)?;
        let issuer = &trusted.issuer;
        if !issuer.has_keys() {
            return Err(Denial::TokenInvalid(InvalidToken::NoKeys));
        }
        let keys = issuer.keys().ok_or(Denial::KeysUnavailable)?;
        let principal = verify(&token, issuer.rules(), &keys, self.now).inspect_err(|error| {
            if *error == TokenError::UnknownKey {
                issuer.unknown_kid();
            }
        })?;
        self.known(Arc::new(principal), trusted, None, fingerprint)
    }

    fn known(
        &self,
        principal: Arc<Principal>,
        Trusted { issuer, hierarchy, .. }: &Trusted,
        active: Option<Arc<Active>>,
        fingerprint: Fingerprint<'_>,
    ) -> Result<Known, Denial> {
        let token = self.credential.token();
        let subject = Subject::new(principal.clone(), hierarchy).map_err(|_| Denial::Internal(Malfunction::Engine))?;
        let fingerprint = fingerprint(principal.token_id().unwrap_or(token).as_bytes());
        // An opaque token is shorter than what it stands for.
        let length = active.as_ref().map_or(token.len(), |active| active.length());
        let known = Known {
            principal: subject.uid().to_string(),
            caller: Caller { principal, subject, hierarchy: hierarchy.clone() },
            fingerprint,
            issuer: Arc::downgrade(issuer),
            active,
            length,
            counted: AtomicU32::new(0),
        };
        known.counted.store(known.size(), Ordering::Relaxed);
        Ok(known)
    }

    /// The one issuer of this server that is asked about opaque tokens; the loader refuses two.
    fn introspecting(&self) -> Option<(&Trusted, &Introspector)> {
        let mut own = self.server.issuers.iter().filter_map(|name| self.generation.issuer(name));
        own.find_map(|trusted| Some((trusted, trusted.issuer.introspector()?)))
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}

/// The issuer of this server whose identifier is exactly `iss`.
fn trusted<'a>(iss: &str, server: &Server, generation: &'a Generation) -> Result<&'a Trusted, Denial> {
    let mut own = server.issuers.iter().filter_map(|name| generation.issuer(name));
    own.find(|trusted| trusted.issuer.rules().issuer == iss).ok_or(Denial::TokenInvalid(InvalidToken::Issuer))
}

#[cfg(test)]
mod tests;
