//! The schema in parts. Strict validation looks at every action for every policy, so a policy is validated against the part
//! that concerns it: all types, the actions that its scope admits, those that its conditions name, and what these are in.
//!
//! INVARIANT (a part is enough): what validation says of a policy over its part is what it says over the whole. Of an action
//! that the scope rules out it says nothing; and where a policy reads nothing that tools have for themselves, those in
//! the same groups are alike, and one of them that it does not name stands for all. `policy/tests/validation.rs` holds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{ActionConstraint, EntityUid, Schema, SchemaFragment};

use crate::policy::bundle::BundledPolicy;
use crate::policy::names::EntityKind;

/// The members of a context that are the same for every tool.
const COMMON: [&str; 3] = ["token", "request", "undeclared"];

/// A generated schema, as a whole and by declaration.
#[derive(Debug)]
pub struct Parts<'a> {
    whole: &'a Schema,
    /// Everything but actions; absent if the text is not the generator's, and then there are no parts.
    types: Option<SchemaFragment>,
    /// The declarations of actions; one may declare several.
    declarations: Vec<&'a str>,
    actions: HashMap<EntityUid, Action>,
    /// The actions that are in a group.
    members: HashMap<EntityUid, Vec<EntityUid>>,
    known: HashMap<Asked, Part>,
}

/// Where an action is declared, and the groups that it is in.
#[derive(Debug)]
struct Action {
    declaration: usize,
    groups: Arc<BTreeSet<EntityUid>>,
    /// Whether it is a tool with arguments of its own.
    is_tool: bool,
}

/// Which declarations of actions concern a policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// All of them.
    Whole,
    /// These.
    Of(Arc<BTreeSet<usize>>),
}

/// All that a policy's part depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    /// The actions of the scope, `None` for any; and whether what is in them counts too.
    scope: Option<(Vec<EntityUid>, bool)>,
    /// Whether it reads only what all tools have.
    is_common: bool,
    /// Every action that it names.
    named: BTreeSet<EntityUid>,
}

impl<'a> Parts<'a> {
    /// The parts of the schema that [`crate::policy::schema::schema`] wrote as `text`, and that was parsed as `whole`.
    pub fn new(text: &'a str, whole: &'a Schema) -> Self {
        let mut parts = Self {
            whole,
            types: None,
            declarations: Vec::new(),
            actions: HashMap::new(),
            members: HashMap::new(),
            known: HashMap::new(),
        };
        let (declarations, types): (Vec<_>, Vec<_>) =
            text.split("\n\n").map(|text| (text, declared(text))).partition(|(_, names)| !names.is_empty());
        let types: Vec<&str> = types.into_iter().map(|(text, _)| text).collect();
        let Ok((types, _)) = SchemaFragment::from_cedarschema_str(&types.join("\n\n")) else { return parts };
        let Ok(hierarchy) = whole.action_entities() else { return parts };
        for (text, names) in declarations {
            for uid in names {
                let groups: BTreeSet<EntityUid> = hierarchy.ancestors(&uid).into_iter().flatten().cloned().collect();
                for group in &groups {
                    parts.members.entry(group.clone()).or_default().push(uid.clone());
                }
                let is_tool = text.contains("\n    \"arguments\": ");
                let (declaration, groups) = (parts.declarations.len(), Arc::new(groups));
                parts.actions.insert(uid, Action { declaration, groups, is_tool });
            }
            parts.declarations.push(text);
        }
        parts.types = Some(types);
        parts
    }

    /// The part that concerns `policy`.
    pub fn of(&mut self, policy: &BundledPolicy) -> Part {
        let scope = match policy.policy.action_constraint() {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(action) => Some((vec![action], false)),
            ActionConstraint::In(list) => Some((list, true)),
        };
        let literals = policy.policy.entity_literals();
        let is_action = |uid: &EntityUid| uid.type_name().basename() == EntityKind::Action.as_str();
        let reads = &policy.reads.context;
        let is_common = !reads.is_whole() && reads.members().all(|member| COMMON.contains(&member));
        let asked = Asked { scope, is_common, named: literals.into_iter().filter(is_action).collect() };
        if let Some(part) = self.known.get(&asked) {
            return part.clone();
        }
        let part = self.select(&asked).map_or(Part::Whole, |part| Part::Of(Arc::new(part)));
        self.known.insert(asked, part.clone());
        part
    }

    /// The declarations that concern a policy; `None` if all do, or if it names an action that does not exist: what it
    /// should have named is looked for among all.
    fn select(&self, asked: &Asked) -> Option<BTreeSet<usize>> {
        self.types.as_ref()?;
        let mut wanted: Vec<&EntityUid> = asked.named.iter().collect();
        let admitted: Vec<&EntityUid> = match &asked.scope {
            None => self.actions.keys().collect(),
            Some((list, false)) => list.iter().collect(),
            Some((list, true)) => {
                let members = list.iter().filter_map(|group| self.members.get(group)).flatten();
                list.iter().chain(members).collect()
            }
        };
        if asked.is_common {
            wanted.extend(self.representatives(admitted, &asked.named));
        } else {
            wanted.extend(admitted);
        }
        let mut selected = BTreeSet::new();
        for uid in wanted {
            let action = self.actions.get(uid)?;
            selected.insert(action.declaration);
            for group in &*action.groups {
                selected.insert(self.actions.get(group)?.declaration);
            }
        }
        (selected.len() < self.declarations.len()).then_some(selected)
    }

    /// Of the tools among `admitted` that are in the same groups, the first in order that is not in `named`; and all
    /// that are not tools.
    fn representatives<'u>(&self, admitted: Vec<&'u EntityUid>, named: &BTreeSet<EntityUid>) -> Vec<&'u EntityUid> {
        let mut all = Vec::new();
        let mut first: BTreeMap<&BTreeSet<EntityUid>, (String, &EntityUid)> = BTreeMap::new();
        for uid in admitted.into_iter().filter(|uid| !named.contains(*uid)) {
            match self.actions.get(uid).filter(|action| action.is_tool) {
                None => all.push(uid),
                Some(action) => {
                    // By its text: where several actions have the same error, the first text is shown.
                    let own = (uid.to_string(), uid);
                    first
                        .entry(&action.groups)
                        .and_modify(|least| *least = own.clone().min(least.clone()))
                        .or_insert(own);
                }
            }
        }
        all.extend(first.into_values().map(|(_, uid)| uid));
        all
    }

    /// The schema of one part: the whole one if Cedar refuses the part, which a part of a valid schema gives no reason for.
    pub fn schema(&self, part: &Part) -> Schema {
        let of = |part: &BTreeSet<usize>| {
            let text: Vec<&str> = part.iter().filter_map(|&at| self.declarations.get(at).copied()).collect();
            let (actions, _) = SchemaFragment::from_cedarschema_str(&text.join("\n\n")).ok()?;
            Schema::from_schema_fragments([self.types.clone()?, actions]).ok()
        };
        match part {
            Part::Whole => self.whole.clone(),
            Part::Of(part) => of(part).unwrap_or_else(|| self.whole.clone()),
        }
    }
}

/// The actions that one declaration of the generated text declares; none if it declares something else.
fn declared(text: &str) -> Vec<EntityUid> {
    let line = text.lines().find_map(|line| line.strip_prefix("action "));
    let Some(mut rest) = line else { return Vec::new() };
    let mut names = Vec::new();
    while let Some(length) = quoted_length(rest) {
        let (name, behind) = rest.split_at(length);
        names.extend(format!("{}::{name}", EntityKind::Action.as_str()).parse::<EntityUid>());
        rest = behind.trim_start_matches(", ");
    }
    names
}

/// The length of the string literal that `text` begins with, quotes included.
fn quoted_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = inner.char_indices().find(|(_, char)| {
        let ends = *char == '"' && !is_escaped;
        is_escaped = *char == '\\' && !is_escaped;
        ends
    });
    end.map(|(at, _)| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_declaration() {
        for (text, names) in [
            ("action \"a\" in [Action::\"b\"];", &["a"][..]),
            ("@doc(\"x\")\naction \"a\", \"b:c\" in [Action::\"d\"] appliesTo {", &["a", "b:c"]),
            ("action \"a\\\"b\\\\\" appliesTo {", &["a\"b\\"]),
            ("entity User in [Group];", &[]),
            ("@doc(\"action \\\"x\\\"\")\nentity User;", &[]),
            ("// comment", &[]),
        ] {
            let expected: Vec<EntityUid> = names.iter().map(|name| EntityKind::Action.uid(name)).collect();
            assert_eq!(declared(text), expected, "{text}");
        }
    }
}
