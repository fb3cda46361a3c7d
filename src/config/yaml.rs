//! One YAML document as a plain tree in which every node knows its bytes.
//!
//! The tree is built from the parser's events because a ready-made one has already followed aliases and stops at the
//! first duplicate key: here both stay visible, so that the reader can report them beside all other mistakes, each under
//! its path. Anchors, aliases and tags are kept only as a refusal: nothing in a configuration needs them, and each lets
//! one line mean something that a reviewer does not see in it.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A node and where it is.
#[derive(Debug)]
pub(super) struct Node {
    /// Bytes of the text, at most to the end of the node's first line; the key's where the node has none.
    pub(super) span: Range<usize>,
    pub(super) data: Data,
}

impl Node {
    /// The `name` of every item of the list under `key`, wherever such things are.
    pub(super) fn names_in(&self, key: &str) -> Vec<String> {
        let Some(Data::List(items)) = self.value_of(key).map(|node| &node.data) else { return Vec::new() };
        let name = |item: &Node| {
            let Data::Text(name) = &item.value_of("name")?.data else { return None };
            Some(name.clone())
        };
        items.iter().filter_map(name).collect()
    }

    fn value_of(&self, key: &str) -> Option<&Node> {
        let Data::Map(entries) = &self.data else { return None };
        entries.iter().find(|(name, _)| name.text.as_deref() == Some(key)).map(|(_, node)| node)
    }
}

/// What a node holds. Plain scalars are resolved as in YAML 1.2's core schema, without hexadecimal and octal.
#[derive(Debug)]
pub(super) enum Data {
    Null,
    Bool(bool),
    /// A plain scalar that reads as a number, as it was written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, repeated keys included.
    Map(Vec<(Key, Node)>),
    /// Not read, and the word for why: `an alias`, …
    Refused(&'static str),
}

impl Data {
    /// The word for what this is, in a sentence.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Refused(what) => what,
        }
    }
}

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Key {
    /// The text; absent if the key is a list or a mapping.
    pub(super) text: Option<String>,
    pub(super) span: Range<usize>,
}

/// Why there is no tree: the text is not one YAML document.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// Reads the one document of `text`.
pub(super) fn load(text: &str) -> Result<Node, Unreadable> {
    let mut builder = Builder { text, offsets: offsets(text), open: Vec::new(), root: None };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let at = builder.byte(error.marker().index());
            unreadable(
                at..at,
                format!("not readable as YAML: {}", error.info()),
                "look at this line and the one before it",
            )
        })?;
        builder.take(event, span)?;
    }
    builder.root.ok_or_else(|| unreadable(0..0, "the file is empty".to_owned(), "see the sample configuration"))
}

/// Deeper than any section goes, and shallow enough to drop and walk without a thought for the stack.
const MAX_DEPTH: usize = 32;

struct Builder<'t> {
    text: &'t str,
    /// The byte of each character; empty if the text is ASCII, where they are the same.
    offsets: Vec<usize>,
    open: Vec<Frame>,
    root: Option<Node>,
}

/// A collection that has not ended yet.
struct Frame {
    start: usize,
    refused: Option<&'static str>,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// The entries so far, and the key that waits for its value.
    Map(Vec<(Key, Node)>, Option<Key>),
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Unreadable> {
        let bytes = self.byte(span.start.index())..self.byte(span.end.index());
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err(unreadable(
                bytes,
                "the file holds more than one YAML document".to_owned(),
                "keep one document, without a further `---`",
            )),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(_) => {
                self.place(bytes, Data::Refused("an alias"));
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let refused = refusal(anchor, tag.is_some());
                let bytes = self.without_comment(bytes, style);
                self.place(bytes, refused.map_or_else(|| scalar(&text, style), Data::Refused));
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(bytes, refusal(anchor, tag.is_some()), Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.open(bytes, refusal(anchor, tag.is_some()), Content::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(bytes.end);
                Ok(())
            }
        }
    }

    fn open(&mut self, at: Range<usize>, refused: Option<&'static str>, content: Content) -> Result<(), Unreadable> {
        if self.open.len() == MAX_DEPTH {
            return Err(unreadable(at, format!("nested more than {MAX_DEPTH} levels deep"), "no section is that deep"));
        }
        self.open.push(Frame { start: at.start, refused, content });
        Ok(())
    }

    fn close(&mut self, end: usize) {
        if let Some(Frame { start, refused, content }) = self.open.pop() {
            let data = match (refused, content) {
                (Some(what), _) => Data::Refused(what),
                (None, Content::List(items)) => Data::List(items),
                (None, Content::Map(entries, _)) => Data::Map(entries),
            };
            self.place(start..end, data);
        }
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, bytes: Range<usize>, data: Data) {
        let span = self.first_line(bytes);
        match self.open.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(Node { span, data }),
            Some(Content::List(items)) => items.push(Node { span, data }),
            Some(Content::Map(entries, waiting)) => match waiting.take() {
                None => *waiting = Some(key(span, data)),
                Some(key) => {
                    let span = if matches!(data, Data::Null) { key.span.clone() } else { span };
                    entries.push((key, Node { span, data }));
                }
            },
        }
    }

    /// `bytes` without the comment behind quoted text, which the parser takes for part of it.
    fn without_comment(&self, bytes: Range<usize>, style: ScalarStyle) -> Range<usize> {
        let (quote, escape) = match style {
            ScalarStyle::SingleQuoted => ('\'', '\''),
            ScalarStyle::DoubleQuoted => ('"', '\\'),
            ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => return bytes,
        };
        let text = self.text.get(bytes.clone()).unwrap_or_default();
        let mut rest = text.char_indices().skip(1).peekable();
        while let Some((offset, character)) = rest.next() {
            let escapes = character == escape && rest.next_if(|(_, next)| escape == '\\' || *next == '\'').is_some();
            if character == quote && !escapes {
                return bytes.start..bytes.start + offset + 1;
            }
        }
        bytes
    }

    /// `bytes` up to the end of their first line, without the space behind it.
    fn first_line(&self, bytes: Range<usize>) -> Range<usize> {
        let text = self.text.get(bytes.clone()).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default().trim_end();
        bytes.start..bytes.start + line.len()
    }

    /// The parser counts characters.
    fn byte(&self, character: usize) -> usize {
        if self.offsets.is_empty() {
            character.min(self.text.len())
        } else {
            self.offsets.get(character).copied().unwrap_or(self.text.len())
        }
    }
}

fn offsets(text: &str) -> Vec<usize> {
    if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(offset, _)| offset).collect() }
}

fn refusal(anchor: usize, tagged: bool) -> Option<&'static str> {
    if anchor > 0 { Some("an anchor") } else { tagged.then_some("a tag") }
}

fn key(span: Range<usize>, data: Data) -> Key {
    let text = match data {
        Data::Text(text) | Data::Number(text) => Some(text),
        Data::Bool(value) => Some(value.to_string()),
        Data::Null | Data::List(_) | Data::Map(_) | Data::Refused(_) => None,
    };
    Key { text, span }
}

fn scalar(text: &str, style: ScalarStyle) -> Data {
    if style != ScalarStyle::Plain {
        return Data::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ if text.bytes().any(|byte| byte.is_ascii_digit()) && text.parse::<f64>().is_ok() => {
            Data::Number(text.to_owned())
        }
        _ => Data::Text(text.to_owned()),
    }
}

fn unreadable(span: Range<usize>, message: String, help: &'static str) -> Unreadable {
    Unreadable { span, message, help }
}
