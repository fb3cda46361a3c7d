//! Floor 0: what is wrong with a file that an operator wrote, where, and what to do about it.

use std::ops::Range;
use std::sync::Arc;

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
