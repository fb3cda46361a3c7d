//! What strict validation says of a policy set, as problems of files: each once, in its place.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, Template, ValidationError, ValidationMode,
    ValidationResult, ValidationWarning, Validator,
};
use miette::Diagnostic;

use crate::policy::bundle::parse::places;
use crate::policy::bundle::{Bundle, BundledPolicy, Lint, PolicyFile};
use crate::policy::links::{Link, add};
use crate::policy::lint::{Finding, What, annotations};
use crate::policy::parts::{Part, Parts};
use crate::policy::paths::Reads;
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
type Origins<'a> = HashMap<PolicyId, Origin<'a>>;

/// What the lints found, by policy.
type Findings = BTreeMap<PolicyId, Vec<Problem>>;

/// What is looked at while policies are loaded, and validated when they all are.
pub(in crate::policy) struct Review<'a> {
    origins: Origins<'a>,
    marks: Marks<'a>,
    lint: Lint<'a>,
    findings: Findings,
    parts: &'a mut Parts,
    /// The parts that concern the policies and the links of a bundle, in its order.
    of_policies: Vec<Part>,
    of_templates: HashMap<PolicyId, Part>,
    /// One of each that is read: most policies read what others read, and it is a tenth of what they take.
    reads: HashSet<Arc<Reads>>,
}

/// One thing that Cedar says of a policy.
struct Said {
    policy: PolicyId,
    is_unknown_name: bool,
    problem: Problem,
}

/// To make a schema costs as much as it does to hold so many policies against another action that their scope rules out
/// (measured: 1.1 million instructions against 21 thousand), with a margin.
const JOINED: usize = 40;

/// Policies, templates and links that are validated together.
#[derive(Default)]
struct Group<'a> {
    policies: Vec<&'a BundledPolicy>,
    templates: Vec<&'a Template>,
}

impl<'a> Group<'a> {
    fn len(&self) -> usize {
        self.policies.len() + self.templates.len()
    }

    fn ids(&self) -> impl Iterator<Item = &'a PolicyId> {
        let templates = self.templates.iter().map(|template| template.id());
        templates.chain(self.policies.iter().map(|policy| policy.policy.id()))
    }
}

impl<'a> Review<'a> {
    /// Nothing yet, of policies in `files`.
    pub(in crate::policy) fn new(files: &'a [PolicyFile], parts: &'a mut Parts, lint: Lint<'a>) -> Self {
        let marks = Marks::new(files);
        let (origins, findings) = (Origins::new(), Findings::new());
        let (of_policies, of_templates, reads) = (Vec::new(), HashMap::new(), HashSet::new());
        Self { origins, marks, lint, findings, parts, of_policies, of_templates, reads }
    }

    /// The first of those that are the same as `reads`.
    pub(in crate::policy) fn same_reads(&mut self, reads: Arc<Reads>) -> Arc<Reads> {
        if let Some(same) = self.reads.get(&reads) {
            return same.clone();
        }
        self.reads.insert(reads.clone());
        reads
    }

    /// Notes where the policy or template `id` is from; whether it is the first of that id.
    pub(in crate::policy) fn is_new(&mut self, id: PolicyId, from: Origin<'a>) -> bool {
        self.origins.insert(id, from).is_none()
    }

    /// The file of the policy or template `id`.
    pub(in crate::policy) fn source(&self, id: &PolicyId) -> Option<&'a Source> {
        Some(self.origins.get(id)?.source)
    }

    /// Looks at the next policy of the bundle, which has the entity literals `literals`.
    pub(in crate::policy) fn policy(&mut self, policy: &BundledPolicy, literals: &[EntityUid]) {
        self.look(policy, literals);
        let part = self.parts.of(policy, literals);
        self.of_policies.push(part);
    }

    /// Looks at a specimen of the template `id`.
    pub(in crate::policy) fn template(&mut self, id: &PolicyId, specimen: &BundledPolicy, literals: &[EntityUid]) {
        self.look(specimen, literals);
        let part = self.parts.of(specimen, literals);
        self.of_templates.insert(id.clone(), part);
    }

    /// Looks at the next policy of the bundle, a link of the template `name`.
    pub(in crate::policy) fn link(&mut self, from: Origin<'a>, name: &PolicyId, policy: &BundledPolicy) {
        self.origins.insert(policy.policy.id().clone(), from);
        self.look(policy, policy.link.as_deref().unwrap_or_default());
        self.of_policies.push(self.of_templates.get(name).cloned().unwrap_or(Part::Whole));
    }

    fn look(&mut self, policy: &BundledPolicy, literals: &[EntityUid]) {
        let id = policy.policy.id();
        let Some(from) = self.origins.get(id) else { return };
        let mut found = if from.link.is_none() { annotations(&policy.policy) } else { Vec::new() };
        found.extend((self.lint)(policy, literals));
        if !found.is_empty() {
            let found = found.into_iter().map(|finding| self.marks.marked(from, id, finding)).collect();
            self.findings.insert(id.clone(), found);
        }
    }

    /// What strict validation says of the policies of `bundle`, and what the lints found, each once. A policy that can never
    /// apply is worth a warning; a forbid that cannot is an error, since somebody relies on it. Of a policy that is faulty
    /// already, that goes without saying. Cedar says everything again for each action that a policy is about; here one place
    /// in a file is one problem.
    pub(in crate::policy) fn validated(self, bundle: &Bundle) -> Vec<Problem> {
        let is_faulty = |found: &[Problem]| found.iter().any(|problem| problem.severity == Severity::Error);
        let faulty = self.findings.iter().filter(|(_, found)| is_faulty(found)).map(|(id, _)| id.clone());
        let mut faulty: BTreeSet<PolicyId> = faulty.collect();
        let mut groups: BTreeMap<Part, Group<'_>> = BTreeMap::new();
        for (id, template) in bundle.templates() {
            let part = self.of_templates.get(id).cloned().unwrap_or(Part::Whole);
            groups.entry(part).or_default().templates.push(template);
        }
        let parts = self.of_policies.into_iter().chain(std::iter::repeat(Part::Whole));
        for (policy, part) in bundle.iter().zip(parts) {
            groups.entry(part).or_default().policies.push(policy);
        }
        let mut all = Vec::new();
        for (part, group) in batches(groups) {
            let mut set = PolicySet::new();
            let mut refused: Vec<&PolicyId> = Vec::new();
            refused.extend(
                group.templates.iter().filter(|it| set.add_template((**it).clone()).is_err()).map(|it| it.id()),
            );
            let policies = group.policies.iter().map(|policy| &policy.policy);
            refused.extend(policies.filter(|policy| !add(&mut set, policy, bundle.templates())).map(Policy::id));
            match self.parts.schema(&part) {
                Ok(schema) => {
                    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
                    said(&result, bundle, &self.origins, &mut faulty, &mut all);
                }
                Err(_) => refused.extend(group.ids()),
            }
            all.extend(refused.into_iter().filter_map(|id| {
                let source = self.origins.get(id)?.source;
                let problem = whole_file(source, format!("the policy `{id}` cannot be validated"), None);
                Some(Said { policy: id.clone(), is_unknown_name: false, problem })
            }));
        }
        merged(all, self.findings)
    }
}

/// Joins parts as long as that is cheaper: a policy is also held against the actions of the parts that it is joined with.
fn batches(groups: BTreeMap<Part, Group<'_>>) -> Vec<(Part, Group<'_>)> {
    let mut batches: Vec<(Part, Group<'_>)> = Vec::new();
    let mut joined = 0;
    for (part, mut group) in groups {
        let last = batches.last_mut().and_then(|(last, held)| Some((last.with(&part)?, last, held)));
        match last.filter(|(_, _, held)| held.len() + joined * group.len() <= JOINED) {
            Some((both, last, held)) => {
                *last = both;
                held.policies.append(&mut group.policies);
                held.templates.append(&mut group.templates);
                joined += 1;
            }
            None => {
                batches.push((part, group));
                joined = 1;
            }
        }
    }
    batches
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
