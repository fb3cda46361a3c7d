//! Overlays: arguments that policies read otherwise than the catalogue says, because it says too little.
//!
//! A number that is a whole one becomes a `Long`; a text that is a path or a URL becomes a record of its parts, by which
//! a policy can ask what a comparison of texts cannot answer. Of what can be read in more than one way there are no parts:
//! such a value is not representable, and a call with it is denied where a policy reads the argument.

mod literals;
mod path;
mod url;

use cedar_policy::RestrictedExpression;

pub use literals::{Never, never};
pub use path::MAX_PATH;
pub use url::MAX_URL;
pub(in crate::policy) use url::UrlParts;

use crate::json::{Kind, Value};
use crate::policy::arguments::ArgumentType;
use crate::policy::catalog::{Catalog, CataloguedTool};
use crate::policy::paths::Need;

/// A special way to read an argument, or each item of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlay {
    /// A number that is a whole one.
    Long,
    /// A path in a file system.
    Path,
    /// A URL.
    Url,
}

/// Stands for every tool of a catalogue that has the argument.
pub const ANY_TOOL: &str = "*";

/// A text argument that policies read by its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// One path.
    Path,
    /// An array of paths.
    Paths,
    /// One URL.
    Url,
    /// An array of URLs.
    Urls,
}

/// Why an overlay does not apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// The catalogue has no such tool.
    #[error("the catalogue has no tool `{0}`")]
    NoTool(String),
    /// The tool, or for [`ANY_TOOL`] every tool, lacks the argument.
    #[error("no such tool has an argument `{0}`")]
    NoArgument(String),
    /// It has, but policies cannot read it at all, or its type is another.
    #[error("the argument `{argument}` of `{tool}` {why}")]
    Unfit {
        /// The tool.
        tool: String,
        /// Its argument.
        argument: String,
        /// The end of a sentence that begins with the argument.
        why: String,
    },
}

impl Overlay {
    /// The word for it in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Path => "path",
            Self::Url => "url",
        }
    }

    /// The declared types that it can lie over.
    const fn fits(self) -> &'static str {
        match self {
            Self::Long => "a number or an array of numbers",
            Self::Path | Self::Url => "a string or an array of strings",
        }
    }

    /// The type of an argument that is declared as `declared`, if this can lie over it.
    fn over(self, declared: &ArgumentType) -> Option<ArgumentType> {
        let (item, many) = match declared {
            ArgumentType::Set(item) => (&**item, true),
            ArgumentType::String
            | ArgumentType::Bool
            | ArgumentType::Long
            | ArgumentType::Decimal
            | ArgumentType::Record(_)
            | ArgumentType::Parts(_) => (declared, false),
        };
        let is_number = matches!(item, ArgumentType::Long | ArgumentType::Decimal);
        match self {
            Self::Long if is_number && many => Some(ArgumentType::Set(Box::new(ArgumentType::Long))),
            Self::Long if is_number => Some(ArgumentType::Long),
            Self::Path if *item == ArgumentType::String => {
                Some(ArgumentType::Parts(if many { Parts::Paths } else { Parts::Path }))
            }
            Self::Url if *item == ArgumentType::String => {
                Some(ArgumentType::Parts(if many { Parts::Urls } else { Parts::Url }))
            }
            Self::Long | Self::Path | Self::Url => None,
        }
    }

    /// Lays this over the argument `name` of `tool`; whether the tool has it.
    fn lay(self, tool: &mut CataloguedTool, name: &str) -> Result<bool, OverlayError> {
        let unfit = |tool: &str, why| OverlayError::Unfit { tool: tool.to_owned(), argument: name.to_owned(), why };
        if let Some(hidden) = tool.arguments.hidden.iter().find(|hidden| hidden.name == name) {
            return Err(unfit(&tool.name, format!("is not exposed to policies: {}", hidden.why)));
        }
        let Some(field) = tool.arguments.fields.iter_mut().find(|field| field.name == name) else { return Ok(false) };
        let over = self.over(&field.kind);
        field.kind =
            over.ok_or_else(|| unfit(&tool.name, format!("is not {}, as `{}` requires", self.fits(), self.as_str())))?;
        Ok(true)
    }
}

impl Catalog {
    /// Reads arguments as `overlays` say: of a tool, or of [`ANY_TOOL`], an argument. What is said of a tool counts for it
    /// rather than what is said of any. Every error comes with the number of the overlay.
    pub fn overlay(&mut self, overlays: &[(&str, &str, Overlay)]) -> Vec<(usize, OverlayError)> {
        let mut errors = Vec::new();
        for (at, (tool, argument, overlay)) in overlays.iter().enumerate() {
            let named = |name: &str| overlays.iter().any(|(tool, other, _)| *tool == name && other == argument);
            let any = *tool == ANY_TOOL;
            let (mut tools, mut found) = (0, false);
            for each in self.tools.iter_mut().filter(|each| any || each.name == *tool) {
                tools += 1;
                if any && named(&each.name) {
                    found = true;
                    continue;
                }
                match overlay.lay(each, argument) {
                    Ok(has) => found |= has,
                    Err(error) => {
                        found = true;
                        errors.push((at, error));
                        break;
                    }
                }
            }
            if !any && tools == 0 {
                errors.push((at, OverlayError::NoTool((*tool).to_owned())));
            } else if !found {
                errors.push((at, OverlayError::NoArgument((*argument).to_owned())));
            }
        }
        errors
    }
}

impl Parts {
    /// The name of the type in the base schema.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Path => "Path",
            Self::Paths => "Paths",
            Self::Url => "Url",
            Self::Urls => "Urls",
        }
    }

    /// The members of that type.
    pub const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Path | Self::Paths => &["text", "within"],
            Self::Url => &["text", "scheme", "host", "domains", "port", "path"],
            Self::Urls => &["text", "scheme", "host", "domains"],
        }
    }

    /// Whether the argument is an array.
    pub const fn is_array(self) -> bool {
        match self {
            Self::Path | Self::Url => false,
            Self::Paths | Self::Urls => true,
        }
    }

    /// The parts of `value` that are needed. `None` if it is of another type, or if it, or one of its items, can be read in
    /// more than one way, whichever part is asked for.
    pub(in crate::policy) fn value(self, value: Value<'_>, need: Need<'_>) -> Option<RestrictedExpression> {
        let members = match self {
            Self::Path => path::one(&value.as_str()?, need)?,
            Self::Url => url::one(&value.as_str()?, need)?,
            Self::Paths | Self::Urls => {
                let texts = (value.kind() == Kind::Array).then(|| value.items().map(Value::as_str))?;
                let texts = texts.collect::<Option<Vec<_>>>()?;
                if self == Self::Paths { path::many(&texts, need)? } else { url::many(&texts, need)? }
            }
        };
        RestrictedExpression::new_record(members.0).ok()
    }
}

/// The members of a record of parts, as far as they are needed.
struct Members(Vec<(String, RestrictedExpression)>);

impl Members {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn put(&mut self, need: Need<'_>, name: &str, value: impl FnOnce() -> RestrictedExpression) {
        if need.member(name) != Need::Nothing {
            self.0.push((name.to_owned(), value()));
        }
    }
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn set<'t>(texts: impl IntoIterator<Item = &'t str>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.into_iter().map(text))
}
