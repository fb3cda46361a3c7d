//! Why a question is answered as it is: which policies apply, which came close, and on what part of each it turned.
//!
//! For people, and off the way of requests. Nothing here understands a condition: Cedar itself evaluates each part of a
//! policy alone, over the entities and values of the question.

mod condition;

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, Expr, UnaryOp};
use cedar_policy::{Context, Effect, Entities, EntityUid, Policy, PrincipalConstraint, Request, ResourceConstraint};

use crate::policy::bundle::{BundledPolicy, Mode};
use crate::policy::explain::condition::Scene;
use crate::policy::plan::PolicyIndex;
use crate::policy::query::{Query, queries};
use crate::policy::{Engine, Question, Target, target};

/// Policies that came close, at most, for one question: those whose conditions failed before those for somebody else.
pub const MAX_CLOSE: usize = 10;

/// How the policies stand to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked.
    pub target: Target,
    /// The policies that apply, those in error, and those that came close, in that order.
    pub policies: Vec<Explained>,
    /// How many more came close.
    pub left_out: usize,
}

/// How one policy stands to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Its id.
    pub policy: Arc<str>,
    /// Permit or forbid.
    pub effect: Effect,
    /// Whether it decides, or is in shadow.
    pub mode: Mode,
    /// Whether it applies.
    pub standing: Standing,
    /// On what that turned: for a policy that applies, what made each of its conditions hold; for any other the one part
    /// that did not.
    pub parts: Vec<Part>,
}

/// Whether a policy applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It does.
    Applies,
    /// That cannot be evaluated.
    Erred,
    /// All of it but one part does: its conditions, its principal or its resource.
    Close,
}

/// A part of a policy, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it stands.
    pub place: Place,
    /// As Cedar writes it: the smallest piece of the condition that settles it.
    pub text: String,
    /// What it evaluates to.
    pub outcome: Outcome,
    /// What it reads, in order of names.
    pub values: Vec<Read>,
}

/// Where in a policy a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the scope.
    Scope,
    /// In a `when`.
    When,
    /// In an `unless`.
    Unless,
    /// Nowhere in particular: a value that the policy reads is not of its declared type.
    Values,
}

/// What a part evaluates to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// `true` or `false`.
    Is(bool),
    /// Nothing, for this reason.
    Erred(String),
}

/// A value that a part reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its path, `context.arguments.days` say.
    pub path: String,
    /// What it is.
    pub value: Seen,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Absent,
    /// Something, of which only that matters.
    Present,
    /// This, as Cedar writes it, cut to a length for people.
    Value(String),
}

impl Place {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::When => "when",
            Self::Unless => "unless",
            Self::Values => "values",
        }
    }
}

impl Standing {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applies => "applies",
            Self::Erred => "errs",
            Self::Close => "close",
        }
    }
}

impl Engine {
    /// How the policies stand to each question of a message; empty if it names what does not exist.
    pub fn explain(&self, question: &Question<'_>) -> Vec<Explanation> {
        let asked = queries(question.operation, question.server).unwrap_or_default();
        asked.iter().filter_map(|query| self.explanation(question, query)).collect()
    }

    fn explanation(&self, question: &Question<'_>, query: &Query<'_>) -> Option<Explanation> {
        let subject = question.subject;
        let above = self.bundle().groups().above(subject.parents());
        let principal = subject.entity_in(above.iter()).ok()?;
        let memberships = subject.parents().iter().chain(&above).cloned().collect();
        let own = [Some(principal), subject.client().cloned(), query.entity.clone()];
        let entities = query.route.entities().as_ref().clone().add_entities(own.into_iter().flatten(), None).ok()?;
        let asked = Asked { question, query, entities, memberships };
        let groups: Vec<EntityUid> = asked.entities.ancestors(query.route.action())?.cloned().collect();
        let (bundle, action) = (self.bundle(), query.route.action());
        let candidates: BTreeSet<PolicyIndex> =
            [Mode::Enforced, Mode::Shadow].into_iter().flat_map(|mode| bundle.on(mode, action, &groups)).collect();
        let candidates = candidates.into_iter().filter_map(|index| bundle.policy(index));
        let standing: Vec<Explained> = candidates.filter_map(|policy| asked.explained(policy)).collect();
        let (policies, left_out) = relevant(standing);
        Some(Explanation { target: target(query), policies, left_out })
    }
}

/// Of those that came close, only the ones that would have made another answer of it: an enforced permit where none
/// applies, an enforced forbid where a permit decided.
fn relevant(mut standing: Vec<Explained>) -> (Vec<Explained>, usize) {
    let any = |effect, how: &[Standing]| {
        let mut enforced = standing.iter().filter(|each| each.mode == Mode::Enforced);
        enforced.any(|each| each.effect == effect && how.contains(&each.standing))
    };
    let permitted = any(Effect::Permit, &[Standing::Applies]);
    let forbidden = any(Effect::Forbid, &[Standing::Applies, Standing::Erred]);
    let matters = match (permitted, forbidden) {
        (false, _) => Some(Effect::Permit),
        (true, false) => Some(Effect::Forbid),
        (true, true) => None,
    };
    let counts = |each: &Explained| each.mode == Mode::Enforced && matters == Some(each.effect);
    standing.retain(|each| each.standing != Standing::Close || counts(each));
    let in_scope = |each: &Explained| each.parts.iter().any(|part| part.place == Place::Scope);
    standing.sort_by_key(|each| (each.standing, each.standing == Standing::Close && in_scope(each)));
    let first_close = standing.iter().take_while(|each| each.standing != Standing::Close).count();
    let kept = standing.len().min(first_close + MAX_CLOSE);
    let left_out = standing.len() - kept;
    standing.truncate(kept);
    (standing, left_out)
}

/// One question, with every entity that a policy may ask about.
struct Asked<'a> {
    question: &'a Question<'a>,
    query: &'a Query<'a>,
    entities: Entities,
    /// What the principal is in.
    memberships: Vec<EntityUid>,
}

impl Asked<'_> {
    /// How `policy` stands to the question; nothing if it is far from applying.
    fn explained(&self, policy: &BundledPolicy) -> Option<Explained> {
        let found = |standing, parts| {
            Some(Explained { policy: policy.id.clone(), effect: policy.effect(), mode: policy.mode, standing, parts })
        };
        let mut foreign = self.foreign(&policy.policy)?;
        let of_scope = foreign.pop();
        if !foreign.is_empty() {
            return None;
        }
        match (of_scope, self.conditions(policy)) {
            (None, Ok(parts)) => found(Standing::Applies, parts),
            (None, Err(part)) => {
                let standing = if let Outcome::Erred(_) = part.outcome { Standing::Erred } else { Standing::Close };
                found(standing, vec![part])
            }
            (Some(part), Ok(_)) => found(Standing::Close, vec![part]),
            (Some(_), Err(_)) => None,
        }
    }

    /// The parts of the scope of `policy` that do not match, of principal and resource: its action does.
    fn foreign(&self, policy: &Policy) -> Option<Vec<Part>> {
        let scene = Scene::new(self.request(Context::empty())?, &self.entities, &self.memberships);
        let constraints = [principal(&policy.principal_constraint()), resource(&policy.resource_constraint())];
        let parts = constraints.into_iter().flatten().map(|text| scene.of_scope(text));
        Some(parts.filter(|part| part.outcome != Outcome::Is(true)).collect())
    }

    /// What makes the conditions of `policy` hold, or the first that does not.
    fn conditions(&self, policy: &BundledPolicy) -> Result<Vec<Part>, Part> {
        let context = self.context(policy)?;
        let erred = |message: String| Part {
            place: Place::Values,
            text: String::new(),
            outcome: Outcome::Erred(message),
            values: Vec::new(),
        };
        let request = self.request(context).ok_or_else(|| erred("the request has no Cedar value".to_owned()))?;
        let scene = Scene::new(request, &self.entities, &self.memberships);
        let tree = policy.policy.to_pst().map_err(|error| erred(error.to_string()))?;
        let parts = tree.body().clauses().iter().flat_map(pieces).map(|(place, condition)| {
            let part = scene.of_condition(place, condition);
            if part.outcome == Outcome::Is(place == Place::When) { Ok(part) } else { Err(part) }
        });
        parts.collect()
    }

    /// The values that `policy` reads, and no others: what it does not read cannot have failed it.
    fn context(&self, policy: &BundledPolicy) -> Result<Context, Part> {
        let unrepresentable = |text: String| Part {
            place: Place::Values,
            text,
            outcome: Outcome::Erred("it is missing, or has no value of its declared type".to_owned()),
            values: Vec::new(),
        };
        let subject = self.question.subject;
        if let Some(claim) = subject.unrepresentable_among(&policy.reads.attributes) {
            return Err(unrepresentable(format!("claim {claim}")));
        }
        let members = self.query.context(subject, self.question.facts, &policy.reads);
        let members = members.map_err(|at| unrepresentable(format!("argument {}", at.pointer)))?;
        Context::from_pairs(members).map_err(|error| unrepresentable(error.to_string()))
    }

    fn request(&self, context: Context) -> Option<Request> {
        let (action, resource) = (self.query.route.action().clone(), self.query.resource.clone());
        Request::new(self.question.subject.uid().clone(), action, resource, context, None).ok()
    }
}

/// The conditions that `clause` joins by `&&`. A loaded policy keeps its meaning and not its text: there, `unless` is a negated
/// `when`.
fn pieces(clause: &Clause) -> Vec<(Place, &Arc<Expr>)> {
    match clause {
        Clause::Unless(condition) => vec![(Place::Unless, condition)],
        Clause::When(condition) => joined(condition),
    }
}

/// The same of an expression.
fn joined(condition: &Arc<Expr>) -> Vec<(Place, &Arc<Expr>)> {
    if let Expr::BinaryOp { op: BinaryOp::And, left, right } = &**condition {
        return [joined(left), joined(right)].concat();
    }
    if let Expr::UnaryOp { op: UnaryOp::Not, expr } = &**condition {
        return vec![(Place::Unless, expr)];
    }
    vec![(Place::When, condition)]
}

/// What a constraint on the principal asks, as an expression.
fn principal(constraint: &PrincipalConstraint) -> Option<String> {
    match constraint {
        PrincipalConstraint::Any => None,
        PrincipalConstraint::In(uid) => Some(format!("principal in {uid}")),
        PrincipalConstraint::Eq(uid) => Some(format!("principal == {uid}")),
        PrincipalConstraint::Is(kind) => Some(format!("principal is {kind}")),
        PrincipalConstraint::IsIn(kind, uid) => Some(format!("principal is {kind} in {uid}")),
    }
}

/// What a constraint on the resource asks, as an expression.
fn resource(constraint: &ResourceConstraint) -> Option<String> {
    match constraint {
        ResourceConstraint::Any => None,
        ResourceConstraint::In(uid) => Some(format!("resource in {uid}")),
        ResourceConstraint::Eq(uid) => Some(format!("resource == {uid}")),
        ResourceConstraint::Is(kind) => Some(format!("resource is {kind}")),
        ResourceConstraint::IsIn(kind, uid) => Some(format!("resource is {kind} in {uid}")),
    }
}
