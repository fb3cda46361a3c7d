//! Keys of one object must differ, and differ by more than case.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{JsonError, Node, Tag};

/// Most keys of an object that are compared pair by pair; more are hashed, with the standard library's random seed, so
/// that a caller cannot choose keys that collide.
const PAIRWISE: usize = 16;

/// The case folding under which the keys of one object must differ: each character to lower case, then upper, then lower
/// again.
///
/// Case-insensitive readers fold U+017F (long s) to `s` and U+212A (Kelvin sign) to `k`, so `paramſ` can mean `params`
/// behind the gate. The first step is for U+1E9E alone, which has no upper case of its own and so would miss `ß`.
pub fn fold(key: &str) -> Cow<'_, str> {
    if !key.is_ascii() {
        let lower = key.chars().flat_map(char::to_lowercase);
        return Cow::Owned(lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect());
    }
    if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(key.to_ascii_lowercase())
    } else {
        Cow::Borrowed(key)
    }
}

/// Checks the keys among `below`, the nodes below one object.
pub(super) fn check(text: &str, below: &[Node]) -> Result<(), JsonError> {
    let mut small = [&Node::NULL; PAIRWISE];
    let mut count = 0;
    for key in keys(below) {
        match small.get_mut(count) {
            Some(slot) if key.tag == Tag::ShortKey => *slot = key,
            Some(_) | None => return check_by_hash(text, below),
        }
        count += 1;
    }
    let keys = small.get(..count).unwrap_or_default();
    for (index, key) in keys.iter().enumerate() {
        let name = key.text(text);
        if let Some(other) = keys
            .iter()
            .take(index)
            .find(|other| other.len() == key.len() && other.text(text).eq_ignore_ascii_case(name))
        {
            return Err(collision(text, key, other));
        }
    }
    Ok(())
}

fn check_by_hash(text: &str, below: &[Node]) -> Result<(), JsonError> {
    let mut seen: HashMap<Cow<'_, str>, &Node> = HashMap::new();
    for key in keys(below) {
        let folded = match key.string(text) {
            Cow::Borrowed(name) => fold(name),
            Cow::Owned(name) => Cow::Owned(fold(&name).into_owned()),
        };
        match seen.entry(folded) {
            Entry::Vacant(entry) => drop(entry.insert(key)),
            Entry::Occupied(entry) => return Err(collision(text, key, entry.get())),
        }
    }
    Ok(())
}

fn collision(text: &str, key: &Node, other: &Node) -> JsonError {
    let at = key.start as usize;
    if key.string(text) == other.string(text) { JsonError::DuplicateKey { at } } else { JsonError::FoldedKey { at } }
}

fn keys(below: &[Node]) -> impl Iterator<Item = &Node> {
    let mut rest = below;
    std::iter::from_fn(move || {
        let (key, after) = rest.split_first()?;
        let value = after.first()?;
        rest = after.get(1 + value.below as usize..)?;
        Some(key)
    })
}
