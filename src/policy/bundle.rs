//! Policy files, parsed and validated as one set. Nothing leaves here that strict validation has not passed.

pub(in crate::policy) mod parse;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, Template};

use self::parse::{Statement, parse};
use crate::policy::groups::GroupHierarchy;
use crate::policy::links::{LinkFile, link, specimen, unlinked};
use crate::policy::lint::{Finding, annotations};
use crate::policy::names::EntityKind;
use crate::policy::parts::Parts;
use crate::policy::paths::Reads;
use crate::policy::plan::PolicyIndex;
use crate::policy::validate::{Findings, Marks, Origin, Origins, Specimens, doubled, validated, whole_file};
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
    enforced: ActionIndex,
    shadows: ActionIndex,
    templates: HashMap<PolicyId, Template>,
    groups: GroupHierarchy,
}

/// What finds names in a policy that nothing has.
pub type Lint<'a> = &'a dyn Fn(&BundledPolicy) -> Vec<Finding>;

/// What a policy is for (`@mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It decides: the default.
    Enforced,
    /// It is evaluated, and what it would have changed is recorded.
    Shadow,
}

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
    /// `@mode`: whether it is enforced.
    pub mode: Mode,
    /// The scopes that it names.
    pub scopes: Vec<String>,
    /// What its conditions read.
    pub reads: Reads,
    /// Of a link, what it puts into the slots of its template, where all the rest of it stands.
    pub link: Option<Vec<EntityUid>>,
}

/// Policies by what their scope says of the action.
#[derive(Debug, Default)]
struct ActionIndex {
    any: Vec<PolicyIndex>,
    one: HashMap<EntityUid, Vec<PolicyIndex>>,
    among: HashMap<EntityUid, Vec<PolicyIndex>>,
}

impl Bundle {
    /// Parses and validates `files` and the links of their templates against `parts` of a schema and `lint`: a bundle if there
    /// is no error, and every problem of every file.
    pub fn load(
        files: &[PolicyFile],
        links: Option<&LinkFile>,
        parts: &mut Parts,
        lint: Lint<'_>,
    ) -> (Option<Self>, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut bundle = Self::default();
        let mut origins = Origins::new();
        for file in files {
            for statement in parse(file, &mut problems) {
                let id = statement.id().clone();
                let from = Origin { source: &file.source, link: None, effect: statement.effect() };
                if origins.insert(id.clone(), from).is_some() {
                    problems.push(doubled(&file.source, &id));
                    continue;
                }
                match statement {
                    Statement::Template(template) => drop(bundle.templates.insert(id, template)),
                    Statement::Policy(policy) => bundle.add(BundledPolicy::read(policy)),
                }
            }
        }
        let specimens = bundle.link(links, &mut origins, &mut problems);
        let mut marks = Marks::new(files);
        let mut findings = Findings::new();
        for policy in bundle.policies.iter().chain(specimens.values()) {
            let Some(from) = origins.get(policy.policy.id()) else { continue };
            let own = if from.link.is_none() { annotations(&policy.policy) } else { Vec::new() };
            let found: Vec<Finding> = own.into_iter().chain(lint(policy)).collect();
            if !found.is_empty() {
                let id = policy.policy.id();
                let found = found.into_iter().map(|finding| marks.marked(from, id, finding)).collect();
                findings.insert(id.clone(), found);
            }
        }
        problems.extend(validated(&bundle, &specimens, &origins, parts, findings));
        let valid = problems.iter().all(|problem| problem.severity == Severity::Warning);
        (valid.then_some(bundle), problems)
    }

    /// Links the templates as `file` says. Returns a specimen of each template: what its links share.
    fn link<'f>(
        &mut self,
        file: Option<&'f LinkFile>,
        origins: &mut Origins<'f>,
        problems: &mut Vec<Problem>,
    ) -> Specimens {
        let mut templates: Vec<(&Source, &Template)> = Vec::new();
        let mut specimens = Specimens::new();
        let mut set = PolicySet::new();
        for (id, template) in &self.templates {
            let Some(source) = origins.get(id).map(|from| from.source) else { continue };
            templates.push((source, template));
            match specimen(template).filter(|_| set.add_template(template.clone()).is_ok()) {
                Some(policy) => {
                    specimens.insert(id.clone(), BundledPolicy { link: None, ..BundledPolicy::read(policy) });
                }
                None => problems.push(whole_file(source, format!("the template `{id}` cannot be linked"), None)),
            }
        }
        unlinked(&templates, file, problems);
        let Some(file) = file else { return specimens };
        for (policy, link) in link(&mut set, &|id| self.by_id.contains_key(id), file, problems) {
            let from = Origin { source: &file.source, link: Some(link), effect: policy.effect() };
            origins.insert(policy.id().clone(), from);
            if let Some(specimen) = policy.template_id().and_then(|id| specimens.get(id)) {
                self.add(specimen.linked(policy));
            }
        }
        specimens
    }

    /// Policies as they are, for tests of what comes after validation.
    #[cfg(test)]
    pub(in crate::policy) fn unchecked(set: &PolicySet) -> Self {
        let templates = set.templates().map(|template| (template.id().clone(), template.clone())).collect();
        let mut bundle = Self { templates, ..Self::default() };
        let read = BundledPolicy::read;
        let specimens: HashMap<&PolicyId, BundledPolicy> =
            set.templates().map(|template| (template.id(), read(specimen(template).unwrap()))).collect();
        for policy in set.policies() {
            bundle.add(match policy.template_id() {
                None => read(policy.clone()),
                Some(id) => specimens[id].linked(policy.clone()),
            });
        }
        bundle
    }

    /// The same policies over groups that are in groups.
    #[must_use]
    pub fn in_groups(self, groups: GroupHierarchy) -> Self {
        Self { groups, ..self }
    }

    /// Which groups are in which.
    pub fn groups(&self) -> &GroupHierarchy {
        &self.groups
    }

    /// The templates that links are of.
    pub fn templates(&self) -> &HashMap<PolicyId, Template> {
        &self.templates
    }

    fn add(&mut self, policy: BundledPolicy) {
        let index = self.policies.len();
        let actions = match policy.mode {
            Mode::Enforced => &mut self.enforced,
            Mode::Shadow => &mut self.shadows,
        };
        match policy.policy.action_constraint() {
            ActionConstraint::Any => actions.any.push(index),
            ActionConstraint::Eq(action) => actions.one.entry(action).or_default().push(index),
            ActionConstraint::In(list) => {
                for group in list {
                    actions.among.entry(group).or_default().push(index);
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

    fn actions(&self, mode: Mode) -> &ActionIndex {
        match mode {
            Mode::Enforced => &self.enforced,
            Mode::Shadow => &self.shadows,
        }
    }

    /// The policies of `mode` on the action `action` and no other (`action == …`).
    pub fn on_action(&self, mode: Mode, action: &EntityUid) -> impl Iterator<Item = PolicyIndex> {
        self.actions(mode).one.get(action).into_iter().flatten().copied()
    }

    /// The policies of `mode` on any action, or on a list that has `action` or one of its `groups`, each once, in order.
    pub fn on_actions(&self, mode: Mode, action: &EntityUid, groups: &[EntityUid]) -> Vec<PolicyIndex> {
        let actions = self.actions(mode);
        let listed = std::iter::once(action).chain(groups).filter_map(|uid| actions.among.get(uid)).flatten();
        let all: BTreeSet<PolicyIndex> = actions.any.iter().chain(listed).copied().collect();
        all.into_iter().collect()
    }
}

impl BundledPolicy {
    fn read(policy: Policy) -> Self {
        // Cedar parses each name that it is asked for.
        let annotations: HashMap<&str, &str> = policy.annotations().collect();
        let text = |key| annotations.get(key).map(|&value| value.to_owned());
        Self {
            id: Arc::from(AsRef::<str>::as_ref(policy.id())),
            advice: text("advice"),
            acr: text("acr"),
            // What cannot be read of these is an error of its own.
            max_age: annotations.get("max_age").and_then(|seconds| seconds.parse().ok()),
            mode: match annotations.get("mode") {
                Some(&"shadow") => Mode::Shadow,
                Some(_) | None => Mode::Enforced,
            },
            scopes: scopes(&policy.entity_literals()),
            reads: Reads::of(&policy),
            link: policy.template_links().map(|values| values.into_values().collect()),
            policy,
        }
    }

    /// `policy`, of whose template this is a specimen. Its literals are the template's, without what is in the slots.
    fn linked(&self, policy: Policy) -> Self {
        let link: Vec<EntityUid> = policy.template_links().into_iter().flat_map(HashMap::into_values).collect();
        Self {
            id: Arc::from(AsRef::<str>::as_ref(policy.id())),
            advice: self.advice.clone(),
            acr: self.acr.clone(),
            max_age: self.max_age,
            mode: self.mode,
            scopes: self.scopes.iter().cloned().chain(scopes(&link)).collect(),
            reads: self.reads.clone(),
            link: Some(link),
            policy,
        }
    }

    /// Permit or forbid.
    pub fn effect(&self) -> Effect {
        self.policy.effect()
    }
}

/// The scopes among `literals`.
fn scopes(literals: &[EntityUid]) -> Vec<String> {
    let scopes = literals.iter().filter(|uid| uid.type_name().basename() == EntityKind::Scope.as_str());
    scopes.map(|uid| uid.id().unescaped().to_owned()).collect()
}
