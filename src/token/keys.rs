use std::collections::HashSet;
use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;
use thiserror::Error;

use super::algorithm::Algorithm;
use super::jwk;
use super::jwk::{KeyId, Unusable};
use crate::json::{Document, JsonError, Kind, Limits, Value};

/// The longest key set in bytes: 64 large RSA keys with certificate chains fit.
pub const MAX_KEY_SET: usize = 256 * 1024;

/// The most keys in a set. Issuers publish two to ten.
pub const MAX_KEYS: usize = 64;

/// A set is an object of an array of flat objects; the rest is room for what is ignored.
const LIMITS: Limits = Limits { depth: 8, nodes: 20_000 };

/// Members of private keys and of symmetric ones (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const SECRET_MEMBERS: [&str; 8] = ["d", "k", "p", "q", "dp", "dq", "qi", "oth"];

/// The public keys of one issuer (RFC 7517 §5).
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

/// One public key, ready to verify. It has no equality: compare its [`KeyId`].
#[derive(Clone)]
pub struct Key {
    name: Option<String>,
    id: KeyId,
    verifiers: Vec<Verifier>,
}

/// A key made ready for one algorithm that it has.
#[derive(Clone)]
pub(super) struct Verifier {
    pub(super) algorithm: Algorithm,
    pub(super) key: ParsedPublicKey,
}

/// A key of the set that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Why.
    pub reason: Unusable,
}

/// Why a key set is not used at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// Longer than [`MAX_KEY_SET`].
    #[error("the key set is longer than {MAX_KEY_SET} bytes")]
    TooLong,
    /// Not one strict JSON text.
    #[error("the key set cannot be read: {0}")]
    Json(JsonError),
    /// Not an object with an array `keys` of objects.
    #[error("the key set is not an object with an array `keys` of objects")]
    Shape,
    /// More than [`MAX_KEYS`].
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooMany,
    /// A key that whoever holds the set could sign with. Whatever signed with it may be forged, and an issuer that
    /// publishes one is not to be trusted with the others.
    #[error("key {index} of the set holds private or symmetric key material")]
    Secret {
        /// Its place in the set, from 0.
        index: usize,
    },
    /// Two keys have one `kid`.
    #[error("key {index} of the set has the `kid` of an earlier one")]
    DuplicateName {
        /// The place of the second, from 0.
        index: usize,
    },
    /// No key is usable.
    #[error("the key set has no usable key")]
    Empty,
}

impl KeySet {
    /// Reads a JWK set. Keys that cannot be used are left out, see [`Self::skipped`]; members that are not known are
    /// ignored.
    ///
    /// # Errors
    /// See [`KeySetError`].
    pub fn parse(text: &[u8]) -> Result<KeySet, KeySetError> {
        if text.len() > MAX_KEY_SET {
            return Err(KeySetError::TooLong);
        }
        let document = Document::parse(text, LIMITS).map_err(KeySetError::Json)?;
        let list = document.root().get("keys").filter(|keys| keys.kind() == Kind::Array).ok_or(KeySetError::Shape)?;
        if list.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        check_members(list)?;
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (index, value) in list.items().enumerate() {
            match jwk::read(value) {
                Ok(key) => keys.push(key),
                Err(reason) => skipped.push(Skipped { index, reason }),
            }
        }
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(KeySet { keys, skipped }) }
    }

    /// The key called `kid`, if it has the `algorithm`; without `kid` the only key that has it. With two candidates there
    /// is none: a guess would let one key stand in for another.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.verifier(algorithm).is_some() && (kid.is_none() || key.name.as_deref() == kid));
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// Whether a key is called `kid`, whatever its algorithm.
    pub fn names(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.name.as_deref() == Some(kid))
    }

    /// Whether the key is in the set. What a removed key has verified is no longer good.
    pub fn contains(&self, id: &KeyId) -> bool {
        self.keys.iter().any(|key| key.id == *id)
    }

    /// The number of usable keys, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a set without a usable key is never made")]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that were left out, in the order of the set.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

impl Key {
    pub(super) fn new(name: Option<String>, id: KeyId, verifiers: Vec<Verifier>) -> Self {
        Self { name, id, verifiers }
    }

    /// Whether it is a key of `algorithm`.
    pub(super) fn has(&self, algorithm: Algorithm) -> bool {
        self.verifier(algorithm).is_some()
    }

    /// The key's thumbprint.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    fn verifier(&self, algorithm: Algorithm) -> Option<&Verifier> {
        self.verifiers.iter().find(|verifier| verifier.algorithm == algorithm)
    }

    /// Whether `signature` is this key's over `signed` with an algorithm it has. Not made for secrets, so that its time may
    /// depend on its input.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &str, signature: &[u8]) -> bool {
        self.verifier(algorithm).is_some_and(|verifier| verifier.key.verify_sig(signed.as_bytes(), signature).is_ok())
    }
}

/// The thumbprint stands for the key material.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<Algorithm> = self.verifiers.iter().map(|verifier| verifier.algorithm).collect();
        f.debug_struct("Key").field("name", &self.name).field("id", &self.id).field("algorithms", &algorithms).finish()
    }
}

/// A public key that came alone; `None` if it cannot be used, or whoever reads it could sign with it.
pub(super) fn public_key(jwk: Value<'_>) -> Option<Key> {
    if is_secret(jwk) { None } else { jwk::read(jwk).ok() }
}

fn is_secret(jwk: Value<'_>) -> bool {
    let symmetric = jwk.get("kty").and_then(Value::as_str).is_some_and(|kind| kind == "oct");
    symmetric || SECRET_MEMBERS.into_iter().any(|member| jwk.get(member).is_some())
}

/// What no key of the set may be, usable or not.
fn check_members(list: Value<'_>) -> Result<(), KeySetError> {
    let mut names = HashSet::new();
    for (index, jwk) in list.items().enumerate() {
        if jwk.kind() != Kind::Object {
            return Err(KeySetError::Shape);
        }
        if is_secret(jwk) {
            return Err(KeySetError::Secret { index });
        }
        if let Some(name) = jwk.get("kid").and_then(Value::as_str)
            && !names.insert(name)
        {
            return Err(KeySetError::DuplicateName { index });
        }
    }
    Ok(())
}
