//! Which scopes would have helped: asked only after a denial, and only of scopes that the server publishes.
//!
//! Each permit may need other scopes, a forbid may be lifted by one, and a broad scope implies narrow ones; so sets are
//! tried, and every set that is named in a challenge was seen to turn this very request into an allow.

use cedar_policy::{Context, EntityUid};

use crate::policy::Engine;
use crate::policy::evaluate::{Answer, Refusal};
use crate::policy::names::EntityKind;
use crate::policy::query::Query;
use crate::policy::subject::{ScopeHierarchy, Subject};

/// Evaluations for one hint, at most: a denial must not cost much more than an allow.
pub const MAX_EVALUATIONS: usize = 64;

/// Rounds in which forbids may add scopes to a set, at most.
const MAX_ROUNDS: usize = 3;

/// What a challenge may say.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// The scopes that the server publishes, in its order; a challenge never names another.
    pub scopes: &'a [String],
    /// Whether the challenge repeats the scopes that the token already has: older clients replace theirs by it.
    pub repeat_held: bool,
}

/// A set of published scopes, by their numbers, in order.
type Set = Vec<usize>;

/// No more evaluations.
struct Spent;

/// The search for one denied question.
struct Search<'a> {
    engine: &'a Engine,
    query: &'a Query<'a>,
    subject: &'a Subject,
    context: Context,
    /// For each published scope, it and all it implies.
    closures: Vec<Vec<&'a str>>,
    /// The published scopes that the token does not have.
    missing: Vec<usize>,
    evaluations: usize,
}

impl Engine {
    /// The least set of published scopes that cures the denial of `query`, if any does.
    pub(in crate::policy) fn scopes_that_cure(
        &self,
        query: &Query<'_>,
        subject: &Subject,
        hierarchy: &ScopeHierarchy,
        context: Context,
        published: Published<'_>,
    ) -> Option<Refusal> {
        let cure = Search::new(self, (query, context), (subject, hierarchy), published.scopes).least().ok()??;
        let named = published
            .scopes
            .iter()
            .enumerate()
            .filter(|(at, scope)| cure.contains(at) || (published.repeat_held && subject.scopes().contains(scope)));
        Some(Refusal::ScopeInsufficient { scopes: named.map(|(_, scope)| scope.clone()).collect() })
    }
}

impl<'a> Search<'a> {
    fn new(
        engine: &'a Engine,
        (query, context): (&'a Query<'a>, Context),
        (subject, hierarchy): (&'a Subject, &'a ScopeHierarchy),
        published: &'a [String],
    ) -> Self {
        let closures: Vec<Vec<&str>> = published.iter().map(|scope| hierarchy.closure(scope).collect()).collect();
        let held: Vec<&str> = subject.scopes().iter().flat_map(|scope| hierarchy.closure(scope)).collect();
        let lacks = |(_, closure): &(usize, &Vec<&str>)| closure.iter().any(|scope| !held.contains(scope));
        let missing = closures.iter().enumerate().filter(lacks).map(|(at, _)| at).collect();
        Self { engine, query, subject, context, closures, missing, evaluations: 0 }
    }

    fn least(&mut self) -> Result<Option<Set>, Spent> {
        let plans = self.query.route.plans(&self.query.resource, &self.query.ancestors);
        let mut starts: Vec<Set> = Vec::new();
        for scopes in plans.iter().flat_map(|plan| plan.scopes_of_permits()) {
            let all = self.candidates(scopes);
            let alone = all.iter().map(|at| vec![*at]);
            starts.extend(alone);
            starts.push(all);
        }
        starts.retain(|start| !start.is_empty());
        starts.sort();
        starts.dedup();
        let mut cures = Vec::new();
        for start in starts {
            if let Some(cure) = self.lift(start)? {
                cures.push(self.reduced(cure)?);
            }
        }
        Ok(cures.into_iter().min_by_key(|cure| (self.weight(cure), cure.len(), cure.clone())))
    }

    /// The missing scopes that put a principal into one of `scopes`.
    fn candidates(&self, scopes: &[String]) -> Set {
        let helps = |at: &usize| {
            self.closures
                .get(*at)
                .is_some_and(|closure| closure.iter().any(|own| scopes.iter().any(|scope| scope == own)))
        };
        self.missing.iter().copied().filter(helps).collect()
    }

    /// `set`, with what the forbids in its way ask for, if that is an allow.
    fn lift(&mut self, mut set: Set) -> Result<Option<Set>, Spent> {
        for _ in 0..=MAX_ROUNDS {
            let Some(answer) = self.evaluate(&set)? else { return Ok(None) };
            if answer.is_allow() {
                return Ok(Some(set));
            }
            let wanted: Vec<usize> =
                answer.forbids().iter().flat_map(|forbid| self.candidates(&forbid.scopes)).collect();
            let before = set.len();
            set.extend(wanted);
            set.sort_unstable();
            set.dedup();
            if set.len() == before {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// `cure` without the scopes that it can do without, those that imply the most first.
    fn reduced(&mut self, mut cure: Set) -> Result<Set, Spent> {
        let mut by_weight = cure.clone();
        by_weight.sort_by_key(|at| std::cmp::Reverse(self.weight(&[*at])));
        for scope in by_weight {
            let smaller: Set = cure.iter().copied().filter(|at| *at != scope).collect();
            if !smaller.is_empty() && self.evaluate(&smaller)?.is_some_and(|answer| answer.is_allow()) {
                cure = smaller;
            }
        }
        Ok(cure)
    }

    /// How many scopes `set` amounts to, implied ones included.
    fn weight(&self, set: &[usize]) -> usize {
        let mut all: Vec<&str> = set.iter().filter_map(|at| self.closures.get(*at)).flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all.len()
    }

    /// The answer if the token had `set` as well; `None` if it cannot be asked.
    fn evaluate(&mut self, set: &[usize]) -> Result<Option<Answer<'a>>, Spent> {
        self.evaluations += 1;
        if self.evaluations > MAX_EVALUATIONS {
            return Err(Spent);
        }
        let scopes = set.iter().filter_map(|at| self.closures.get(*at)).flatten();
        let added: Vec<EntityUid> = scopes.map(|scope| EntityKind::Scope.uid(scope)).collect();
        let Ok(principal) = self.subject.entity_in(&added) else { return Ok(None) };
        Ok(self.engine.ask(self.query, self.subject, principal, &added, self.context.clone()).ok())
    }
}

#[cfg(test)]
mod tests;
