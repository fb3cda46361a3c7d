//! How much of a tool's arguments policies can read.

use crate::policy::arguments::{ArgumentType, RecordType, Unexposed, escaped};
use crate::policy::catalog::CataloguedTool;

/// The declared arguments of one tool, with the members of objects and of objects in arrays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposure {
    /// How many of them policies can read.
    pub exposed: usize,
    /// JSON pointers of the others, `*` for an index, and why. The pointer to the whole is empty.
    pub hidden: Vec<(String, Unexposed)>,
}

impl Exposure {
    /// What `tool` exposes.
    pub fn of(tool: &CataloguedTool) -> Self {
        let mut exposure = Self::default();
        exposure.add(&tool.arguments, "");
        exposure
    }

    /// How many arguments are declared, as far as that is known.
    pub fn declared(&self) -> usize {
        self.exposed + self.hidden.len()
    }

    fn add(&mut self, record: &RecordType, at: &str) {
        self.hidden.extend(record.opaque.map(|why| (at.to_owned(), why)));
        for field in &record.fields {
            self.exposed += 1;
            let (mut kind, mut at) = (&field.kind, format!("{at}/{}", escaped(&field.name)));
            while let ArgumentType::Set(items) = kind {
                kind = items;
                at.push_str("/*");
            }
            if let ArgumentType::Record(inner) = kind {
                self.add(inner, &at);
            }
        }
        self.hidden.extend(record.hidden.iter().map(|it| (format!("{at}/{}", escaped(&it.name)), it.why)));
    }
}
