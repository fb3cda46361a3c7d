//! What a field holds, as JSON.

use super::super::yaml::Data;
use super::{Fault, Field};
use crate::json::{Document, Limits};

/// A number alone.
const ONE_NUMBER: Limits = Limits { depth: 1, nodes: 1 };

impl Field<'_> {
    /// The value as JSON text; numbers stay as they are written, so that none is rounded.
    pub(in crate::config) fn json(&self) -> Option<String> {
        match &self.node.data {
            Data::Null => Some("null".to_owned()),
            Data::Bool(value) => Some(value.to_string()),
            Data::Number(text) => self.number(text),
            Data::Text(text) => Some(string(text)),
            Data::List(_) => Some(format!("[{}]", self.items(Field::json)?.join(","))),
            Data::Map(_) => {
                let members = self.entries(|name, value| Some(format!("{}:{}", string(name.value), value.json()?)))?;
                Some(format!("{{{}}}", members.join(",")))
            }
            Data::Refused(_) => self.mismatch("a value", ""),
        }
    }

    fn number(&self, text: &str) -> Option<String> {
        if Document::parse(text.as_bytes(), ONE_NUMBER).is_ok() {
            return Some(text.to_owned());
        }
        self.fail(Fault::new(
            format!("cannot be `{text}`: JSON does not write numbers so"),
            "write it as JSON does, or put it in quotes if it is text",
        ))
    }
}

/// `text` as JSON.
pub(in crate::config) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
