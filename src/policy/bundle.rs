//! Policy files, parsed and validated as one set. Nothing leaves here that strict validation has not passed.

mod parse;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, Schema, Template};

use self::parse::{Statement, parse};
use crate::policy::groups::GroupHierarchy;
use crate::policy::links::{LinkFile, link, specimen, unlinked};
use crate::policy::lint::Finding;
use crate::policy::names::{EntityKind, quoted};
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

/// An annotation that toolgate reads, with a value that it cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AnnotationError {
    name: &'static str,
    value: String,
    want: &'static str,
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
                        Err(error) => problems.push(error.at(&file.source)),
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
                Some(Err(error)) => problems.push(error.at(source)),
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
    fn read(policy: Policy) -> Result<Self, AnnotationError> {
        let text = |key| policy.annotation(key).map(str::to_owned);
        let max_age = policy.annotation("max_age").map(|seconds| {
            let unfit = |_| AnnotationError { name: "max_age", value: seconds.to_owned(), want: "a number of seconds" };
            seconds.parse().map_err(unfit)
        });
        let mode = match policy.annotation("mode") {
            None | Some("enforce") => Mode::Enforced,
            Some("shadow") => Mode::Shadow,
            Some(other) => {
                return Err(AnnotationError { name: "mode", value: other.to_owned(), want: "`shadow` or `enforce`" });
            }
        };
        Ok(Self {
            id: Arc::from(AsRef::<str>::as_ref(policy.id())),
            advice: text("advice"),
            acr: text("acr"),
            max_age: max_age.transpose()?,
            mode,
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

impl AnnotationError {
    fn at(&self, source: &Source) -> Problem {
        let Self { name, value, want } = self;
        let written = format!("@{name}({})", quoted(value));
        let place = if source.text.contains(&written) { written } else { format!("@{name}") };
        at_text(source, &place, format!("`@{name}` is `{value}`, not {want}"))
    }
}

/// The scopes among `literals`.
fn scopes(literals: &[EntityUid]) -> Vec<String> {
    let scopes = literals.iter().filter(|uid| uid.type_name().basename() == EntityKind::Scope.as_str());
    scopes.map(|uid| uid.id().unescaped().to_owned()).collect()
}
