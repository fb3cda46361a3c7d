//! The names that policy authors see: entity types, and the ids of entities. Nothing else in the crate spells them.

use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use crate::problem::closest;

/// An entity type of the base schema (`policies/base.cedarschema`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntityKind {
    /// `Action`
    Action,
    /// `Client`
    Client,
    /// `Group`
    Group,
    /// `Prompt`
    Prompt,
    /// `Resource`
    Resource,
    /// `Scope`
    Scope,
    /// `Server`
    Server,
    /// `Task`
    Task,
    /// `Tool`
    Tool,
    /// `User`
    User,
}

impl EntityKind {
    /// Every kind, in the order of its discriminant.
    pub const ALL: [Self; 10] = [
        Self::Action,
        Self::Client,
        Self::Group,
        Self::Prompt,
        Self::Resource,
        Self::Scope,
        Self::Server,
        Self::Task,
        Self::Tool,
        Self::User,
    ];

    /// The type's name in Cedar.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Action => "Action",
            Self::Client => "Client",
            Self::Group => "Group",
            Self::Prompt => "Prompt",
            Self::Resource => "Resource",
            Self::Scope => "Scope",
            Self::Server => "Server",
            Self::Task => "Task",
            Self::Tool => "Tool",
            Self::User => "User",
        }
    }

    fn type_name(self) -> &'static EntityTypeName {
        #[expect(clippy::expect_used, reason = "ten constant identifiers; a test builds each")]
        static TYPES: LazyLock<[EntityTypeName; 10]> = LazyLock::new(|| {
            EntityKind::ALL.map(|kind| kind.as_str().parse().expect("a constant identifier is a type name"))
        });
        #[expect(clippy::indexing_slicing, reason = "the array has an element for every discriminant")]
        #[expect(clippy::as_conversions, reason = "a fieldless enum's discriminant")]
        &TYPES[self as usize]
    }

    /// The entity of this type with the id `id`.
    pub fn uid(self, id: impl AsRef<str>) -> EntityUid {
        EntityUid::from_type_name_and_id(self.type_name().clone(), EntityId::new(id))
    }
}

/// `<owner>:<name>`, the id of everything that belongs to a server or an issuer. Names of servers and issuers have no
/// colon, so the first one always ends them.
pub fn owned(owner: &str, name: &str) -> String {
    let mut id = String::with_capacity(owner.len() + 1 + name.len());
    id.push_str(owner);
    id.push(':');
    id.push_str(name);
    id
}

/// The action of a server's tools as a whole: the group of its catalogued tools, or, without a catalogue, the one
/// action that applies to any tool.
pub fn any_tool(server: &str) -> String {
    owned(server, "*")
}

/// What is wrong with a written entity: the end of a sentence that says where it stands, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongEntity {
    /// The end of the sentence.
    pub what: String,
    /// The remedy.
    pub help: String,
}

/// The entity that `text` writes as policies do, which must be of one of `kinds`.
///
/// # Errors
/// [`WrongEntity`] if it is no entity, or of another type.
pub fn entity(text: &str, kinds: &[EntityKind]) -> Result<EntityUid, WrongEntity> {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let all = || format!("write a `{}`", names.join("`, a `"));
    let wrong = |what, help| WrongEntity { what, help };
    let uid: EntityUid = text.parse().map_err(|_| {
        let what = format!("cannot be `{}`, which is no entity", text.escape_debug());
        let first = names.first().copied().unwrap_or_default();
        wrong(what, format!("write it as in a policy, such as `{first}::\"…:…\"`"))
    })?;
    let kind = uid.type_name().to_string();
    if names.contains(&kind.as_str()) {
        return Ok(uid);
    }
    let help = closest(&kind, names.iter().copied()).map_or_else(all, |name| format!("did you mean `{name}`?"));
    Err(wrong(format!("cannot be a `{kind}`"), help))
}

/// A string as a Cedar string literal, quotes included.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", EntityId::new(text).escaped())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_makes_an_entity() {
        for kind in EntityKind::ALL {
            assert_eq!(kind.uid("a b\"\n").to_string(), format!("{}::\"a b\\\"\\n\"", kind.as_str()));
        }
    }

    #[test]
    fn a_quoted_name_survives_the_parser() {
        for text in ["", "a\"b", "a\\b", "\r\n\u{2028}\u{0}", "ü\u{202e}"] {
            let uid: EntityUid = format!("Tool::{}", quoted(text)).parse().unwrap();
            assert_eq!(uid, EntityKind::Tool.uid(text));
        }
    }
}
