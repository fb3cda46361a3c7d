//! Floor 0: what is wrong with a file that an operator wrote, where, and what to do about it.

mod render;
mod suggest;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use render::{ProblemJson, render};
pub use suggest::closest;

/// One file as it was read: its name as the operator knows it, and its text.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path to show.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

impl Source {
    /// A source from its name and text.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The line that the byte at `offset` is on, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.text.get(..floor(&self.text, offset)).unwrap_or_default().matches('\n').count() + 1
    }
}

/// A value and where it was written, as byte offsets into the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Range<usize>,
}

/// The value alone: what else changes in a file does not change it.
impl<T: fmt::Debug> fmt::Debug for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl Spanned<&str> {
    /// The same with text of its own.
    pub fn to_owned(&self) -> Spanned<String> {
        Spanned { value: self.value.to_owned(), span: self.span.clone() }
    }
}

/// How grave a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Loads, but probably not what was meant.
    Warning,
    /// Does not load.
    Error,
}

/// One problem in one place.
#[derive(Debug, Clone)]
pub struct Problem {
    /// How grave.
    pub severity: Severity,
    /// The file it is in.
    pub source: Source,
    /// Where, as byte offsets into the text; absent when the whole file is meant (it is missing, say).
    pub span: Option<Range<usize>>,
    /// What is wrong, in one sentence that names the field.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// Whether both concern the same piece of the same file.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (&self.span, &other.span) else { return false };
        self.source.name == other.source.name && own.start < others.end && others.start < own.end
    }

    /// Where the problem starts: line and column, both from 1, the column counted in characters.
    ///
    /// A span that does not lie on character boundaries inside the text (a defect of whoever made it) counts from the
    /// nearest place before it that does.
    pub fn position(&self) -> Option<(usize, usize)> {
        let start = floor(&self.source.text, self.span.as_ref()?.start);
        let before = self.source.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.source.line(start);
        Some((line, before.get(line_start..).unwrap_or_default().chars().count() + 1))
    }
}

/// The last character boundary of `text` at or before `offset`.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|&place| text.is_char_boundary(place)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
