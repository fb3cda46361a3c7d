//! Reads typed values out of the tree and collects every problem on the way.
//!
//! The one rule: a reading function returns `None` only after a problem has been reported. So a section reads all of its
//! keys before it puts anything together, and a whole `Config` exists only if there was no problem anywhere.

mod json;

use std::cell::RefCell;
use std::ops::Range;

use super::Spanned;
use super::yaml::{Data, Key, Node};
use crate::problem::{Problem, Severity, Source, closest};
pub(super) use json::string;

/// Where problems are collected.
#[derive(Debug)]
pub(super) struct Reader<'s> {
    pub(super) source: &'s Source,
    /// What the whole of the file is called in a sentence.
    what: &'static str,
    problems: RefCell<Vec<Problem>>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self::of(source, "the configuration")
    }

    pub(super) fn of(source: &'s Source, what: &'static str) -> Self {
        Self { source, what, problems: RefCell::default() }
    }

    pub(super) fn report(&self, span: Option<Range<usize>>, message: String, help: String) {
        let problem =
            Problem { severity: Severity::Error, source: self.source.clone(), span, message, help: Some(help) };
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// What is wrong with one value: the end of a sentence that starts with the field's path, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) help: String,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

/// A node with its path (`servers[0].resource`) and the key it stands under.
#[derive(Debug)]
pub(super) struct Field<'a> {
    reader: &'a Reader<'a>,
    node: &'a Node,
    key: Option<&'a Key>,
    pub(super) path: String,
}

impl<'a> Field<'a> {
    /// The whole document.
    pub(super) fn root(reader: &'a Reader<'a>, node: &'a Node) -> Self {
        Self { reader, node, key: None, path: String::new() }
    }

    pub(super) fn report(&self, fault: Fault) {
        self.report_at(&self.node.span, &self.path, fault);
    }

    fn report_at(&self, span: &Range<usize>, path: &str, fault: Fault) {
        let subject = if path.is_empty() { self.reader.what.to_owned() } else { format!("`{path}`") };
        self.reader.report(Some(span.clone()), format!("{subject} {}", fault.what), fault.help);
    }

    /// How many problems there are so far, of this field and all others.
    pub(super) fn problems(&self) -> usize {
        self.reader.problems.borrow().len()
    }

    /// `value` with this field's place.
    pub(super) fn spanned<T>(&self, value: T) -> Spanned<T> {
        Spanned { value, span: self.node.span.clone() }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.node.data {
            Data::Text(text) if !text.is_empty() => Some(text),
            Data::Text(_) => self.fail(Fault::new("is empty", "write a value, or remove the key")),
            Data::Number(_) | Data::Bool(_) => self.mismatch("text", "put the value in quotes"),
            Data::Null | Data::List(_) | Data::Map(_) | Data::Refused(_) => {
                self.mismatch("text", "write a single value")
            }
        }
    }

    /// Text that `check` accepts.
    pub(super) fn read<T>(&self, check: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        check(self.text()?).map_err(|fault| self.report(fault)).ok()
    }

    pub(super) fn flag(&self) -> Option<bool> {
        if let Data::Bool(value) = &self.node.data {
            return Some(*value);
        }
        self.mismatch("`true` or `false`", "write `true` or `false`, without quotes")
    }

    /// A plain number, or text that is not a number: whatever stands there, as it was written.
    pub(super) fn amount(&self) -> Option<&'a str> {
        if let Data::Number(text) | Data::Text(text) = &self.node.data {
            return Some(text);
        }
        self.mismatch("a whole number", "write a number")
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        self.read(|text| {
            let chosen = choices.iter().find(|(word, _)| *word == text);
            chosen.map(|(_, value)| *value).ok_or_else(|| {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                Fault::new(format!("cannot be `{}`", text.escape_debug()), suggest(text, &words, "it is one of"))
            })
        })
    }

    /// Whether this is text of no length, in quotes.
    pub(super) fn is_blank(&self) -> bool {
        matches!(&self.node.data, Data::Text(text) if text.is_empty())
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.node.data, Data::Map(_))
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.node.data, Data::Text(_))
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.data, Data::Null)
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.data, Data::List(_))
    }

    /// Every item of a list, those that cannot be read left out.
    pub(super) fn items<T>(&self, mut read: impl FnMut(&Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Data::List(items) = &self.node.data else {
            return self.mismatch("a list", "write `[a, b]`, or one `- ` line for each item");
        };
        let field = |(index, node)| Self { node, key: None, path: format!("{}[{index}]", self.path), ..*self };
        Some(items.iter().enumerate().filter_map(|item| read(&field(item))).collect())
    }

    /// Every item of a list of texts that must differ.
    pub(super) fn texts(&self, check: impl Fn(&str) -> Result<String, Fault>) -> Option<Vec<String>> {
        let mut seen = Seen::default();
        self.items(|item| {
            let text = item.read(&check)?;
            item.distinct(&mut seen, text.clone());
            Some(text)
        })
    }

    /// This field, unless it is an empty list.
    pub(super) fn filled(&self) -> Option<&Self> {
        if matches!(&self.node.data, Data::List(items) if items.is_empty()) {
            return self.fail(Fault::new("is empty", "list at least one"));
        }
        Some(self)
    }

    /// Every entry of a mapping whose keys are the author's.
    pub(super) fn entries<T>(
        &self,
        mut read: impl FnMut(&Spanned<&'a str>, &Field<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let entry =
            |entry: &Entry<'a>| read(&Spanned { value: entry.name, span: entry.key.span.clone() }, &entry.field);
        Some(self.mapping()?.iter().filter_map(entry).collect())
    }

    /// A mapping whose keys are ours: `read` asks for each of them, and whatever it did not ask for is unknown.
    pub(super) fn section<T>(&self, read: impl FnOnce(&mut Section<'a, '_>) -> Option<T>) -> Option<T> {
        let mut section = Section { field: self, entries: self.mapping()?, asked: Vec::new() };
        let value = read(&mut section);
        section.report_unknown();
        value
    }

    /// Whether `key`, the value of this field in the form in which it compares, is new; if it is not, that is a problem.
    pub(super) fn distinct(&self, seen: &mut Seen, key: String) -> bool {
        if let Some((_, path)) = seen.0.iter().find(|(other, _)| *other == key) {
            let help = format!("change `{}` or `{path}`, or remove one of them", self.path);
            self.report(Fault::new(format!("is the same as `{path}`"), help));
            return false;
        }
        seen.0.push((key, self.path.clone()));
        true
    }

    /// The entries of a mapping: each key once, each of them text.
    fn mapping(&self) -> Option<Vec<Entry<'a>>> {
        let Data::Map(entries) = &self.node.data else {
            return self.mismatch("a mapping", "write `key: value` lines, or `{key: value}`");
        };
        let mut known: Vec<Entry<'a>> = Vec::new();
        for (key, node) in entries {
            let Some(name) = key.text.as_deref() else {
                self.report_at(
                    &key.span,
                    &self.path,
                    Fault::new("has a key that is not text", "put the key in quotes"),
                );
                continue;
            };
            let path = self.path_to(name);
            if name == "<<" {
                self.report_at(
                    &key.span,
                    &path,
                    Fault::new("is a merge key", "write the values out: merging is not read"),
                );
            } else if let Some(first) = known.iter().find(|entry| entry.name == name) {
                let line = self.line_of(&first.key.span);
                let help = format!("remove one of them: the first is on line {line}");
                self.report_at(&key.span, &path, Fault::new("is given twice", help));
            } else {
                known.push(Entry { name, key, field: Field { node, key: Some(key), path, ..*self } });
            }
        }
        Some(known)
    }

    fn path_to(&self, name: &str) -> String {
        let simple = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        match (self.path.as_str(), simple) {
            ("", true) => name.to_owned(),
            (path, true) => format!("{path}.{name}"),
            (path, false) => format!("{path}[{name:?}]"),
        }
    }

    fn line_of(&self, span: &Range<usize>) -> usize {
        1 + self.reader.source.text.get(..span.start).unwrap_or_default().matches('\n').count()
    }

    fn mismatch<T>(&self, wanted: &str, help: &str) -> Option<T> {
        self.fail(match &self.node.data {
            Data::Refused(what) => {
                Fault::new(format!("has {what}"), "write the value out: anchors, aliases and tags are not read")
            }
            Data::Null => Fault::new("has no value", "write a value, or remove the key"),
            Data::Bool(_) | Data::Number(_) | Data::Text(_) | Data::List(_) | Data::Map(_) => {
                Fault::new(format!("must be {wanted}, not {}", self.node.data.noun()), help)
            }
        })
    }

    fn fail<T>(&self, fault: Fault) -> Option<T> {
        self.report(fault);
        None
    }
}

/// The values that must differ from each other, with where each stands.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<(String, String)>);

#[derive(Debug)]
struct Entry<'a> {
    name: &'a str,
    key: &'a Key,
    field: Field<'a>,
}

/// A mapping whose keys are known beforehand.
#[derive(Debug)]
pub(super) struct Section<'a, 'f> {
    field: &'f Field<'a>,
    entries: Vec<Entry<'a>>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a, '_> {
    /// The value under `key`; a missing key is a problem.
    pub(super) fn required<T>(&mut self, key: &'static str, read: impl FnOnce(&Field<'a>) -> Option<T>) -> Option<T> {
        if self.find(key).is_none() {
            let span = self.field.key.map_or(&self.field.node.span, |key| &key.span);
            let help = format!("add `{key}: …`");
            self.field.report_at(span, &self.field.path, Fault::new(format!("has no `{key}`"), help));
        }
        self.optional(key, read)
    }

    /// The value under `key`, or `None` if it is absent or cannot be read.
    pub(super) fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&Field<'a>) -> Option<T>) -> Option<T> {
        self.know(&[key]);
        self.find(key).and_then(|entry| read(&entry.field))
    }

    /// Has `keys` count as known, whether they are read or not.
    pub(super) fn know(&mut self, keys: &[&'static str]) {
        for key in keys {
            if !self.asked.contains(key) {
                self.asked.push(key);
            }
        }
    }

    /// A key that the documentation knows and this version does not.
    pub(super) fn unsupported(&mut self, key: &'static str, help: &str) {
        self.asked.push(key);
        if let Some(entry) = self.find(key) {
            let span = &entry.key.span;
            self.field.report_at(span, &entry.field.path, Fault::new("is not supported yet", help));
        }
    }

    /// Which of `keys` are there.
    pub(super) fn present<'k>(&self, keys: &[&'k str]) -> Vec<&'k str> {
        keys.iter().copied().filter(|key| self.find(key).is_some()).collect()
    }

    /// Reports something about the section as a whole.
    pub(super) fn report(&self, fault: Fault) {
        self.field.report(fault);
    }

    fn find(&self, key: &str) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.name == key)
    }

    fn report_unknown(&self) {
        for entry in self.entries.iter().filter(|entry| !self.asked.contains(&entry.name)) {
            let help = suggest(entry.name, &self.asked, "the keys here are");
            self.field.report_at(&entry.key.span, &entry.field.path, Fault::new("is not a known key", help));
        }
    }
}

/// "did you mean", or else everything that would have been right, introduced by `all`.
pub(super) fn suggest(written: &str, known: &[&str], all: &str) -> String {
    match closest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("{all} `{}`", known.join("`, `")),
    }
}
