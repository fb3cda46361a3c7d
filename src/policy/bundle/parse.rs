//! The policies and templates of one file, under the ids that records know them by.

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

    pub(super) fn add(&self, set: &mut PolicySet) -> Result<(), String> {
        let added = match self {
            Self::Policy(policy) => set.add(policy.clone()),
            Self::Template(template) => set.add_template(template.clone()),
        };
        added.map_err(|error| error.to_string())
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
    let id = |own: &PolicyId, annotation| id_of(own, annotation, &file.name);
    let policies = set.policies().map(|policy| {
        let id = id(policy.id(), policy.annotation("id"));
        (position(policy.id()), Statement::Policy(policy.new_id(id)))
    });
    let templates = set.templates().map(|template| {
        let id = id(template.id(), template.annotation("id"));
        (position(template.id()), Statement::Template(template.new_id(id)))
    });
    let mut all: Vec<(usize, Statement)> = policies.chain(templates).collect();
    all.sort_by_key(|(position, _)| *position);
    all.into_iter().map(|(_, statement)| statement).collect()
}

/// Cedar numbers the policies of a text `policy0`, `policy1`, ….
fn position(id: &PolicyId) -> usize {
    AsRef::<str>::as_ref(id).trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

fn id_of(own: &PolicyId, annotation: Option<&str>, file: &str) -> PolicyId {
    match annotation.filter(|id| !id.is_empty()) {
        Some(id) => PolicyId::new(id),
        None => PolicyId::new(format!("{file}#{}", position(own) + 1)),
    }
}
