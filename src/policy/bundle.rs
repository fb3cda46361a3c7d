//! Policy files, parsed and validated as one set. Nothing leaves here that strict validation has not passed.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;

use crate::policy::names::EntityKind;
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
#[derive(Debug)]
pub struct Bundle {
    set: PolicySet,
    policies: HashMap<PolicyId, PolicyFacts>,
}

/// What toolgate itself reads of a policy.
#[derive(Debug, Clone)]
pub struct PolicyFacts {
    /// Its `@id`, or file name and position.
    pub id: Arc<str>,
    /// Permit or forbid.
    pub effect: Effect,
    /// Which actions it speaks of.
    pub actions: ActionConstraint,
    /// `@advice`: what the caller is told when this forbid denied.
    pub advice: Option<String>,
    /// `@acr`: the authentication context class that would lift this forbid (RFC 9470).
    pub acr: Option<String>,
    /// `@max_age`, seconds: how fresh a login would lift this forbid (RFC 9470).
    pub max_age: Option<u64>,
    /// The scopes that it names.
    pub scopes: Vec<String>,
}

impl Bundle {
    /// Parses and validates `files` against `schema`: a bundle if there is no error, and every problem of every file.
    pub fn load(files: &[PolicyFile], schema: &Schema) -> (Option<Self>, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut set = PolicySet::new();
        let mut policies = HashMap::new();
        let mut origin: HashMap<PolicyId, &Source> = HashMap::new();
        for file in files {
            let source = &file.source;
            for policy in parse(file, &mut problems) {
                let id = policy.id().clone();
                if origin.insert(id.clone(), source).is_some() {
                    problems.push(doubled(source, &id));
                    continue;
                }
                match PolicyFacts::read(&policy) {
                    Ok(facts) => drop(policies.insert(id, facts)),
                    Err(message) => problems.push(at_text(source, "@max_age", message)),
                }
                if let Err(error) = set.add(policy) {
                    problems.push(whole_file(source, error.to_string(), None));
                }
            }
        }
        problems.extend(validated(&set, schema, &origin));
        let valid = problems.iter().all(|problem| problem.severity == Severity::Warning);
        (valid.then_some(Self { set, policies }), problems)
    }

    /// The whole set.
    pub fn set(&self) -> &PolicySet {
        &self.set
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// What is known of the policy `id`.
    pub fn facts(&self, id: &PolicyId) -> Option<&PolicyFacts> {
        self.policies.get(id)
    }

    /// All policies' facts, in no order.
    pub fn all_facts(&self) -> impl Iterator<Item = &PolicyFacts> {
        self.policies.values()
    }
}

impl PolicyFacts {
    fn read(policy: &Policy) -> Result<Self, String> {
        let text = |key| policy.annotation(key).map(str::to_owned);
        let max_age = match policy.annotation("max_age") {
            Some(seconds) => {
                Some(seconds.parse().map_err(|_| format!("`@max_age` is `{seconds}`, not a number of seconds"))?)
            }
            None => None,
        };
        let scopes =
            policy.entity_literals().into_iter().filter(|uid| uid.type_name().basename() == EntityKind::Scope.as_str());
        Ok(Self {
            id: Arc::from(AsRef::<str>::as_ref(policy.id())),
            effect: policy.effect(),
            actions: policy.action_constraint(),
            advice: text("advice"),
            acr: text("acr"),
            max_age,
            scopes: scopes.map(|uid| uid.id().unescaped().to_owned()).collect(),
        })
    }

    /// Whether the policy's scope admits the action `action` whose ancestors are `groups`.
    pub fn speaks_of(&self, action: &EntityUid, groups: &[EntityUid]) -> bool {
        match &self.actions {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(only) => only == action,
            ActionConstraint::In(list) => list.iter().any(|uid| uid == action || groups.contains(uid)),
        }
    }
}

/// What strict validation says of `set`. Cedar says it again for each action that a policy is about; here one place in
/// a file is one problem.
fn validated(set: &PolicySet, schema: &Schema, origin: &HashMap<PolicyId, &Source>) -> Vec<Problem> {
    let result = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    let place = |id: &PolicyId| origin.get(id).copied();
    let errors = result
        .validation_errors()
        .filter_map(|error| Some(diagnosed(place(error.policy_id())?, error, Severity::Error)));
    let warnings = result
        .validation_warnings()
        .filter_map(|warning| Some(diagnosed(place(warning.policy_id())?, warning, Severity::Warning)));
    let mut problems: Vec<Problem> = errors.chain(warnings).collect();
    let at = |problem: &Problem| (problem.source.name.clone(), problem.span.clone().map(|span| (span.start, span.end)));
    // Errors before warnings; among equals always the same one, whatever the order of Cedar's maps.
    problems.sort_by_cached_key(|problem| (at(problem), Reverse(problem.severity), problem.message.clone()));
    problems.dedup_by(|next, first| first.span.is_some() && at(next) == at(first));
    problems
}

/// The policies of one file, each under its `@id`, or under the file's name and its position.
fn parse(file: &PolicyFile, problems: &mut Vec<Problem>) -> Vec<Policy> {
    let source = &file.source;
    let set = match PolicySet::from_str(&source.text) {
        Ok(set) => set,
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
fn position(policy: &Policy) -> usize {
    AsRef::<str>::as_ref(policy.id()).trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

fn id_of(policy: &Policy, file: &str) -> PolicyId {
    match policy.annotation("id").filter(|id| !id.is_empty()) {
        Some(id) => PolicyId::new(id),
        None => PolicyId::new(format!("{file}#{}", position(policy) + 1)),
    }
}

fn diagnosed(source: &Source, error: &(impl Diagnostic + ?Sized), severity: Severity) -> Problem {
    let label = error.labels().and_then(|mut labels| labels.next());
    let span = label.map(|label| label.offset()..label.offset().saturating_add(label.len()));
    let help = error.help().map(|help| help.to_string());
    Problem { severity, source: source.clone(), span, message: error.to_string(), help }
}

fn doubled(source: &Source, id: &PolicyId) -> Problem {
    let mut problem = at_text(source, &format!("\"{id}\""), format!("two policies have the id `{id}`"));
    problem.help = Some("ids name policies in the audit record: give each its own".to_owned());
    problem
}

fn at_text(source: &Source, text: &str, message: String) -> Problem {
    let span = source.text.rfind(text).map(|start| start..start + text.len());
    Problem { severity: Severity::Error, source: source.clone(), span, message, help: None }
}

fn whole_file(source: &Source, message: String, help: Option<&str>) -> Problem {
    Problem { severity: Severity::Error, source: source.clone(), span: None, message, help: help.map(str::to_owned) }
}
