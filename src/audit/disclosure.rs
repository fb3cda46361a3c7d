//! How much a record shows of what was read of a caller: the thing itself, a keyed hash that is the same for the same
//! thing, or only of what kind it is.
//!
//! A text that a caller chose is a JSON string and nothing else; what stands in the place of a value is a JSON object. So no
//! caller can make a value look masked, hashed or absent.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::audit::line::{LIST_LIMIT, Line};
use crate::audit::subject::SubjectKey;
use crate::policy::values::{Value, Values};

/// What is shown of a thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Showing {
    /// The thing.
    #[default]
    Shown,
    /// That it is there and of which type; of an address, its network.
    Masked,
    /// A keyed hash. Without the key it is masked.
    Hashed,
}

/// What is shown of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disclosure {
    /// Of values whose paths are not named.
    pub values: Showing,
    /// Of the values at these paths and below them, as [`path`](crate::policy::values::path) writes them. The longest counts.
    pub paths: Vec<(String, Showing)>,
    /// Of the caller's address.
    pub source: Showing,
}

impl Disclosure {
    fn of(&self, path: &str) -> Showing {
        let covers =
            |named: &str| path.strip_prefix(named).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        let named = self.paths.iter().filter(|(named, _)| covers(named)).max_by_key(|(named, _)| named.len());
        named.map_or(self.values, |(_, showing)| *showing)
    }
}

/// The member `values` of a record. Those past the bound are counted under the name `…`, which no path has.
pub(super) fn values(line: &mut Line, values: &Values, disclosure: &Disclosure, key: Option<&SubjectKey>) {
    line.object("values", |line| {
        let end = line.len() + LIST_LIMIT;
        let mut left_out = values.left_out();
        for (path, value) in values.iter() {
            if line.len() >= end {
                left_out += 1;
                continue;
            }
            match (value, disclosure.of(path), key) {
                (Value::Absent | Value::Presence(_) | Value::Unfit, _, _) | (_, Showing::Shown, _) => {
                    shown(line, path, value, end);
                }
                (_, Showing::Hashed, Some(key)) => line.object(path, |line| line.text("hmac", &key.value(path, value))),
                (_, Showing::Masked, _) | (_, Showing::Hashed, None) => {
                    line.object(path, |line| line.text("type", kind(value)));
                }
            }
        }
        if left_out > 0 {
            line.word("…", left_out);
        }
    });
}

/// The member `source` of a record.
pub(super) fn source(line: &mut Line, address: IpAddr, showing: Showing, key: Option<&SubjectKey>) {
    let address = address.to_canonical();
    let text = match (showing, key) {
        (Showing::Shown, _) => address.to_string(),
        (Showing::Hashed, Some(key)) => key.source(address),
        (Showing::Masked, _) | (Showing::Hashed, None) => network(address),
    };
    line.text("source", &text);
}

fn shown(line: &mut Line, path: &str, value: &Value, end: usize) {
    match value {
        Value::Absent => line.word(path, "null"),
        Value::Presence(is_there) => line.object(path, |line| line.word("present", is_there)),
        Value::Unfit => line.object(path, |line| line.word("unfit", true)),
        Value::Bool(truth) => line.word(path, truth),
        Value::Long(number) => line.word(path, number),
        Value::Moment(time) => line.time(path, *time),
        Value::Text(text) => line.text(path, text),
        Value::List(items) => line.items(path, items, Some(end), item, plain),
    }
}

fn item(line: &mut Line, value: &Value) {
    match value {
        Value::Bool(truth) => line.display(truth),
        Value::Long(number) => line.display(number),
        Value::Absent | Value::Presence(_) | Value::Unfit | Value::Moment(_) | Value::Text(_) | Value::List(_) => {
            line.string(&plain(value));
        }
    }
}

/// An item as text.
fn plain(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Text(text) => Cow::Borrowed(text),
        Value::Bool(truth) => truth.to_string().into(),
        Value::Long(number) => number.to_string().into(),
        // No array holds these.
        Value::Absent | Value::Presence(_) | Value::Unfit | Value::Moment(_) | Value::List(_) => Cow::Borrowed(""),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Absent | Value::Presence(_) | Value::Unfit => "null",
        Value::Bool(_) => "boolean",
        Value::Long(_) => "integer",
        Value::Moment(_) | Value::Text(_) => "string",
        Value::List(_) => "array",
    }
}

/// The network of an address: what a provider gives to one customer is at least as large.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_that_covers_a_value_counts() {
        let paths = [
            ("context.arguments", Showing::Masked),
            ("context.arguments.to", Showing::Hashed),
            ("context.arguments.to.name", Showing::Shown),
            ("principal", Showing::Hashed),
        ];
        let paths = paths.map(|(path, showing)| (path.to_owned(), showing)).to_vec();
        let disclosure = Disclosure { paths, ..Disclosure::default() };
        for (path, expected) in [
            ("context.arguments.days", Showing::Masked),
            ("context.arguments[\"a-b\"]", Showing::Masked),
            ("context.arguments.to", Showing::Hashed),
            ("context.arguments.to.street", Showing::Hashed),
            ("context.arguments.to[\"a b\"]", Showing::Hashed),
            ("context.arguments.to.name", Showing::Shown),
            ("context.arguments.today", Showing::Masked),
            ("context.argument", Showing::Shown),
            ("context.token.acr", Showing::Shown),
            ("principal.department", Showing::Hashed),
        ] {
            assert_eq!(disclosure.of(path), expected, "{path}");
        }
    }

    #[test]
    fn an_address_is_masked_to_its_network() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
            ("::1", "::/48"),
        ] {
            let mut line = Line::default();
            source(&mut line, address.parse().unwrap(), Showing::Masked, None);
            let expected = format!(",\"source\":\"{expected}\"");
            assert_eq!(String::from_utf8(line.finish().bytes).unwrap(), expected);
            let mut line = Line::default();
            source(&mut line, address.parse().unwrap(), Showing::Hashed, None);
            assert_eq!(String::from_utf8(line.finish().bytes).unwrap(), expected, "without a key it is masked");
        }
    }
}
