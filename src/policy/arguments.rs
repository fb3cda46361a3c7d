//! Types of tool arguments: from a tool's JSON Schema, to Cedar, and of a call's values to Cedar values.
//!
//! Nothing is ever rounded or guessed. A schema that Cedar cannot express is not exposed, and says why; a value that
//! does not fit its declared type is not representable, and says where.

mod declared;

use cedar_policy::RestrictedExpression;

use crate::json::{Kind, Value, fold};
use crate::policy::overlay::Parts;
use crate::policy::paths::Need;
use crate::token::decimal;

/// How deep argument types may nest. A catalogue is an operator's file, so this bounds mistakes, not attacks.
pub const MAX_TYPE_DEPTH: usize = 16;

/// How many members the arguments of one tool may have, at all depths together: definitions that refer to one another
/// many times over would multiply without end. The largest tool seen has some fifty.
pub const MAX_MEMBERS: usize = 4096;

/// The Cedar type of one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentType {
    /// `String`
    String,
    /// `Bool`
    Bool,
    /// `Long`; `1.0` and `1e0` are the integer 1.
    Long,
    /// `decimal`, at most four decimals.
    Decimal,
    /// `Set<T>`: order and repeats are lost.
    Set(Box<ArgumentType>),
    /// A record.
    Record(RecordType),
    /// A text, or an array of texts, that an overlay makes a record of its parts.
    Parts(Parts),
}

/// A record of arguments: a tool's `inputSchema`, or an object inside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordType {
    /// The members that policies can read.
    pub fields: Vec<Field>,
    /// The declared members that they cannot, and why.
    pub hidden: Vec<Hidden>,
    /// Why it is not known which members there are: only of a whole `inputSchema`. Then every argument is undeclared.
    pub opaque: Option<Unexposed>,
}

/// One member of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The member's name, exactly.
    pub name: String,
    /// Its type.
    pub kind: ArgumentType,
    /// Whether every call has it: required by the schema, and without a default.
    pub required: bool,
}

/// A declared member that policies cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The member's name.
    pub name: String,
    /// Why.
    pub why: Unexposed,
}

/// Why an argument is not exposed to policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unexposed {
    /// `anyOf`, `oneOf`, `allOf` or a list of types with more than one type beside null.
    #[error("its schema allows several types")]
    Union,
    /// Neither a type nor an enumeration of strings.
    #[error("its schema has no type")]
    Untyped,
    /// An object that declares no properties.
    #[error("it is an object without declared properties")]
    OpenObject,
    /// An array that does not say what is in it, or allows null in it.
    #[error("it is an array without one type of items")]
    OpenArray,
    /// A reference that leads to itself.
    #[error("its schema is recursive")]
    Recursive,
    /// A reference that leads nowhere, or outside of the schema.
    #[error("its schema refers to a definition that is not there")]
    Dangling,
    /// More than [`MAX_TYPE_DEPTH`] levels.
    #[error("its schema nests too deep")]
    TooDeep,
    /// More than [`MAX_MEMBERS`] members before it.
    #[error("the tool has too many arguments")]
    TooMany,
}

/// The place of a value that is not representable as its declared type: a JSON pointer below `arguments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrepresentable {
    /// The pointer, `/days` say.
    pub pointer: String,
}

impl RecordType {
    /// What an overlay makes of the text that `path` names.
    pub fn parts(&self, path: &[&str]) -> Option<Parts> {
        let (name, rest) = path.split_first()?;
        match &self.fields.iter().find(|field| field.name == *name)?.kind {
            ArgumentType::Record(inner) => inner.parts(rest),
            ArgumentType::Parts(parts) => rest.is_empty().then_some(*parts),
            ArgumentType::String
            | ArgumentType::Bool
            | ArgumentType::Long
            | ArgumentType::Decimal
            | ArgumentType::Set(_) => None,
        }
    }

    /// Whether an overlay lies over any member.
    pub fn has_parts(&self) -> bool {
        self.fields.iter().any(|field| match &field.kind {
            ArgumentType::Record(inner) => inner.has_parts(),
            ArgumentType::Parts(_) => true,
            ArgumentType::String
            | ArgumentType::Bool
            | ArgumentType::Long
            | ArgumentType::Decimal
            | ArgumentType::Set(_) => false,
        })
    }

    /// Whether `path` names a member, or a member of a member, or a part of a text.
    pub fn declares(&self, path: &[&str]) -> bool {
        let Some((name, rest)) = path.split_first() else { return true };
        self.fields.iter().find(|field| field.name == *name).is_some_and(|field| match &field.kind {
            ArgumentType::Record(inner) => inner.declares(rest),
            ArgumentType::Parts(parts) => match rest {
                [] => true,
                [part] => parts.members().contains(part),
                [_, _, ..] => false,
            },
            ArgumentType::String
            | ArgumentType::Bool
            | ArgumentType::Long
            | ArgumentType::Decimal
            | ArgumentType::Set(_) => rest.is_empty(),
        })
    }

    /// The members of `object` that are needed, in the order of the type.
    ///
    /// # Errors
    /// [`Unrepresentable`] at the first needed member that is missing though required, or does not fit its type, or has
    /// a look-alike that differs from it only in case (some servers match names without case).
    pub fn value(
        &self,
        object: Option<Value<'_>>,
        need: Need<'_>,
        at: &str,
    ) -> Result<Vec<(String, RestrictedExpression)>, Unrepresentable> {
        let mut members = Vec::new();
        for field in &self.fields {
            let need = need.member(&field.name);
            if need == Need::Nothing {
                continue;
            }
            if let Some(value) = field.find(object, at)? {
                let pointer = || format!("{at}/{}", escaped(&field.name));
                members.push((field.name.clone(), field.kind.value(value, need, &pointer)?));
            }
        }
        Ok(members)
    }

    /// The lengths of the arrays among the members of `object`, as far as they are needed.
    ///
    /// # Errors
    /// [`Unrepresentable`] as [`RecordType::value`], though what is in the arrays is not looked at.
    pub fn counts(
        &self,
        object: Option<Value<'_>>,
        need: Need<'_>,
    ) -> Result<Vec<(String, RestrictedExpression)>, Unrepresentable> {
        let mut members = Vec::new();
        for field in self.fields.iter().filter(|field| field.kind.is_array()) {
            if need.member(&field.name) == Need::Nothing {
                continue;
            }
            match field.find(object, "")? {
                Some(value) if value.kind() == Kind::Array => {
                    let length = i64::try_from(value.len()).unwrap_or(i64::MAX);
                    members.push((field.name.clone(), RestrictedExpression::new_long(length)));
                }
                Some(_) => return Err(Unrepresentable { pointer: format!("/{}", escaped(&field.name)) }),
                None => {}
            }
        }
        Ok(members)
    }

    /// The pointers of what the type does not declare in `object`, at any depth, `*` for an index: members that it does not
    /// have, and objects and arrays where it has something else, of whose inside nothing is declared.
    pub fn undeclared(&self, object: Value<'_>, at: &str, found: &mut Vec<String>) {
        for (name, value) in object.members() {
            let pointer = format!("{at}/{}", escaped(&name));
            match self.fields.iter().find(|field| field.name == *name) {
                Some(field) => field.kind.undeclared(value, &pointer, found),
                None if self.hidden.iter().any(|hidden| hidden.name == *name) => {}
                None => found.push(pointer),
            }
        }
    }
}

impl Field {
    /// The member's value in `object`, `None` if it is absent or null and may be.
    fn find<'v>(&self, object: Option<Value<'v>>, at: &str) -> Result<Option<Value<'v>>, Unrepresentable> {
        match object.and_then(|object| object.get(&self.name)).filter(|value| !value.is_null()) {
            None if self.required || object.is_some_and(|object| has_look_alike(object, &self.name)) => {
                Err(Unrepresentable { pointer: format!("{at}/{}", escaped(&self.name)) })
            }
            found => Ok(found),
        }
    }
}

/// Whether `object` has a member that is `name` but for its case: to some servers `Path` is `path`, while a policy that
/// reads `path` sees nothing.
fn has_look_alike(object: Value<'_>, name: &str) -> bool {
    let folded = fold(name);
    object.members().any(|(member, _)| *member != *name && fold(&member) == folded)
}

/// A member's name as a segment of a JSON pointer (RFC 6901 §3).
pub(in crate::policy) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl ArgumentType {
    /// Whether a value of it is an array, which has a count.
    pub fn is_array(&self) -> bool {
        match self {
            Self::Set(_) => true,
            Self::Parts(parts) => parts.is_array(),
            Self::String | Self::Bool | Self::Long | Self::Decimal | Self::Record(_) => false,
        }
    }

    fn undeclared(&self, value: Value<'_>, at: &str, found: &mut Vec<String>) {
        let kind = value.kind();
        match self {
            Self::Record(record) if kind == Kind::Object => return record.undeclared(value, at, found),
            Self::Set(items) if kind == Kind::Array => {
                return value.items().for_each(|item| items.undeclared(item, &format!("{at}/*"), found));
            }
            Self::Parts(parts) if kind == Kind::Array && parts.is_array() => {
                return value.items().for_each(|item| Self::String.undeclared(item, &format!("{at}/*"), found));
            }
            Self::String
            | Self::Bool
            | Self::Long
            | Self::Decimal
            | Self::Set(_)
            | Self::Record(_)
            | Self::Parts(_) => {}
        }
        if matches!(kind, Kind::Object | Kind::Array) {
            found.push(at.to_owned());
        }
    }

    fn value(
        &self,
        value: Value<'_>,
        need: Need<'_>,
        pointer: &dyn Fn() -> String,
    ) -> Result<RestrictedExpression, Unrepresentable> {
        // Nobody looks at the value itself.
        if need == Need::Presence {
            return Ok(RestrictedExpression::new_bool(true));
        }
        let unfit = || Unrepresentable { pointer: pointer() };
        match self {
            Self::String => value.as_str().map(|text| RestrictedExpression::new_string(text.into_owned())),
            Self::Bool => value.as_bool().map(RestrictedExpression::new_bool),
            Self::Long => value.as_i64().map(RestrictedExpression::new_long),
            Self::Decimal => value.as_number().and_then(decimal).map(RestrictedExpression::new_decimal),
            Self::Set(kind) if value.kind() == Kind::Array => {
                let items: Result<Vec<_>, _> =
                    value.items().map(|item| kind.value(item, Need::Whole, pointer)).collect();
                Some(RestrictedExpression::new_set(items?))
            }
            Self::Record(record) if value.kind() == Kind::Object => {
                RestrictedExpression::new_record(record.value(Some(value), need, &pointer())?).ok()
            }
            Self::Parts(parts) => parts.value(value, need),
            Self::Set(_) | Self::Record(_) => None,
        }
        .ok_or_else(unfit)
    }
}
