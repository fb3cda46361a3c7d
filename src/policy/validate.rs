//! What strict validation says of a policy set, as problems of files: each once, in its place.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use cedar_policy::{
    ActionConstraint, Effect, Policy, PolicyId, PolicySet, Template, ValidationError, ValidationMode, ValidationResult,
    ValidationWarning, Validator,
};
use miette::Diagnostic;

use crate::policy::bundle::parse::places;
use crate::policy::bundle::{Bundle, BundledPolicy, PolicyFile};
use crate::policy::links::{Link, add};
use crate::policy::lint::{Finding, What};
use crate::policy::parts::{Part, Parts};
use crate::policy::place;
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

/// Where policies, templates and links come from.
pub(in crate::policy) type Origins<'a> = HashMap<PolicyId, Origin<'a>>;

/// A policy for each template, which stands for all of its links.
pub(in crate::policy) type Specimens = HashMap<PolicyId, BundledPolicy>;

/// What the lints found, by policy.
pub(in crate::policy) type Findings = BTreeMap<PolicyId, Vec<Problem>>;

/// One thing that Cedar says of a policy.
struct Said {
    policy: PolicyId,
    is_unknown_name: bool,
    problem: Problem,
}

/// Policies, templates and links that are validated together.
#[derive(Default)]
struct Group<'a> {
    policies: Vec<&'a BundledPolicy>,
    templates: Vec<&'a Template>,
}

/// What strict validation says of the policies of `bundle`, and what the lints found, each once. A policy that can never
/// apply is worth a warning; a forbid that cannot is an error, since somebody relies on it. Of a policy that is faulty
/// already, that goes without saying. Cedar says everything again for each action that a policy is about; here one place
/// in a file is one problem.
pub(in crate::policy) fn validated(
    bundle: &Bundle,
    specimens: &Specimens,
    origins: &Origins<'_>,
    parts: &mut Parts,
    findings: Findings,
) -> Vec<Problem> {
    let is_faulty = |found: &[Problem]| found.iter().any(|problem| problem.severity == Severity::Error);
    let faulty = findings.iter().filter(|(_, found)| is_faulty(found)).map(|(id, _)| id.clone());
    let mut faulty: BTreeSet<PolicyId> = faulty.collect();
    let mut groups: BTreeMap<Part, Group<'_>> = BTreeMap::new();
    let mut of_templates: HashMap<&PolicyId, Part> = HashMap::new();
    for (id, template) in bundle.templates() {
        let part = specimens.get(id).map_or(Part::Whole, |specimen| parts.of(specimen));
        groups.entry(part.clone()).or_default().templates.push(template);
        of_templates.insert(id, part);
    }
    for policy in bundle.iter() {
        let of_template = policy.policy.template_id().and_then(|id| of_templates.get(id));
        let part = of_template.cloned().unwrap_or_else(|| parts.of(policy));
        groups.entry(part).or_default().policies.push(policy);
    }
    let mut all = Vec::new();
    for (part, group) in groups {
        let mut set = PolicySet::new();
        let refused = group.templates.iter().filter(|template| set.add_template((**template).clone()).is_err());
        let mut refused: Vec<&PolicyId> = refused.map(|template| template.id()).collect();
        let policies = group.policies.iter().map(|policy| &policy.policy);
        let missing = policies.filter(|policy| !add(&mut set, policy, bundle.templates()));
        refused.extend(missing.map(Policy::id));
        let result = Validator::new(parts.schema(&part)).validate(&set, ValidationMode::Strict);
        said(&result, bundle, origins, &mut faulty, &mut all);
        all.extend(refused.into_iter().filter_map(|id| {
            let problem = whole_file(origins.get(id)?.source, format!("the policy `{id}` cannot be validated"), None);
            Some(Said { policy: id.clone(), is_unknown_name: false, problem })
        }));
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
            && let Some(from) = origins.get(id)
        {
            let mut problem = from.diagnosed(error, Severity::Error);
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
        let Some(from) = origins.get(id).filter(|_| !faulty.contains(id)) else { continue };
        let impossible =
            matches!(warning, ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_));
        let severity = if from.effect == Effect::Forbid && impossible { Severity::Error } else { Severity::Warning };
        all.push(Said { policy: id.clone(), is_unknown_name: false, problem: from.diagnosed(warning, severity) });
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

/// Puts findings in their places. Policies keep no texts, to save memory: a file with findings is parsed once more.
#[derive(Debug)]
pub(in crate::policy) struct Marks<'a> {
    files: HashMap<&'a str, &'a PolicyFile>,
    places: HashMap<&'a str, HashMap<PolicyId, Range<usize>>>,
}

impl<'a> Marks<'a> {
    /// Marks in `files`.
    pub(in crate::policy) fn new(files: &'a [PolicyFile]) -> Self {
        let files = files.iter().map(|file| (&*file.source.name, file)).collect();
        Self { files, places: HashMap::new() }
    }

    /// A finding in the policy or template `id`, or in the link of that id.
    pub(in crate::policy) fn marked(&mut self, origin: &Origin<'a>, id: &PolicyId, finding: Finding) -> Problem {
        let message = format!("for policy `{id}`, {}", finding.message);
        let span = match (origin.link, &finding.what) {
            (None, what) => self.place(origin.source, id, what),
            (Some(link), What::Literal(text)) => Some(link.place_of(text).span.clone()),
            (Some(link), What::Attribute(_) | What::Annotation(_)) => Some(link.id.span.clone()),
        };
        Problem { severity: finding.severity, source: origin.source.clone(), span, message, help: finding.help }
    }

    /// The place of `what` in the policy `id`: all of the policy, if it says it in another way.
    fn place(&mut self, source: &'a Source, id: &PolicyId, what: &What) -> Option<Range<usize>> {
        let file = self.files.get(&*source.name)?;
        let own = self.places.entry(&*source.name).or_insert_with(|| places(file)).get(id)?;
        let text = source.text.get(own.clone())?;
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
