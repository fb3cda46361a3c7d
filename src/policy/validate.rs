//! What strict validation says of a policy set, as problems of files: each once, in its place.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::str::FromStr;

use cedar_policy::{
    ActionConstraint, Effect, Policy, PolicyId, PolicySet, ValidationError, ValidationMode, ValidationResult,
    ValidationWarning, Validator,
};
use miette::Diagnostic;

use crate::policy::bundle::{Bundle, BundledPolicy, PolicyFile, id_of, position};
use crate::policy::lint::{Finding, What};
use crate::policy::parts::{Part, Parts};
use crate::policy::place;
use crate::problem::{Problem, Severity, Source};

/// Where policies come from.
pub(in crate::policy) type Origins<'a> = HashMap<PolicyId, &'a Source>;

/// What the lints found, by policy.
pub(in crate::policy) type Findings = BTreeMap<PolicyId, Vec<Problem>>;

/// One thing that Cedar says of a policy.
struct Said {
    policy: PolicyId,
    is_unknown_name: bool,
    problem: Problem,
}

/// What strict validation says of the policies of `bundle`, and what the lints found, each once. A policy that can never
/// apply is worth a warning; a forbid that cannot is an error, since somebody relies on it. Of a policy that is faulty
/// already, that goes without saying. Cedar says everything again for each action that a policy is about; here one place
/// in a file is one problem.
pub(in crate::policy) fn validated(
    bundle: &Bundle,
    origins: &Origins<'_>,
    parts: &mut Parts,
    findings: Findings,
) -> Vec<Problem> {
    let is_faulty = |found: &[Problem]| found.iter().any(|problem| problem.severity == Severity::Error);
    let faulty = findings.iter().filter(|(_, found)| is_faulty(found)).map(|(id, _)| id.clone());
    let mut faulty: BTreeSet<PolicyId> = faulty.collect();
    let mut groups: BTreeMap<Part, Vec<&BundledPolicy>> = BTreeMap::new();
    for policy in bundle.iter() {
        groups.entry(parts.of(policy)).or_default().push(policy);
    }
    let mut all = Vec::new();
    for (part, policies) in groups {
        let mut set = PolicySet::new();
        for policy in policies {
            let added = set.add(policy.policy.clone());
            let source = origins.get(policy.policy.id()).filter(|_| added.is_err());
            all.extend(source.map(|source| Said {
                policy: policy.policy.id().clone(),
                is_unknown_name: false,
                problem: whole_file(source, format!("the policy `{}` cannot be validated", policy.id), None),
            }));
        }
        let result = Validator::new(parts.schema(&part)).validate(&set, ValidationMode::Strict);
        said(&result, bundle, origins, &mut faulty, &mut all);
    }
    merged(all, findings)
}

/// What Cedar says first, then what it left unsaid. In the same place Cedar says it better, but for actions and servers, of
/// which the lints know more; and it does not always know what was meant.
fn merged(mut all: Vec<Said>, findings: Findings) -> Vec<Problem> {
    let at = |problem: &Problem| (problem.source.name.clone(), problem.span.clone().map(|span| (span.start, span.end)));
    // Errors before warnings; among equals always the same one, whatever the order of Cedar's maps.
    all.sort_by_cached_key(|Said { problem, .. }| (at(problem), Reverse(problem.severity), problem.message.clone()));
    all.dedup_by(|next, first| first.problem.span.is_some() && at(&next.problem) == at(&first.problem));
    let mut problems = Vec::new();
    let mut findings: BTreeMap<PolicyId, Vec<(bool, Problem)>> = findings
        .into_iter()
        .map(|(id, list)| (id, list.into_iter().map(|problem| (true, problem)).collect()))
        .collect();
    for Said { policy, is_unknown_name, mut problem } in all {
        let same = findings.get_mut(&policy).into_iter().flatten().find(|(_, finding)| finding.overlaps(&problem));
        match same {
            Some(_) if is_unknown_name => continue,
            Some((is_unsaid, finding)) => {
                *is_unsaid = false;
                problem.help = problem.help.or_else(|| finding.help.clone());
            }
            None => {}
        }
        problems.push(problem);
    }
    let unsaid = findings.into_values().flatten().filter(|(is_unsaid, _)| *is_unsaid);
    problems.extend(unsaid.map(|(_, finding)| finding));
    problems
}

fn said(
    result: &ValidationResult,
    bundle: &Bundle,
    origins: &Origins<'_>,
    faulty: &mut BTreeSet<PolicyId>,
    all: &mut Vec<Said>,
) {
    for error in result.validation_errors() {
        let id = error.policy_id();
        let is_unknown_name =
            matches!(error, ValidationError::UnrecognizedActionId(_) | ValidationError::InvalidEnumEntity(_));
        let inapplicable = matches!(error, ValidationError::InvalidActionApplication(_));
        if !(inapplicable && faulty.contains(id))
            && let Some(source) = origins.get(id)
        {
            let mut problem = diagnosed(source, error, Severity::Error);
            let of_types = matches!(error, ValidationError::UnexpectedType(_) | ValidationError::IncompatibleTypes(_));
            if let Some(types) = bundle.by_id(id).filter(|_| of_types).and_then(origin_of_types) {
                problem.message.push_str(&types);
            }
            all.push(Said { policy: id.clone(), is_unknown_name, problem });
        }
        faulty.insert(id.clone());
    }
    for warning in result.validation_warnings() {
        let id = warning.policy_id();
        let is_forbid = bundle.by_id(id).is_some_and(|policy| policy.effect() == Effect::Forbid);
        let impossible = matches!(warning, ValidationWarning::ImpossiblePolicy(_));
        let severity = if is_forbid && impossible { Severity::Error } else { Severity::Warning };
        if !faulty.contains(id)
            && let Some(source) = origins.get(id)
        {
            let problem = diagnosed(source, warning, severity);
            all.push(Said { policy: id.clone(), is_unknown_name: false, problem });
        }
    }
}

/// Whose catalogue gives the types that a policy on one tool, or on one server's tools, reads.
fn origin_of_types(policy: &BundledPolicy) -> Option<String> {
    let reads_arguments = policy.reads.context.members().any(|member| member == "arguments");
    let action = match policy.policy.action_constraint() {
        ActionConstraint::Eq(action) => Some(action),
        ActionConstraint::In(list) => list.into_iter().next(),
        ActionConstraint::Any => None,
    };
    let action = action.filter(|_| reads_arguments)?;
    let (server, tool) = action.id().unescaped().split_once(':')?;
    Some(match tool {
        "*" => format!("; the catalogue of `{server}` says so"),
        tool => format!("; the catalogue of `{server}` says so of `{tool}`"),
    })
}

pub(in crate::policy) fn diagnosed(source: &Source, error: &dyn Diagnostic, severity: Severity) -> Problem {
    let label = error.labels().and_then(|mut labels| labels.next());
    let span = label.map(|label| label.offset()..label.offset().saturating_add(label.len()));
    let help = error.help().map(|help| help.to_string());
    Problem { severity, source: source.clone(), span, message: error.to_string(), help }
}

/// The second of two policies with one id, which the second says itself or not at all.
pub(in crate::policy) fn doubled(source: &Source, id: &PolicyId) -> Problem {
    let said = format!("\"{id}\"");
    let message = format!("two policies have the id `{id}`");
    let help = Some("ids name policies in the audit record: give each its own".to_owned());
    let span = source.text.rfind(&said).map(|start| start..start + said.len());
    Problem { severity: Severity::Error, source: source.clone(), span, message, help }
}

/// The texts of the policies of one file, each with its id. Cedar keeps none, to save memory: what is wrong with a file has it
/// read once more.
#[derive(Debug)]
pub(in crate::policy) struct Texts<'a> {
    source: &'a Source,
    places: HashMap<PolicyId, Range<usize>>,
}

impl<'a> Texts<'a> {
    /// The texts of `file`, which can be parsed.
    pub(in crate::policy) fn of(file: &'a PolicyFile) -> Self {
        let source = &file.source;
        let mut policies: Vec<Policy> =
            PolicySet::from_str(&source.text).iter().flat_map(PolicySet::policies).cloned().collect();
        policies.sort_by_key(position);
        let (mut places, mut from) = (HashMap::new(), 0);
        for policy in policies {
            let text = policy.to_string();
            let found = source.text.get(from..).and_then(|rest| rest.find(&text));
            if let Some(start) = found.map(|at| from + at) {
                from = start + text.len();
                places.entry(id_of(&policy, &file.name)).or_insert(start..from);
            }
        }
        Self { source, places }
    }

    /// A finding in its place.
    pub(in crate::policy) fn marked(&self, id: &PolicyId, finding: Finding) -> Problem {
        let message = format!("for policy `{id}`, {}", finding.message);
        let span = self.place(id, &finding.what);
        Problem { severity: finding.severity, source: self.source.clone(), span, message, help: finding.help }
    }

    /// The place of `what` in the policy `id`: all of the policy, if it says it in another way.
    fn place(&self, id: &PolicyId, what: &What) -> Option<Range<usize>> {
        let own = self.places.get(id)?;
        let text = self.source.text.get(own.clone())?;
        let inner = match what {
            What::Attribute(name) => place::attribute(text, name),
            What::Literal(literal) => place::literal(text, literal),
            What::Annotation(name) => place::annotation(text, name),
        };
        let inner = inner.unwrap_or(0..text.len());
        Some(own.start + inner.start..own.start + inner.end)
    }
}

pub(in crate::policy) fn whole_file(source: &Source, message: String, help: Option<&str>) -> Problem {
    Problem { severity: Severity::Error, source: source.clone(), span: None, message, help: help.map(str::to_owned) }
}
