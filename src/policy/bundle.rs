//! Policy files, parsed and validated as one set. Nothing leaves here that strict validation has not passed.

mod parse;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, Schema, Template};

use self::parse::{Statement, parse};
use crate::policy::groups::GroupHierarchy;
use crate::policy::links::{LinkFile, link, specimen, unlinked};
use crate::policy::lint::Finding;
use crate::policy::names::EntityKind;
use crate::policy::paths::Reads;
use crate::policy::plan::PolicyIndex;
use crate::policy::validate::{Origin, at_text, doubled, marked, validated, whole_file};
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
    templates: HashMap<PolicyId, Template>,
    groups: GroupHierarchy,
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
    /// Parses and validates `files` and the links of their templates against `schema` and `lint`: a bundle if there is no
    /// error, and every problem of every file.
    pub fn load(
        files: &[PolicyFile],
        links: Option<&LinkFile>,
        schema: &Schema,
        lint: Lint<'_>,
    ) -> (Option<Self>, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut bundle = Self::default();
        let mut set = PolicySet::new();
        let mut origin: HashMap<PolicyId, Origin<'_>> = HashMap::new();
        for file in files {
            for statement in parse(file, &mut problems) {
                let id = statement.id().clone();
                let from = Origin { source: &file.source, link: None, effect: statement.effect() };
                if origin.insert(id.clone(), from).is_some() {
                    problems.push(doubled(&file.source, &id));
                    continue;
                }
                if let Err(error) = statement.add(&mut set) {
                    problems.push(whole_file(&file.source, error, None));
                }
                match statement {
                    Statement::Template(template) => drop(bundle.templates.insert(id, template)),
                    Statement::Policy(policy) => match BundledPolicy::read(policy) {
                        Ok(policy) => bundle.add(policy),
                        Err(message) => problems.push(at_text(&file.source, "@max_age", message)),
                    },
                }
            }
        }
        let specimens = bundle.link(&mut set, links, &mut origin, &mut problems);
        let findings = bundle.policies.iter().chain(specimens.values()).filter_map(|policy| {
            let from = origin.get(policy.policy.id())?;
            let findings = lint(policy).into_iter().map(|finding| marked(from, policy, finding));
            Some((policy.id.to_string(), findings.collect::<Vec<_>>())).filter(|(_, findings)| !findings.is_empty())
        });
        let findings: BTreeMap<String, Vec<Problem>> = findings.collect();
        let said = validated(&set, &origin, schema, findings.keys().cloned().collect());
        // What Cedar found in the same place, it says better.
        let unsaid = |finding: &Problem| !said.iter().any(|problem| problem.overlaps(finding));
        problems.extend(findings.into_values().flatten().filter(unsaid));
        problems.extend(said);
        let valid = problems.iter().all(|problem| problem.severity == Severity::Warning);
        (valid.then_some(bundle), problems)
    }

    /// Links the templates as `file` says, in `set` too. Returns a specimen of each template: what its links share.
    fn link<'f>(
        &mut self,
        set: &mut PolicySet,
        file: Option<&'f LinkFile>,
        origin: &mut HashMap<PolicyId, Origin<'f>>,
        problems: &mut Vec<Problem>,
    ) -> HashMap<PolicyId, BundledPolicy> {
        let mut templates: Vec<(&Source, &Template)> = Vec::new();
        let mut specimens = HashMap::new();
        for (id, template) in &self.templates {
            let Some(source) = origin.get(id).map(|from| from.source) else { continue };
            templates.push((source, template));
            match specimen(template).map(BundledPolicy::read) {
                Some(Ok(read)) => drop(specimens.insert(id.clone(), BundledPolicy { link: None, ..read })),
                Some(Err(message)) => problems.push(at_text(source, "@max_age", message)),
                None => problems.push(whole_file(source, format!("the template `{id}` cannot be linked"), None)),
            }
        }
        unlinked(&templates, file, problems);
        let Some(file) = file else { return specimens };
        for (policy, link) in link(set, file, problems) {
            let from = Origin { source: &file.source, link: Some(link), effect: policy.effect() };
            origin.insert(policy.id().clone(), from);
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
        let read = |policy: Policy| BundledPolicy::read(policy).unwrap();
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
    fn read(policy: Policy) -> Result<Self, String> {
        let text = |key| policy.annotation(key).map(str::to_owned);
        let max_age = match policy.annotation("max_age") {
            Some(seconds) => {
                Some(seconds.parse().map_err(|_| format!("`@max_age` is `{seconds}`, not a number of seconds"))?)
            }
            None => None,
        };
        Ok(Self {
            id: Arc::from(AsRef::<str>::as_ref(policy.id())),
            advice: text("advice"),
            acr: text("acr"),
            max_age,
            scopes: scopes(&policy.entity_literals()),
            reads: Reads::of(&policy),
            link: policy.template_links().map(|values| values.into_values().collect()),
            policy,
        })
    }

    /// `policy`, of whose template this is a specimen. Its literals are the template's, without what is in the slots.
    fn linked(&self, policy: Policy) -> Self {
        let link: Vec<EntityUid> = policy.template_links().into_iter().flat_map(HashMap::into_values).collect();
        Self {
            id: Arc::from(AsRef::<str>::as_ref(policy.id())),
            advice: self.advice.clone(),
            acr: self.acr.clone(),
            max_age: self.max_age,
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
