//! Arguments as a record shows them: what their declared types make of them, and no member that no type declares.

use std::borrow::Cow;
use std::sync::Arc;

use super::Value;
use super::readings::UrlPart;
use crate::json;
use crate::json::Kind;
use crate::policy::arguments::{ArgumentType, RecordType};
use crate::policy::overlay::UrlParts;
use crate::token::decimal;

/// What is at `at` in `arguments`, null being nothing; `Err` if the way there leads through something that has no members.
fn find<'v>(arguments: Option<json::Value<'v>>, at: &[String]) -> Result<Option<json::Value<'v>>, ()> {
    let mut found = arguments;
    for name in at {
        let Some(object) = found else { return Ok(None) };
        if object.kind() != Kind::Object {
            return Err(());
        }
        found = object.get(name).filter(|value| !value.is_null());
    }
    Ok(found)
}

/// The argument at `at`, which is declared as `kind`.
pub(super) fn value(arguments: Option<json::Value<'_>>, at: &[String], kind: &ArgumentType) -> Value {
    match find(arguments, at) {
        Ok(None) => Value::Absent,
        Ok(Some(value)) => shown(value, kind).unwrap_or(Value::Unfit),
        Err(()) => Value::Unfit,
    }
}

/// Whether it is there, whatever it is.
pub(super) fn presence(arguments: Option<json::Value<'_>>, at: &[String]) -> Value {
    find(arguments, at).map_or(Value::Unfit, |found| Value::Presence(found.is_some()))
}

/// How many items the argument `name` has.
pub(super) fn count(arguments: Option<json::Value<'_>>, name: &str) -> Value {
    match arguments.and_then(|arguments| arguments.get(name)).filter(|value| !value.is_null()) {
        None => Value::Absent,
        Some(value) if value.kind() == Kind::Array => Value::Long(i64::try_from(value.len()).unwrap_or(i64::MAX)),
        Some(_) => Value::Unfit,
    }
}

/// The `parts` of the URL at `at`, or of the `many` that are there.
pub(super) fn url(
    arguments: Option<json::Value<'_>>,
    at: &[String],
    many: bool,
    parts: &[(Arc<str>, UrlPart, bool)],
    found: &mut Vec<(Arc<str>, Value)>,
) {
    let value = find(arguments, at);
    let urls = match value {
        Ok(None) => None,
        Ok(Some(value)) => Some(urls(value, many)),
        Err(()) => Some(None),
    };
    for (path, part, presence) in parts {
        let value = match &urls {
            None => Value::Absent,
            Some(None) => Value::Unfit,
            Some(Some(urls)) if many => Value::List(urls.iter().map(|url| url_part(url, *part)).collect()),
            Some(Some(urls)) => urls.first().map_or(Value::Unfit, |url| url_part(url, *part)),
        };
        let value = if *presence { Value::Presence(value != Value::Absent) } else { value };
        found.push((path.clone(), value));
    }
}

/// `None` unless every URL has parts.
fn urls(value: json::Value<'_>, many: bool) -> Option<Vec<UrlParts>> {
    match (many, value.kind()) {
        (false, _) => Some(vec![UrlParts::of(&value.as_str()?)?]),
        (true, Kind::Array) => value.items().map(|item| UrlParts::of(&item.as_str()?)).collect(),
        (true, _) => None,
    }
}

fn url_part(url: &UrlParts, part: UrlPart) -> Value {
    let text = match part {
        UrlPart::Scheme => url.scheme(),
        UrlPart::Host => url.host(),
        UrlPart::Path => url.path(),
        UrlPart::Port => return url.port().map_or(Value::Absent, |port| Value::Long(port.into())),
    };
    Value::Text(text.to_owned())
}

fn shown(value: json::Value<'_>, kind: &ArgumentType) -> Option<Value> {
    match kind {
        ArgumentType::String => value.as_str().map(Cow::into_owned).map(Value::Text),
        ArgumentType::Bool => value.as_bool().map(Value::Bool),
        ArgumentType::Long => value.as_i64().map(Value::Long),
        ArgumentType::Decimal => value.as_number().and_then(decimal).map(Value::Text),
        ArgumentType::Set(items) => list(value, items),
        ArgumentType::Parts(parts) if parts.is_array() => list(value, &ArgumentType::String),
        ArgumentType::Parts(_) => shown(value, &ArgumentType::String),
        ArgumentType::Record(_) => Some(Value::Text(text(value, kind)?.to_string())),
    }
}

fn list(value: json::Value<'_>, items: &ArgumentType) -> Option<Value> {
    if value.kind() != Kind::Array {
        return None;
    }
    let item = |item: json::Value<'_>| match items {
        ArgumentType::Set(_) | ArgumentType::Record(_) => Some(Value::Text(text(item, items)?.to_string())),
        ArgumentType::String
        | ArgumentType::Bool
        | ArgumentType::Long
        | ArgumentType::Decimal
        | ArgumentType::Parts(_) => shown(item, items),
    };
    value.items().map(item).collect::<Option<Vec<_>>>().map(Value::List)
}

/// An item that is no scalar, with the members that its type declares.
fn text(value: json::Value<'_>, kind: &ArgumentType) -> Option<serde_json::Value> {
    Some(match kind {
        ArgumentType::Record(record) => members(value, record)?,
        ArgumentType::Set(items) if value.kind() == Kind::Array => {
            value.items().map(|item| text(item, items)).collect::<Option<Vec<_>>>()?.into()
        }
        ArgumentType::Bool => value.as_bool()?.into(),
        ArgumentType::Long => value.as_i64()?.into(),
        ArgumentType::Decimal => decimal(value.as_number()?)?.into(),
        ArgumentType::String | ArgumentType::Parts(_) => value.as_str()?.into(),
        ArgumentType::Set(_) => return None,
    })
}

fn members(value: json::Value<'_>, record: &RecordType) -> Option<serde_json::Value> {
    if value.kind() != Kind::Object {
        return None;
    }
    let mut members = serde_json::Map::new();
    for field in &record.fields {
        if let Some(member) = value.get(&field.name).filter(|member| !member.is_null()) {
            members.insert(field.name.clone(), text(member, &field.kind)?);
        }
    }
    Some(members.into())
}
