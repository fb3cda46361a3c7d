//! The fields of messages: what they are called, which look-alikes are refused, how long they may be.

use std::borrow::Cow;

use crate::json::{Kind, Value, fold};

use super::error::Malformed;

/// Longest method, name, task id and request id, in bytes. The specification asks for tool names of at most 128
/// characters; nothing honest comes near this, and every name ends in an audit record.
pub(super) const NAME_LIMIT: usize = 1024;

/// Longest URI, in bytes: what common servers take as a request line.
pub(super) const URI_LIMIT: usize = 8 * 1024;

/// Where a modern message says its revision.
const CLAIM: &str = "io.modelcontextprotocol/protocolVersion";

/// The fields of `params`, of any method, that a decision or a server's routing depends on.
const PARAMS: [&str; 15] = [
    "name",
    "arguments",
    "uri",
    "taskId",
    "ref",
    "argument",
    "context",
    "notifications",
    "_meta",
    "cursor",
    "level",
    "protocolVersion",
    "task",
    "requestState",
    "inputResponses",
];

/// The fields of `params.notifications` in `subscriptions/listen`.
pub(super) const NOTIFICATIONS: [&str; 5] =
    ["toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions", "taskIds"];

/// The objects inside `params` that are read, with their fields. Of `_meta` only the reserved ones: the rest is anybody's.
const INSIDE_PARAMS: [(&str, &[&str]); 4] = [
    ("ref", &["type", "name", "uri"]),
    ("argument", &["name", "value"]),
    ("notifications", &NOTIFICATIONS),
    (
        "_meta",
        &[
            CLAIM,
            "io.modelcontextprotocol/clientInfo",
            "io.modelcontextprotocol/clientCapabilities",
            "io.modelcontextprotocol/logLevel",
            "io.modelcontextprotocol/subscriptionId",
            "io.modelcontextprotocol/related-task",
        ],
    ),
];

/// Refuses a key of `object` that folds to one of the `known` ASCII names without being it.
pub(super) fn no_lookalikes(object: Value<'_>, known: &[&'static str]) -> Result<(), Malformed> {
    for (key, _) in object.members() {
        if known.contains(&key.as_ref()) {
            continue;
        }
        let folded = fold(&key);
        if let Some(name) = known.iter().find(|name| name.eq_ignore_ascii_case(&folded)) {
            return Err(Malformed::FoldedKey(name));
        }
    }
    Ok(())
}

/// The revision that `params` claims, once none of its keys can be mistaken for another.
pub(super) fn claim(params: Option<Value<'_>>) -> Result<Option<Cow<'_, str>>, Malformed> {
    let Some(params) = params else { return Ok(None) };
    no_lookalikes(params, &PARAMS)?;
    for (field, known) in INSIDE_PARAMS {
        if let Some(object) = params.get(field) {
            no_lookalikes(object, known)?;
        }
    }
    let claim = object(params, "_meta")?.and_then(|meta| meta.get(CLAIM));
    claim.map(|claim| claim.as_str().ok_or(Malformed::Field(CLAIM))).transpose()
}

/// The object in `field`, if there is one; any other value there is an error.
pub(super) fn object<'d>(parent: Value<'d>, field: &'static str) -> Result<Option<Value<'d>>, Malformed> {
    match parent.get(field) {
        Some(value) if value.kind() != Kind::Object => Err(Malformed::Field(field)),
        found => Ok(found),
    }
}

/// The string in `field`, which must be there.
pub(super) fn text<'d>(parent: Value<'d>, field: &'static str, limit: usize) -> Result<Cow<'d, str>, Malformed> {
    parent.get(field).map_or(Err(Malformed::Field(field)), |value| identifier(value, field, limit))
}

/// The strings of the array in `field`; none when it is absent.
pub(super) fn texts<'d>(parent: Value<'d>, field: &'static str, limit: usize) -> Result<Vec<Cow<'d, str>>, Malformed> {
    match parent.get(field) {
        None => Ok(Vec::new()),
        Some(array) if array.kind() == Kind::Array => {
            array.items().map(|item| identifier(item, field, limit)).collect()
        }
        Some(_) => Err(Malformed::Field(field)),
    }
}

/// A string that names something: not empty, not too long, without control characters.
fn identifier<'d>(value: Value<'d>, field: &'static str, limit: usize) -> Result<Cow<'d, str>, Malformed> {
    let text = value.as_str().filter(|text| !text.is_empty()).ok_or(Malformed::Field(field))?;
    if text.len() > limit {
        return Err(Malformed::TooLong(field));
    }
    if text.contains(char::is_control) {
        return Err(Malformed::ControlCharacter(field));
    }
    Ok(text)
}
