//! Keyed hashes in the place of principals: two records of one caller are still seen to be of one, but not of whom.

use std::fmt;

use aws_lc_rs::hmac;
use thiserror::Error;

use crate::audit::line::hex;

/// Bytes of a key below which somebody could try them all.
const MIN_KEY: usize = 16;

/// Bytes of a hash: enough that no two principals share one.
const HASH_BYTES: usize = 16;

/// The key of the hashes. Whoever has it can tell whether a record is of a principal that they name.
#[derive(Clone)]
pub struct SubjectKey(hmac::Key);

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SubjectKeyError {
    /// It is too short to be a secret.
    #[error("the secret is shorter than {MIN_KEY} bytes")]
    Short,
}

impl SubjectKey {
    /// Takes a secret; white space around it does not count.
    ///
    /// # Errors
    /// [`SubjectKeyError`].
    pub fn parse(text: &[u8]) -> Result<Self, SubjectKeyError> {
        let secret = text.trim_ascii();
        if secret.len() < MIN_KEY {
            return Err(SubjectKeyError::Short);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// What tells this key from another, and nothing about it.
    pub fn id(&self) -> String {
        // No principal has this text: each has a type.
        self.tag(b"id")
    }

    /// What stands for `principal`: its type, which is of no person, and the hash of all of it.
    pub(super) fn hash(&self, principal: &str) -> String {
        let kind = principal.split_once("::\"").map_or("", |(kind, _)| kind);
        format!("{kind}::\"hmac:{}\"", self.tag(principal.as_bytes()))
    }

    fn tag(&self, message: &[u8]) -> String {
        let tag = hmac::sign(&self.0, message);
        hex(tag.as_ref().get(..HASH_BYTES).unwrap_or_default())
    }
}

/// Nothing of the key.
impl fmt::Debug for SubjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SubjectKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_the_key_and_the_whole_principal() {
        let key = |text: &[u8]| SubjectKey::parse(text).unwrap();
        let one = key(b"0123456789abcdef");
        let ada = one.hash("User::\"corp:ada\"");
        assert!(ada.starts_with("User::\"hmac:") && ada.len() == "User::\"hmac:\"".len() + 32, "{ada}");
        assert_eq!(key(b"0123456789abcdef\n").hash("User::\"corp:ada\""), ada);
        assert_ne!(one.hash("User::\"corp:bob\""), ada);
        assert_ne!(key(b"0123456789abcdeg").hash("User::\"corp:ada\""), ada);
    }

    #[test]
    fn a_short_secret_is_none() {
        assert_eq!(SubjectKey::parse(b" 0123456789abcde\n").map(|_| ()), Err(SubjectKeyError::Short));
    }
}
