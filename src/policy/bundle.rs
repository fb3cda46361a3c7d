//! Policy files, parsed and validated as one set. Nothing leaves here that strict validation has not passed.

pub(in crate::policy) mod parse;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, Template};

use self::parse::{Statement, parse};
use crate::policy::groups::GroupHierarchy;
use crate::policy::links::{LinkFile, link, specimen, unlinked};
use crate::policy::lint::Finding;
use crate::policy::names::EntityKind;
use crate::policy::parts::Parts;
use crate::policy::paths::Reads;
use crate::policy::plan::PolicyIndex;
use crate::policy::validate::{Origin, Review, doubled, whole_file};
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

/// What finds names in a policy that nothing has; its entity literals, or of a link the values, are at hand.
pub type Lint<'a> = &'a dyn Fn(&BundledPolicy, &[EntityUid]) -> Vec<Finding>;

/// What a policy is for (`@mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// What its conditions read; one for all policies that read the same.
    pub reads: Arc<Reads>,
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
        let mut review = Review::new(files, parts, lint);
        for file in files {
            for statement in parse(file, &mut problems) {
                let id = statement.id().clone();
                let from = Origin { source: &file.source, link: None, effect: statement.effect() };
                if !review.is_new(id.clone(), from) {
                    problems.push(doubled(&file.source, &id));
                    continue;
                }
                match statement {
                    Statement::Template(template) => drop(bundle.templates.insert(id, template)),
                    Statement::Policy(policy) => {
                        let literals = policy.entity_literals();
                        let mut policy = BundledPolicy::read(policy, &literals);
                        policy.reads = review.same_reads(policy.reads);
                        review.policy(&policy, &literals);
                        bundle.add(policy);
                    }
                }
            }
        }
        bundle.link(links, &mut review, &mut problems);
        problems.extend(review.validated(&bundle));
        let valid = problems.iter().all(|problem| problem.severity == Severity::Warning);
        (valid.then_some(bundle), problems)
    }

    /// Links the templates as `file` says.
    fn link<'f>(&mut self, file: Option<&'f LinkFile>, review: &mut Review<'f>, problems: &mut Vec<Problem>) {
        let mut templates: Vec<(&Source, &Template)> = Vec::new();
        // A specimen of each template: what its links share.
        let mut specimens: HashMap<PolicyId, BundledPolicy> = HashMap::new();
        let mut set = PolicySet::new();
        for (id, template) in &self.templates {
            let Some(source) = review.source(id) else { continue };
            templates.push((source, template));
            match specimen(template).filter(|_| set.add_template(template.clone()).is_ok()) {
                Some(policy) => {
                    let literals = policy.entity_literals();
                    let specimen = BundledPolicy { link: None, ..BundledPolicy::read(policy, &literals) };
                    review.template(id, &specimen, &literals);
                    specimens.insert(id.clone(), specimen);
                }
                None => problems.push(whole_file(source, format!("the template `{id}` cannot be linked"), None)),
            }
        }
        unlinked(&templates, file, problems);
        let Some(file) = file else { return };
        for (policy, link) in link(&mut set, &|id| self.by_id.contains_key(id), file, problems) {
            let from = Origin { source: &file.source, link: Some(link), effect: policy.effect() };
            if let Some((name, specimen)) = policy.template_id().and_then(|id| specimens.get_key_value(id)) {
                let policy = specimen.linked(policy);
                review.link(from, name, &policy);
                self.add(policy);
            }
        }
    }

    /// Policies as they are, for tests of what comes after validation.
    #[cfg(test)]
    pub(in crate::policy) fn unchecked(set: &PolicySet) -> Self {
        let templates = set.templates().map(|template| (template.id().clone(), template.clone())).collect();
        let mut bundle = Self { templates, ..Self::default() };
        let read = |policy: Policy| {
            let literals = policy.entity_literals();
            BundledPolicy::read(policy, &literals)
        };
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

    /// The policies of `mode` on `action` in any way, or on one of its `groups`, each once, in order.
    pub fn on(&self, mode: Mode, action: &EntityUid, groups: &[EntityUid]) -> BTreeSet<PolicyIndex> {
        let mut all = self.on_groups(mode, groups);
        all.extend(self.on_action(mode, action).chain(self.on_lists(mode, action)));
        all
    }

    /// The policies of `mode` on a list of actions (`action in […]`) that has `action` itself.
    pub fn on_lists(&self, mode: Mode, action: &EntityUid) -> impl Iterator<Item = PolicyIndex> {
        self.actions(mode).among.get(action).into_iter().flatten().copied()
    }

    /// The policies of `mode` on any action, or on one of `groups`, each once, in order.
    pub fn on_groups(&self, mode: Mode, groups: &[EntityUid]) -> BTreeSet<PolicyIndex> {
        let among = groups.iter().flat_map(|group| self.on_lists(mode, group));
        self.actions(mode).any.iter().copied().chain(among).collect()
    }
}

impl BundledPolicy {
    /// Reads `policy`, which has the entity literals `literals`: to find those costs Cedar as much as a look at all the rest.
    fn read(policy: Policy, literals: &[EntityUid]) -> Self {
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
            scopes: scopes(literals),
            reads: Arc::new(Reads::of(&policy)),
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
