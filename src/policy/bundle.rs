//! Policy files, parsed and validated as one set. Nothing leaves here that strict validation has not passed.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet};

use crate::policy::lint::{Finding, annotations};
use crate::policy::names::EntityKind;
use crate::policy::parts::Parts;
use crate::policy::paths::Reads;
use crate::policy::plan::PolicyIndex;
use crate::policy::validate::{Findings, Origins, Texts, diagnosed, doubled, validated, whole_file};
use crate::problem::{Problem, Severity, Source};

/// One file of policies.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    /// Its name within the policy folder: part of the ids of policies that have none.
    pub name: String,
    /// Its text.
    pub source: Source,
}

/// A whole policy set: strictly validated, every policy under its own id.
#[derive(Debug, Default)]
pub struct Bundle {
    policies: Vec<BundledPolicy>,
    by_id: HashMap<PolicyId, PolicyIndex>,
    actions: ActionIndex,
}

/// What finds names in a policy that nothing has.
pub type Lint<'a> = &'a dyn Fn(&BundledPolicy) -> Vec<Finding>;

/// One policy, and what toolgate itself reads of it.
#[derive(Debug)]
pub struct BundledPolicy {
    /// The policy.
    pub policy: Policy,
    /// Its `@id`, or file name and position.
    pub id: Arc<str>,
    /// `@advice`: what the caller is told when this forbid denied.
    pub advice: Option<String>,
    /// `@acr`: the authentication context class that would lift this forbid (RFC 9470).
    pub acr: Option<String>,
    /// `@max_age`, seconds: how fresh a login would lift this forbid (RFC 9470).
    pub max_age: Option<u64>,
    /// The scopes that it names.
    pub scopes: Vec<String>,
    /// What its conditions read.
    pub reads: Reads,
}

/// Policies by what their scope says of the action.
#[derive(Debug, Default)]
struct ActionIndex {
    any: Vec<PolicyIndex>,
    one: HashMap<EntityUid, Vec<PolicyIndex>>,
    among: HashMap<EntityUid, Vec<PolicyIndex>>,
}

impl Bundle {
    /// Parses and validates `files` against `parts` of a schema and `lint`: a bundle if there is no error, and every problem of
    /// every file.
    pub fn load(files: &[PolicyFile], parts: &mut Parts, lint: Lint<'_>) -> (Option<Self>, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut bundle = Self::default();
        let mut origins = Origins::new();
        for file in files {
            for policy in parse(file, &mut problems) {
                match origins.entry(policy.id().clone()) {
                    Entry::Occupied(_) => problems.push(doubled(&file.source, policy.id())),
                    Entry::Vacant(free) => {
                        free.insert(&file.source);
                        bundle.add(BundledPolicy::read(policy));
                    }
                }
            }
        }
        let mut findings = Findings::new();
        let mut texts: HashMap<&str, Texts<'_>> = HashMap::new();
        for policy in bundle.iter() {
            let Some(source) = origins.get(policy.policy.id()) else { continue };
            let found: Vec<Finding> = annotations(&policy.policy).into_iter().chain(lint(policy)).collect();
            if let (false, Some(file)) = (found.is_empty(), files.iter().find(|file| file.source.name == source.name)) {
                let id = policy.policy.id();
                let texts = texts.entry(&file.name).or_insert_with(|| Texts::of(file));
                findings.insert(id.clone(), found.into_iter().map(|finding| texts.marked(id, finding)).collect());
            }
        }
        problems.extend(validated(&bundle, &origins, parts, findings));
        let valid = problems.iter().all(|problem| problem.severity == Severity::Warning);
        (valid.then_some(bundle), problems)
    }

    /// Policies as they are, for tests of what comes after validation.
    #[cfg(test)]
    pub(in crate::policy) fn unchecked(policies: impl IntoIterator<Item = Policy>) -> Self {
        let mut bundle = Self::default();
        policies.into_iter().for_each(|policy| bundle.add(BundledPolicy::read(policy)));
        bundle
    }

    fn add(&mut self, policy: BundledPolicy) {
        let index = self.policies.len();
        match policy.policy.action_constraint() {
            ActionConstraint::Any => self.actions.any.push(index),
            ActionConstraint::Eq(action) => self.actions.one.entry(action).or_default().push(index),
            ActionConstraint::In(list) => {
                for group in list {
                    self.actions.among.entry(group).or_default().push(index);
                }
            }
        }
        self.by_id.insert(policy.policy.id().clone(), index);
        self.policies.push(policy);
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The policy number `index`.
    pub fn policy(&self, index: PolicyIndex) -> Option<&BundledPolicy> {
        self.policies.get(index)
    }

    /// The policy with the id `id`.
    pub fn by_id(&self, id: &PolicyId) -> Option<&BundledPolicy> {
        self.policies.get(*self.by_id.get(id)?)
    }

    /// All policies, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &BundledPolicy> {
        self.policies.iter()
    }

    /// The policies on the action `action` and no other (`action == …`).
    pub fn on_action(&self, action: &EntityUid) -> impl Iterator<Item = PolicyIndex> {
        self.actions.one.get(action).into_iter().flatten().copied()
    }

    /// The policies on any action, or on a list that has `action` or one of its `groups`, each once, in order.
    pub fn on_actions(&self, action: &EntityUid, groups: &[EntityUid]) -> Vec<PolicyIndex> {
        let listed = std::iter::once(action).chain(groups).filter_map(|uid| self.actions.among.get(uid)).flatten();
        let all: BTreeSet<PolicyIndex> = self.actions.any.iter().chain(listed).copied().collect();
        all.into_iter().collect()
    }
}

impl BundledPolicy {
    fn read(policy: Policy) -> Self {
        // Cedar parses each name that it is asked for.
        let annotations: HashMap<&str, &str> = policy.annotations().collect();
        let text = |key| annotations.get(key).map(|&value| value.to_owned());
        let literals = policy.entity_literals();
        let scopes = literals.iter().filter(|uid| uid.type_name().basename() == EntityKind::Scope.as_str());
        Self {
            id: Arc::from(AsRef::<str>::as_ref(policy.id())),
            advice: text("advice"),
            acr: text("acr"),
            // One that is no number is an error of its own.
            max_age: annotations.get("max_age").and_then(|seconds| seconds.parse().ok()),
            scopes: scopes.map(|uid| uid.id().unescaped().to_owned()).collect(),
            reads: Reads::of(&policy),
            policy,
        }
    }

    /// Permit or forbid.
    pub fn effect(&self) -> Effect {
        self.policy.effect()
    }
}

/// The policies of one file, each under its `@id`, or under the file's name and its position.
fn parse(file: &PolicyFile, problems: &mut Vec<Problem>) -> Vec<Policy> {
    let source = &file.source;
    let set = match PolicySet::from_str(&source.text) {
        // Without its text: each policy would keep a copy, and have it parsed again whenever its tree is wanted.
        Ok(set) => PolicySet::from(set.as_ref().clone()),
        Err(errors) => {
            problems.extend(errors.iter().map(|error| diagnosed(source, error, Severity::Error)));
            return Vec::new();
        }
    };
    if let Some(template) = set.templates().next() {
        let message = format!("policy `{}` is a template; linked templates cannot be used yet", template.id());
        problems.push(whole_file(source, message, Some("write the principal or resource into the policy")));
    }
    // A file caught in the middle of being written is empty; taking it as "no policies" would drop its forbids.
    if set.is_empty() {
        problems.push(whole_file(
            source,
            "the file holds no policy".to_owned(),
            Some("delete the file if that is what you mean"),
        ));
    }
    let mut policies: Vec<&Policy> = set.policies().collect();
    policies.sort_by_key(|policy| position(policy));
    policies.into_iter().map(|policy| policy.new_id(id_of(policy, &file.name))).collect()
}

/// Cedar numbers the policies of a text `policy0`, `policy1`, ….
pub(in crate::policy) fn position(policy: &Policy) -> usize {
    AsRef::<str>::as_ref(policy.id()).trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

pub(in crate::policy) fn id_of(policy: &Policy, file: &str) -> PolicyId {
    match policy.annotations().find(|(name, id)| *name == "id" && !id.is_empty()) {
        Some((_, id)) => PolicyId::new(id),
        None => PolicyId::new(format!("{file}#{}", position(policy) + 1)),
    }
}
