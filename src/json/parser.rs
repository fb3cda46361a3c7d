//! One pass over the text, without recursion: the open containers are on a stack of their own.

use super::text::{self, BadEscape};
use super::{JsonError, Limits, Node, Tag, keys};

/// Longest key, in bytes, that is compared with each of its siblings instead of being hashed. Bounds what a caller can
/// make those comparisons cost; the keys of real messages are shorter.
const SHORT_KEY: usize = 64;

/// Nodes to make room for at first: most messages need no more, and a small one wastes a kilobyte.
const FIRST_NODES: usize = 64;

pub(super) struct Parser<'a> {
    text: &'a str,
    limits: Limits,
    at: usize,
    nodes: Vec<Node>,
    open: Vec<Open>,
}

/// An array or object that has not ended yet.
#[derive(Clone, Copy)]
struct Open {
    /// Its place on the tape.
    index: usize,
    is_object: bool,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, limits: Limits) -> Self {
        Self { text, limits, at: 0, nodes: Vec::with_capacity(FIRST_NODES), open: Vec::new() }
    }

    pub(super) fn run(mut self) -> Result<Vec<Node>, JsonError> {
        if u32::try_from(self.text.len()).is_err() {
            return Err(JsonError::TooLong);
        }
        self.space();
        if self.peek().is_none() {
            return Err(JsonError::Empty);
        }
        self.value()?;
        while let Some(&Open { index, is_object }) = self.open.last() {
            self.space();
            let is_first = self.nodes.len() == index + 1;
            match self.peek() {
                Some(b'}') if is_object => self.close(index)?,
                Some(b']') if !is_object => self.close(index)?,
                Some(b',') if !is_first => {
                    self.at += 1;
                    self.space();
                    self.element(is_object)?;
                }
                Some(_) if is_first => self.element(is_object)?,
                Some(_) | None => return Err(self.syntax()),
            }
        }
        self.space();
        if self.peek().is_some() { Err(JsonError::Trailing { at: self.at }) } else { Ok(self.nodes) }
    }

    /// An item, or a key and its value.
    fn element(&mut self, is_object: bool) -> Result<(), JsonError> {
        if is_object {
            self.key()?;
        }
        self.value()
    }

    fn key(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.syntax());
        }
        let tag = self.string()?;
        let node = self.node(tag, start);
        let quoted = node.text(self.text).as_bytes();
        let control = |byte: &u8| byte.is_ascii_control();
        if quoted.iter().any(control) || (tag == Tag::Escaped && node.string(self.text).as_bytes().iter().any(control))
        {
            return Err(JsonError::ControlInKey { at: start });
        }
        let is_short = tag == Tag::String && quoted.len() <= SHORT_KEY + 2 && quoted.is_ascii();
        self.push(if is_short { Tag::ShortKey } else { tag }, start)?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.syntax());
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// A scalar, or the beginning of a container.
    fn value(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        let tag = match self.peek() {
            Some(b'{') => return self.open(Tag::Object),
            Some(b'[') => return self.open(Tag::Array),
            Some(b'"') => self.string()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Tag::True)?,
            Some(b'f') => self.word("false", Tag::False)?,
            Some(b'n') => self.word("null", Tag::Null)?,
            Some(_) | None => return Err(self.syntax()),
        };
        self.push(tag, start)
    }

    fn open(&mut self, tag: Tag) -> Result<(), JsonError> {
        if self.open.len() >= self.limits.depth {
            return Err(JsonError::TooDeep { at: self.at });
        }
        self.open.push(Open { index: self.nodes.len(), is_object: tag == Tag::Object });
        let start = self.at;
        self.at += 1;
        self.push(tag, start)
    }

    /// Ends the container at `index`, whose closing bracket comes next.
    fn close(&mut self, index: usize) -> Result<(), JsonError> {
        self.at += 1;
        self.open.pop();
        if let Some((node, below)) = self.nodes.get_mut(index..).and_then(<[Node]>::split_first_mut) {
            node.end = self.at as u32;
            node.below = below.len() as u32;
            if node.tag == Tag::Object {
                keys::check(self.text, below)?;
            }
        }
        Ok(())
    }

    /// Puts what stands from `start` to here on the tape.
    fn push(&mut self, tag: Tag, start: usize) -> Result<(), JsonError> {
        if self.nodes.len() >= self.limits.nodes {
            return Err(JsonError::TooManyNodes { at: start });
        }
        self.nodes.push(self.node(tag, start));
        Ok(())
    }

    /// A node for what stands from `start` to here; the offsets fit, because the length of the text does.
    fn node(&self, tag: Tag, start: usize) -> Node {
        Node { start: start as u32, end: self.at as u32, below: 0, tag }
    }

    fn string(&mut self) -> Result<Tag, JsonError> {
        let mut tag = Tag::String;
        self.at += 1;
        loop {
            self.at += text::plain_run(self.rest().as_bytes());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(tag);
                }
                Some(b'\\') => {
                    tag = Tag::Escaped;
                    let at = self.at;
                    self.at += 1;
                    let (_, length) = text::escape(self.rest()).map_err(|error| match error {
                        BadEscape::Syntax => JsonError::Syntax { at },
                        BadEscape::LoneSurrogate => JsonError::LoneSurrogate { at },
                    })?;
                    self.at += length;
                }
                Some(_) | None => return Err(self.syntax()),
            }
        }
    }

    fn number(&mut self) -> Result<Tag, JsonError> {
        self.skip(|byte| byte == b'-');
        if !self.skip(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.skip(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.skip(|byte| matches!(byte, b'e' | b'E')) {
            self.skip(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Ok(Tag::Number)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.skip(|byte| byte.is_ascii_digit()) {
            return Err(self.syntax());
        }
        while self.skip(|byte| byte.is_ascii_digit()) {}
        Ok(())
    }

    fn word(&mut self, word: &str, tag: Tag) -> Result<Tag, JsonError> {
        if !self.rest().starts_with(word) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(tag)
    }

    fn space(&mut self) {
        while self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {}
    }

    /// Steps over the next byte if it is `wanted`.
    fn skip(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn syntax(&self) -> JsonError {
        JsonError::Syntax { at: self.at }
    }
}
