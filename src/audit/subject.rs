//! Keyed hashes in the place of principals, addresses and values: two records of one caller are still seen to be of one, but
//! not of whom.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::hmac;
use thiserror::Error;

use crate::audit::line::hex;
use crate::policy::values::Value;

/// Bytes of a key below which somebody could try them all.
const MIN_KEY: usize = 16;

/// Bytes of a hash: enough that no two principals share one.
const HASH_BYTES: usize = 16;

/// What parts the fields of what is hashed: it is in no UTF-8. A principal's text is hashed as it is, and so never begins
/// with it.
const BREAK: [u8; 1] = [0xff];

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
        short(hmac::sign(&self.0, message))
    }

    /// What stands for `value` at `path`: equal for equal values there, and for sets that differ in their order only.
    pub(super) fn value(&self, path: &str, value: &Value) -> String {
        let mut context = self.context(b"value");
        context.update(path.as_bytes());
        context.update(&BREAK);
        feed(&mut context, value);
        short(context.sign())
    }

    /// What stands for the address of a caller.
    pub(super) fn source(&self, address: IpAddr) -> String {
        let mut context = self.context(b"source");
        context.update(address.to_string().as_bytes());
        format!("hmac:{}", short(context.sign()))
    }

    /// Hashes of one kind have nothing in common with those of another.
    fn context(&self, kind: &[u8]) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&BREAK);
        context.update(kind);
        context.update(&BREAK);
        context
    }
}

fn short(tag: hmac::Tag) -> String {
    hex(tag.as_ref().get(..HASH_BYTES).unwrap_or_default())
}

/// A letter for the type, the value, and a break: no two values make the same bytes.
fn feed(context: &mut hmac::Context, value: &Value) {
    match value {
        Value::Absent => context.update(b"n"),
        Value::Unfit => context.update(b"u"),
        Value::Presence(truth) => context.update(if *truth { b"P" } else { b"p" }),
        Value::Bool(truth) => context.update(if *truth { b"B" } else { b"b" }),
        Value::Long(number) => context.update(format!("l{number}").as_bytes()),
        Value::Moment(time) => context.update(format!("m{}", time.millis()).as_bytes()),
        Value::Text(text) => {
            context.update(b"t");
            context.update(text.as_bytes());
        }
        Value::List(items) => {
            context.update(b"[");
            let mut items: Vec<&Value> = items.iter().collect();
            items.sort_unstable();
            items.dedup();
            items.into_iter().for_each(|item| feed(context, item));
            context.update(b"]");
        }
    }
    context.update(&BREAK);
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

    /// All that differs in key, path, type or value has another hash; only the order and repeats of a set do not count.
    #[test]
    fn a_value_is_hashed_with_its_path_and_type() {
        let key = SubjectKey::parse(b"0123456789abcdef").unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        let list = |items: &[&str]| Value::List(items.iter().map(|item| text(item)).collect());
        let values = [
            ("a", text("1")),
            ("a", text("")),
            ("b", text("1")),
            ("ab", text("1")),
            ("a", Value::Long(1)),
            ("a", Value::Bool(true)),
            ("a", Value::Bool(false)),
            ("a", Value::Moment(crate::context::UnixTime::from_millis(1))),
            ("a", list(&[])),
            ("a", list(&["1"])),
            ("a", list(&["1", "2"])),
            ("a", list(&["12"])),
            ("a", list(&["1", "t2"])),
            ("a", Value::List(vec![Value::Long(1)])),
        ];
        let hashes: Vec<String> = values.iter().map(|(path, value)| key.value(path, value)).collect();
        for (at, hash) in hashes.iter().enumerate() {
            assert!(hash.len() == 32 && !hashes[..at].contains(hash), "{:?}", values[at]);
        }
        assert_eq!(key.value("a", &list(&["2", "1", "2"])), hashes[10]);
        let other = SubjectKey::parse(b"0123456789abcdeg").unwrap();
        assert_ne!(other.value("a", &text("1")), hashes[0]);
        // Nor is it that of a principal or an address of the same text.
        let address = IpAddr::from([192, 0, 2, 7]);
        let as_value = key.value("", &text(&address.to_string()));
        assert!(!key.source(address).contains(&as_value) && !key.hash(&address.to_string()).contains(&as_value));
        assert_ne!(key.source(address), format!("hmac:{}", short(hmac::sign(&key.0, b"192.0.2.7"))));
    }

    #[test]
    fn a_short_secret_is_none() {
        assert_eq!(SubjectKey::parse(b" 0123456789abcde\n").map(|_| ()), Err(SubjectKeyError::Short));
    }
}
