//! What strict validation says of a policy set, as problems of files: each once, in its place.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use cedar_policy::{
    Effect, PolicyId, PolicySet, Schema, ValidationError, ValidationMode, ValidationWarning, Validator,
};
use miette::Diagnostic;

use crate::policy::bundle::BundledPolicy;
use crate::policy::links::Link;
use crate::policy::lint::Finding;
use crate::problem::{Problem, Severity, Source};

/// Where a policy was written, and what it does.
#[derive(Debug, Clone, Copy)]
pub(in crate::policy) struct Origin<'a> {
    /// Its file.
    pub(in crate::policy) source: &'a Source,
    /// Of a link, what is written of it there.
    pub(in crate::policy) link: Option<&'a Link>,
    /// Whether it permits or forbids.
    pub(in crate::policy) effect: Effect,
}

impl Origin<'_> {
    fn diagnosed(&self, error: &dyn Diagnostic, severity: Severity) -> Problem {
        let problem = diagnosed(self.source, error, severity);
        // What Cedar marks for a link is its template.
        Problem { span: self.link.map_or(problem.span, |link| Some(link.id.span.clone())), ..problem }
    }
}

/// What strict validation says of `set`. A policy that can never apply is worth a warning; a forbid that cannot is an
/// error, since somebody relies on it. Of a policy that is `faulty` already, that goes without saying. Cedar says
/// everything again for each action that a policy is about; here one place in a file is one problem.
pub(in crate::policy) fn validated(
    set: &PolicySet,
    origin: &HashMap<PolicyId, Origin<'_>>,
    schema: &Schema,
    mut faulty: BTreeSet<String>,
) -> Vec<Problem> {
    let result = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    let mut problems = Vec::new();
    for error in result.validation_errors() {
        let id = error.policy_id();
        let inapplicable = matches!(error, ValidationError::InvalidActionApplication(_));
        if !(inapplicable && faulty.contains(&id.to_string())) {
            problems.extend(origin.get(id).map(|from| from.diagnosed(error, Severity::Error)));
        }
        faulty.insert(id.to_string());
    }
    for warning in result.validation_warnings() {
        let id = warning.policy_id();
        let is_forbid = origin.get(id).is_some_and(|from| from.effect == Effect::Forbid);
        let impossible =
            matches!(warning, ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_));
        let severity = if is_forbid && impossible { Severity::Error } else { Severity::Warning };
        if !faulty.contains(&id.to_string()) {
            problems.extend(origin.get(id).map(|from| from.diagnosed(warning, severity)));
        }
    }
    let at = |problem: &Problem| (problem.source.name.clone(), problem.span.clone().map(|span| (span.start, span.end)));
    // Errors before warnings; among equals always the same one, whatever the order of Cedar's maps.
    problems.sort_by_cached_key(|problem| (at(problem), Reverse(problem.severity), problem.message.clone()));
    problems.dedup_by(|next, first| first.span.is_some() && at(next) == at(first));
    problems
}

pub(in crate::policy) fn diagnosed(source: &Source, error: &dyn Diagnostic, severity: Severity) -> Problem {
    let label = error.labels().and_then(|mut labels| labels.next());
    let span = label.map(|label| label.offset()..label.offset().saturating_add(label.len()));
    let help = error.help().map(|help| help.to_string());
    Problem { severity, source: source.clone(), span, message: error.to_string(), help }
}

pub(in crate::policy) fn doubled(source: &Source, id: &PolicyId) -> Problem {
    let mut problem = at_text(source, &format!("\"{id}\""), format!("two policies have the id `{id}`"));
    problem.help = Some("ids name policies in the audit record: give each its own".to_owned());
    problem
}

pub(in crate::policy) fn at_text(source: &Source, text: &str, message: String) -> Problem {
    let span = source.text.rfind(text).map(|start| start..start + text.len());
    Problem { severity: Severity::Error, source: source.clone(), span, message, help: None }
}

/// A finding at its first place in the policy; a policy without `@id` is looked for from the start of its file.
pub(in crate::policy) fn marked(origin: &Origin<'_>, policy: &BundledPolicy, finding: Finding) -> Problem {
    let source = origin.source;
    let message = format!("for policy `{}`, {}", policy.id, finding.message);
    if let Some(link) = origin.link {
        let span = Some(link.place_of(&finding.text).span.clone());
        return Problem { severity: Severity::Error, source: source.clone(), span, message, help: finding.help };
    }
    let from = source.text.find(&format!("@id(\"{}\")", policy.id)).unwrap_or(0);
    let rest = source.text.get(from..).unwrap_or_default();
    let span = rest.find(&finding.text).map(|at| from + at..from + at + finding.text.len());
    Problem { severity: Severity::Error, source: source.clone(), span, message, help: finding.help }
}

pub(in crate::policy) fn whole_file(source: &Source, message: String, help: Option<&str>) -> Problem {
    Problem { severity: Severity::Error, source: source.clone(), span: None, message, help: help.map(str::to_owned) }
}
