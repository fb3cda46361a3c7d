//! Floor 1: the one strict reading of a caller's JSON.
//!
//! Two parsers that read one text differently are a way around the gate: the server behind may keep the first of two
//! equal keys, fold case, or replace half a surrogate pair. So everything on which parsers are known to differ is refused
//! here and never resolved: duplicate keys at any depth (also when one is written with escapes), sibling keys that differ
//! by case only, control characters in keys, lone surrogates, byte order marks, trailing data, deep nesting.
//!
//! One pass over the text yields a tape: one 16-byte node for each value and each key, in the order of the text, that
//! says where it stands and how many nodes lie below it. A [`Value`] is a view into the tape. Nothing is copied, numbers
//! stay text (a float would round them), and dropping a [`Document`] does not recurse.
//!
//! Source: RFC 8259, with the I-JSON restrictions on keys and surrogates (RFC 7493 §2.1, §2.3).

mod error;
mod keys;
mod number;
mod parser;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::fmt;

pub use error::JsonError;
pub use keys::fold;

use parser::Parser;

/// How much structure a document may have. Its length in bytes is the caller's to bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Arrays and objects open at once; a document of one scalar has depth 0.
    pub depth: usize,
    /// Values and keys together.
    pub nodes: usize,
}

/// A parsed document: the caller's text and the tape over it.
pub struct Document<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

/// One value of a document: a view, as cheap to copy as a few pointers.
#[derive(Clone, Copy)]
pub struct Value<'d> {
    text: &'d str,
    node: &'d Node,
    /// The nodes below it, in the order of the text; the keys of an object precede their values.
    below: &'d [Node],
}

/// The six kinds of JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number, of any size and precision.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A value or a key on the tape.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Bytes of the text, the quotes of a string included.
    start: u32,
    end: u32,
    /// How many of the following nodes lie below this one.
    below: u32,
    tag: Tag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Null,
    False,
    True,
    Number,
    /// A string without escapes.
    String,
    /// A string with at least one escape.
    Escaped,
    /// A key that compares with its siblings byte by byte: short, ASCII, without escapes.
    ShortKey,
    Array,
    Object,
}

impl Node {
    const NULL: Self = Self { start: 0, end: 0, below: 0, tag: Tag::Null };

    fn text<'d>(&self, text: &'d str) -> &'d str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Bytes of the text.
    fn len(&self) -> u32 {
        self.end - self.start
    }

    /// The content of a string node as it is written.
    fn quoted<'d>(&self, text: &'d str) -> &'d str {
        text.get(self.start as usize + 1..(self.end as usize).saturating_sub(1)).unwrap_or_default()
    }

    /// The content of a string node with its escapes resolved.
    fn string<'d>(&self, text: &'d str) -> Cow<'d, str> {
        let quoted = self.quoted(text);
        if self.tag == Tag::Escaped { Cow::Owned(text::unescape(quoted)) } else { Cow::Borrowed(quoted) }
    }

    /// Whether a string node means exactly `wanted`.
    fn is_string(&self, text: &str, wanted: &str) -> bool {
        if self.tag == Tag::Escaped { text::unescape(self.quoted(text)) == wanted } else { self.quoted(text) == wanted }
    }
}

impl<'a> Document<'a> {
    /// Reads `bytes`, which must be one JSON value in UTF-8 with nothing but JSON whitespace around it.
    ///
    /// # Errors
    /// The first thing in the text that breaks a rule of this module, with its byte offset.
    pub fn parse(bytes: &'a [u8], limits: Limits) -> Result<Document<'a>, JsonError> {
        if bytes.starts_with(b"\xEF\xBB\xBF") {
            return Err(JsonError::Bom);
        }
        let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 { at: error.valid_up_to() })?;
        Ok(Document { text, nodes: Parser::new(text, limits).run()? })
    }

    /// The value that the document is.
    pub fn root(&self) -> Value<'_> {
        // The parser never yields an empty tape; were it to, null is what every reader refuses.
        let (node, below) = self.nodes.split_first().unwrap_or((&Node::NULL, &[]));
        Value { text: self.text, node, below }
    }
}

impl<'d> Value<'d> {
    /// Which of the six kinds it is.
    pub fn kind(self) -> Kind {
        match self.node.tag {
            Tag::Null => Kind::Null,
            Tag::False | Tag::True => Kind::Bool,
            Tag::Number => Kind::Number,
            Tag::String | Tag::Escaped | Tag::ShortKey => Kind::String,
            Tag::Array => Kind::Array,
            Tag::Object => Kind::Object,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then_some(self.node.tag == Tag::True)
    }

    /// The string with its escapes resolved, if it is one; borrowed when it has none.
    pub fn as_str(self) -> Option<Cow<'d, str>> {
        (self.kind() == Kind::String).then(|| self.node.string(self.text))
    }

    /// The literal of a number as it was written, if it is one.
    pub fn as_number(self) -> Option<&'d str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// The number, if it is exactly an integer of 64 bits, however it was written: `1`, `-0`, `1.0`, `10e-1`.
    pub fn as_i64(self) -> Option<i64> {
        self.as_number().and_then(number::integer)
    }

    /// The items of an array, in order; nothing for any other kind.
    pub fn items(self) -> impl Iterator<Item = Value<'d>> {
        Nodes { text: self.text, rest: if self.kind() == Kind::Array { self.below } else { &[] } }
    }

    /// The members of an object, in order, their keys with escapes resolved; nothing for any other kind.
    pub fn members(self) -> impl Iterator<Item = (Cow<'d, str>, Value<'d>)> {
        self.entries().map(|(key, value)| (key.node.string(key.text), value))
    }

    /// The member of an object whose key, with escapes resolved, is exactly `key`.
    pub fn get(self, key: &str) -> Option<Value<'d>> {
        self.entries().find(|(name, _)| name.node.is_string(name.text, key)).map(|(_, value)| value)
    }

    /// How many items an array or members an object has; 0 for any other kind.
    pub fn len(self) -> usize {
        if self.kind() == Kind::Array { self.items().count() } else { self.entries().count() }
    }

    /// Whether it has neither items nor members.
    pub fn is_empty(self) -> bool {
        self.below.is_empty()
    }

    /// The text of the value as it was written.
    pub fn raw(self) -> &'d str {
        self.node.text(self.text)
    }

    /// The value that the JSON pointer names from here (RFC 6901); none also when the pointer is not well formed.
    pub fn pointer(self, pointer: &str) -> Option<Value<'d>> {
        let mut tokens = pointer.split('/');
        if !tokens.next()?.is_empty() {
            return None;
        }
        tokens.try_fold(self, |value, token| match value.kind() {
            Kind::Object => value.get(&text::pointer_token(token)?),
            Kind::Array => value.items().nth(number::array_index(token)?),
            Kind::Null | Kind::Bool | Kind::Number | Kind::String => None,
        })
    }

    /// Keys, as string values, with their values.
    fn entries(self) -> impl Iterator<Item = (Value<'d>, Value<'d>)> {
        let mut nodes = Nodes { text: self.text, rest: if self.kind() == Kind::Object { self.below } else { &[] } };
        std::iter::from_fn(move || Some((nodes.next()?, nodes.next()?)))
    }
}

/// The values of one level of the tape.
struct Nodes<'d> {
    text: &'d str,
    rest: &'d [Node],
}

impl<'d> Iterator for Nodes<'d> {
    type Item = Value<'d>;

    fn next(&mut self) -> Option<Value<'d>> {
        let (node, after) = self.rest.split_first()?;
        let (below, rest) = after.split_at_checked(node.below as usize)?;
        self.rest = rest;
        Some(Value { text: self.text, node, below })
    }
}

// What a caller sent may be a secret: debug output tells its shape, not its text.

impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes, {} nodes)", self.text.len(), self.nodes.len())
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.kind(), self.raw().len())
    }
}
