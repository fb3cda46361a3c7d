//! The policies and templates of one file, under the ids that records know them by.

use std::collections::HashMap;
use std::ops::Range;
use std::str::FromStr;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, Template};

use crate::policy::bundle::PolicyFile;
use crate::policy::validate::{diagnosed, whole_file};
use crate::problem::{Problem, Severity};

/// One policy or template of a file.
pub(super) enum Statement {
    Policy(Policy),
    Template(Template),
}

impl Statement {
    pub(super) fn id(&self) -> &PolicyId {
        match self {
            Self::Policy(policy) => policy.id(),
            Self::Template(template) => template.id(),
        }
    }

    pub(super) fn effect(&self) -> Effect {
        match self {
            Self::Policy(policy) => policy.effect(),
            Self::Template(template) => template.effect(),
        }
    }
}

/// The policies of one file, each under its `@id`, or under the file's name and its position.
pub(super) fn parse(file: &PolicyFile, problems: &mut Vec<Problem>) -> Vec<Statement> {
    let source = &file.source;
    let set = match PolicySet::from_str(&source.text) {
        Ok(set) => set,
        Err(errors) => {
            problems.extend(errors.iter().map(|error| diagnosed(source, error, Severity::Error)));
            return Vec::new();
        }
    };
    // A file caught in the middle of being written is empty; taking it as "no policies" would drop its forbids.
    if set.is_empty() {
        problems.push(whole_file(
            source,
            "the file holds no policy".to_owned(),
            Some("delete the file if that is what you mean"),
        ));
    }
    // Without its text: each policy would keep a copy, and have it parsed again whenever its tree is wanted.
    let textless = PolicySet::from(set.as_ref().clone());
    let policies = textless.policies().map(|policy| {
        let id = id_of(policy.id(), policy.annotations(), &file.name);
        (position(policy.id()), Statement::Policy(policy.new_id(id)))
    });
    let templates = set.templates().map(|template| {
        let id = id_of(template.id(), template.annotations(), &file.name);
        (position(template.id()), Statement::Template(template.new_id(id)))
    });
    let mut all: Vec<(usize, Statement)> = policies.chain(templates).collect();
    all.sort_by_key(|(position, _)| *position);
    all.into_iter().map(|(_, statement)| statement).collect()
}

/// Where each policy and template of `file` stands, under the same ids.
pub(in crate::policy) fn places(file: &PolicyFile) -> HashMap<PolicyId, Range<usize>> {
    let text = &file.source.text;
    let Ok(set) = PolicySet::from_str(text) else { return HashMap::new() };
    let policies = set.policies().map(|policy| {
        (position(policy.id()), id_of(policy.id(), policy.annotations(), &file.name), policy.to_string())
    });
    let templates = set.templates().map(|template| {
        (position(template.id()), id_of(template.id(), template.annotations(), &file.name), template.to_string())
    });
    let mut all: Vec<_> = policies.chain(templates).collect();
    all.sort();
    let (mut places, mut from) = (HashMap::new(), 0);
    for (_, id, own) in all {
        if let Some(at) = text.get(from..).and_then(|rest| rest.find(&own)) {
            let start = from + at;
            from = start + own.len();
            places.entry(id).or_insert(start..from);
        }
    }
    places
}

/// Cedar numbers the policies of a text `policy0`, `policy1`, ….
fn position(id: &PolicyId) -> usize {
    AsRef::<str>::as_ref(id).trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

fn id_of<'a>(own: &PolicyId, mut annotations: impl Iterator<Item = (&'a str, &'a str)>, file: &str) -> PolicyId {
    match annotations.find(|(name, id)| *name == "id" && !id.is_empty()) {
        Some((_, id)) => PolicyId::new(id),
        None => PolicyId::new(format!("{file}#{}", position(own) + 1)),
    }
}
