//! The schema in parts. Strict validation looks at every action for every policy, so a policy is validated against the part
//! that concerns it: all types, the actions that its scope admits, those that its conditions name, and what these are in.
//!
//! INVARIANT (a part is enough): what validation says of a policy over its part is what it says over the whole. Of an action
//! that the scope rules out it says nothing; and where a policy reads nothing that tools have for themselves, those in
//! the same groups are alike, and one of them that it does not name stands for all. `policy/tests/validation.rs` holds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Entities, EntityUid, Schema, SchemaFragment};
use serde_json::{Map, Value, json};

use crate::policy::bundle::BundledPolicy;
use crate::policy::names::EntityKind;

/// The members of a context that are the same for every tool.
const COMMON: [&str; 3] = ["token", "request", "undeclared"];

/// A schema, as a whole and by declaration.
#[derive(Debug)]
pub struct Parts {
    /// The whole, once it is asked for.
    whole: Option<Schema>,
    /// Everything but actions.
    types: SchemaFragment,
    /// The declarations of actions, each by itself.
    declarations: Vec<SchemaFragment>,
    /// All actions, each with the groups that it is in.
    hierarchy: Entities,
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

impl Part {
    /// Both together; `None` if one is all there is.
    pub fn with(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Of(own), Self::Of(other)) => Some(Self::Of(Arc::new(own.union(other).copied().collect()))),
            (Self::Whole, _) | (_, Self::Whole) => None,
        }
    }
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
    /// The schema of the text `common` and the actions `tools`, in Cedar's JSON, and its parts.
    ///
    /// # Errors
    /// What Cedar says of what is no valid schema.
    pub fn new(common: &str, tools: Vec<(String, Value)>) -> Result<Self, String> {
        let fragment = match SchemaFragment::from_cedarschema_str(common) {
            Ok((fragment, _)) => fragment,
            Err(error) => return Err(error.to_string()),
        };
        let mut json = fragment.to_json_value().map_err(|error| error.to_string())?;
        let read = |json| SchemaFragment::from_json_value(json).map_err(|error| error.to_string());
        let own = json.get_mut("").and_then(|own| own.get_mut("actions")?.as_object_mut()).map(std::mem::take);
        let types = read(json)?;
        let (mut declarations, mut names, mut bare) = (Vec::new(), Vec::new(), Map::new());
        for (name, declaration) in own.unwrap_or_default().into_iter().chain(tools) {
            let is_tool = declaration.pointer("/appliesTo/context/attributes/arguments").is_some();
            let groups = declaration.get("memberOf").cloned().unwrap_or_else(|| json!([]));
            if bare.insert(name.clone(), json!({"memberOf": groups})).is_some() {
                return Err(format!("two actions are called `{name}`"));
            }
            names.push((EntityKind::Action.uid(&name), is_tool));
            declarations.push(read(actions_of(Map::from_iter([(name, declaration)])))?);
        }
        // Without what they apply to: that takes longer than all else here, and each policy has it checked by its part.
        let bare = Schema::from_schema_fragments([types.clone(), read(actions_of(bare))?]);
        let bare = bare.map_err(|error| error.to_string())?;
        let hierarchy = bare.action_entities().map_err(|error| error.to_string())?;
        let (mut actions, mut members) = (HashMap::new(), HashMap::<EntityUid, Vec<EntityUid>>::new());
        for (declaration, (uid, is_tool)) in names.into_iter().enumerate() {
            let groups: BTreeSet<EntityUid> = hierarchy.ancestors(&uid).into_iter().flatten().cloned().collect();
            for group in &groups {
                members.entry(group.clone()).or_default().push(uid.clone());
            }
            actions.insert(uid, Action { declaration, groups: Arc::new(groups), is_tool });
        }
        Ok(Self { whole: None, types, declarations, hierarchy, actions, members, known: HashMap::new() })
    }

    /// The schema `whole` for every policy, for tests of what parts must not change.
    #[cfg(test)]
    pub(in crate::policy) fn only_whole(self, whole: Schema) -> Self {
        Self { whole: Some(whole), declarations: Vec::new(), ..self }
    }

    /// All actions, each with the groups that it is in; the parts go.
    pub fn into_actions(self) -> Entities {
        self.hierarchy
    }

    /// The part that concerns `policy`, which has the entity literals `literals`.
    pub fn of(&mut self, policy: &BundledPolicy, literals: &[EntityUid]) -> Part {
        let scope = match policy.policy.action_constraint() {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(action) => Some((vec![action], false)),
            ActionConstraint::In(list) => Some((list, true)),
        };
        let is_action = |uid: &EntityUid| uid.type_name().basename() == EntityKind::Action.as_str();
        let reads = &policy.reads.context;
        let is_common = !reads.is_whole() && reads.members().all(|member| COMMON.contains(&member));
        let asked = Asked { scope, is_common, named: literals.iter().filter(|uid| is_action(uid)).cloned().collect() };
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

    /// The schema of one part.
    ///
    /// # Errors
    /// What Cedar says of what is no valid schema.
    pub fn schema(&mut self, part: &Part) -> Result<Schema, String> {
        match (part, &self.whole) {
            (Part::Of(part), _) => joined(&self.types, part.iter().filter_map(|&at| self.declarations.get(at))),
            (Part::Whole, Some(whole)) => Ok(whole.clone()),
            (Part::Whole, None) => {
                let whole = joined(&self.types, self.declarations.iter())?;
                self.whole = Some(whole.clone());
                Ok(whole)
            }
        }
    }
}

fn joined<'a>(
    types: &'a SchemaFragment,
    declarations: impl Iterator<Item = &'a SchemaFragment>,
) -> Result<Schema, String> {
    let all = std::iter::once(types).chain(declarations).cloned();
    Schema::from_schema_fragments(all).map_err(|error| error.to_string())
}

/// The schema of `actions` alone, in Cedar's JSON.
fn actions_of(actions: Map<String, Value>) -> Value {
    let own = Map::from_iter([("entityTypes".to_owned(), json!({})), ("actions".to_owned(), Value::Object(actions))]);
    Value::Object(Map::from_iter([(String::new(), Value::Object(own))]))
}
