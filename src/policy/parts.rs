//! The schema in parts. Strict validation looks at every action for every policy, so a policy is validated against the part
//! that concerns it: all types, the actions that its scope admits, those that its conditions name, and what these are in.
//!
//! INVARIANT (a part is enough): what validation says of a policy over its part is what it says over the whole. Of an action
//! that the scope rules out it says nothing; and where a policy reads nothing that tools have for themselves, those in
//! the same groups are alike, and one of them that it does not name stands for all. `policy/tests/validation.rs` holds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{ActionConstraint, EntityUid, Schema, SchemaFragment};
use serde_json::{Map, Value};

use crate::policy::bundle::BundledPolicy;
use crate::policy::names::EntityKind;

/// The members of a context that are the same for every tool.
const COMMON: [&str; 3] = ["token", "request", "undeclared"];

/// A schema, as a whole and by declaration.
#[derive(Debug)]
pub struct Parts {
    whole: Schema,
    /// Everything but actions; absent if the schema cannot be taken apart, and then there are no parts.
    types: Option<SchemaFragment>,
    /// The declarations of actions, in Cedar's JSON: to read that again costs a tenth of reading the text.
    declarations: Vec<(String, Value)>,
    actions: HashMap<EntityUid, Action>,
    /// The actions that are in a group.
    members: HashMap<EntityUid, Vec<EntityUid>>,
    known: HashMap<Asked, Part>,
}

/// Which declaration is that of an action, and the groups that it is in.
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

impl Parts {
    /// The schema `text` and its parts.
    ///
    /// # Errors
    /// What Cedar says of a text that is no valid schema.
    pub fn new(text: &str) -> Result<Self, String> {
        let fragment = match SchemaFragment::from_cedarschema_str(text) {
            Ok((fragment, _)) => fragment,
            Err(error) => return Err(error.to_string()),
        };
        let whole = Schema::from_schema_fragments([fragment.clone()]).map_err(|error| error.to_string())?;
        let mut parts = Self {
            whole,
            types: None,
            declarations: Vec::new(),
            actions: HashMap::new(),
            members: HashMap::new(),
            known: HashMap::new(),
        };
        parts.types = parts.take_apart(fragment);
        Ok(parts)
    }

    /// The schema without parts, for tests of what parts must not change.
    #[cfg(test)]
    pub(in crate::policy) fn only_whole(text: &str) -> Self {
        Self { types: None, ..Self::new(text).unwrap() }
    }

    /// The whole schema; the parts go.
    pub fn into_whole(self) -> Schema {
        self.whole
    }

    /// Notes each action of `fragment`, and leaves the types.
    fn take_apart(&mut self, fragment: SchemaFragment) -> Option<SchemaFragment> {
        let mut json = fragment.to_json_value().ok()?;
        let hierarchy = self.whole.action_entities().ok()?;
        let actions = json.pointer_mut("/")?.get_mut("actions")?.as_object_mut()?;
        for (name, declaration) in std::mem::take(actions) {
            let uid = EntityKind::Action.uid(&name);
            let groups: BTreeSet<EntityUid> = hierarchy.ancestors(&uid).into_iter().flatten().cloned().collect();
            for group in &groups {
                self.members.entry(group.clone()).or_default().push(uid.clone());
            }
            let is_tool = declaration.pointer("/appliesTo/context/attributes/arguments").is_some();
            let action = Action { declaration: self.declarations.len(), groups: Arc::new(groups), is_tool };
            self.actions.insert(uid, action);
            self.declarations.push((name, declaration));
        }
        SchemaFragment::from_json_value(json).ok()
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
            let actions: Map<String, Value> =
                part.iter().filter_map(|&at| self.declarations.get(at).cloned()).collect();
            let json = serde_json::json!({"": {"entityTypes": {}, "actions": actions}});
            let actions = SchemaFragment::from_json_value(json).ok()?;
            Schema::from_schema_fragments([self.types.clone()?, actions]).ok()
        };
        match part {
            Part::Whole => self.whole.clone(),
            Part::Of(part) => of(part).unwrap_or_else(|| self.whole.clone()),
        }
    }
}
