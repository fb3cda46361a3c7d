//! Which scopes would have helped: asked only after a denial, and only of scopes that the server asks for.
//!
//! Each permit may need other scopes, a forbid may be lifted by one, and a broad scope implies narrow ones; so sets are
//! tried, and every set that is named in a challenge was seen to turn this very request into an allow.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{Context, EntityUid};

use crate::policy::Engine;
use crate::policy::bundle::Mode;
use crate::policy::evaluate::Refusal;
use crate::policy::names::EntityKind;
use crate::policy::query::Query;
use crate::policy::subject::{ScopeHierarchy, Subject};

/// Evaluations for one hint, at most: a denial must not cost much more than an allow.
pub const MAX_EVALUATIONS: usize = 64;

/// So many scopes have no more sets than there may be evaluations.
const MAX_EXHAUSTED: usize = 6;

/// Rounds in which forbids may add scopes to a set, at most.
const MAX_ROUNDS: usize = 3;

/// What a challenge may say.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// The scopes that the server asks for, in its order; a challenge never names another.
    pub scopes: &'a [String],
    /// Whether the challenge repeats the scopes that the token already has: older clients replace theirs by it.
    pub repeat_held: bool,
}

/// A set of published scopes, by their numbers, in order.
type Set = Vec<usize>;

/// What the policies say to a set of scopes.
#[derive(Debug, Clone)]
enum Tried {
    /// They allow.
    Allow,
    /// They do not; with the missing scopes that the forbids in the way name.
    Deny(Set),
}

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
    missing: Set,
    tried: HashMap<Set, Tried>,
    best: Option<Set>,
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
        let mut search = Search::new(self, (query, context), (subject, hierarchy), published.scopes);
        search.run();
        let cure = search.best?;
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
        Self { engine, query, subject, context, closures, missing, tried: HashMap::new(), best: None }
    }

    /// Finds the least set that is seen to cure. When evaluations run out there is none: what was found by then may be more
    /// than is needed, and nobody is to be sent for that.
    fn run(&mut self) {
        let plans = self.query.route.plans(Mode::Enforced, &self.query.resource, &self.query.ancestors);
        let lists: BTreeSet<&[String]> = plans.iter().flat_map(|plan| plan.scopes_of_permits()).collect();
        let relevant: BTreeSet<usize> = plans.iter().flat_map(|plan| self.candidates(plan.scopes())).collect();
        let searched = self.guess(&lists).and_then(|()| {
            // What is left are the sets that cost less than the best guess.
            if relevant.len() <= MAX_EXHAUSTED { self.exhaust(&relevant.into_iter().collect::<Set>()) } else { Ok(()) }
        });
        if searched.is_err() {
            self.best = None;
        }
    }

    /// Tries what permits name, all of it and each alone, and nothing at all, where only forbids are in the way.
    fn guess(&mut self, lists: &BTreeSet<&[String]>) -> Result<(), Spent> {
        let mut starts = BTreeSet::from([Set::new()]);
        for scopes in lists {
            let all = self.candidates(*scopes);
            starts.extend(all.iter().map(|at| vec![*at]));
            starts.insert(all);
        }
        for start in starts {
            if let Some(cure) = self.lift(start)? {
                self.reduce(cure)?;
            }
        }
        Ok(())
    }

    /// Tries every set of `scopes` that costs less than the best so far, in order of what they cost.
    fn exhaust(&mut self, scopes: &[usize]) -> Result<(), Spent> {
        let sets = (1..1_usize << scopes.len()).map(|pick| {
            let picked = scopes.iter().enumerate().filter(|(place, _)| pick & (1 << place) != 0);
            picked.map(|(_, at)| *at).collect()
        });
        let mut sets: Vec<Set> = sets.collect();
        sets.sort_by_cached_key(|set| self.cost(set));
        for set in sets {
            if self.best.as_ref().is_some_and(|best| self.cost(best) <= self.cost(&set)) {
                break;
            }
            if matches!(self.attempt(&set)?, Tried::Allow) {
                self.best = Some(set);
            }
        }
        Ok(())
    }

    /// The missing scopes that put a principal into one of `scopes`.
    fn candidates<'s>(&self, scopes: impl IntoIterator<Item = &'s String>) -> Set {
        let scopes: BTreeSet<&str> = scopes.into_iter().map(String::as_str).collect();
        let helps = |at: &usize| self.closures.get(*at).is_some_and(|all| all.iter().any(|own| scopes.contains(own)));
        self.missing.iter().copied().filter(helps).collect()
    }

    /// `set`, with what the forbids in its way ask for, if that is an allow.
    fn lift(&mut self, mut set: Set) -> Result<Option<Set>, Spent> {
        for _ in 0..=MAX_ROUNDS {
            let Tried::Deny(wanted) = self.attempt(&set)? else { return Ok(Some(set)) };
            let before = set.len();
            set.extend(wanted);
            set.sort_unstable();
            set.dedup();
            if set.len() == before {
                break;
            }
        }
        Ok(None)
    }

    /// Keeps `cure` without the scopes that it can do without, those that imply the most first, if that is the best.
    fn reduce(&mut self, mut cure: Set) -> Result<(), Spent> {
        let mut by_weight = cure.clone();
        by_weight.sort_by_key(|at| std::cmp::Reverse(self.cost(&[*at])));
        for scope in by_weight {
            let smaller: Set = cure.iter().copied().filter(|at| *at != scope).collect();
            if matches!(self.attempt(&smaller)?, Tried::Allow) {
                cure = smaller;
            }
        }
        if self.best.as_ref().is_none_or(|best| self.cost(&cure) < self.cost(best)) {
            self.best = Some(cure);
        }
        Ok(())
    }

    /// What is to be least: the scopes that `set` amounts to, implied ones included; then its own; then the published order.
    fn cost(&self, set: &[usize]) -> (usize, usize, Set) {
        let all: BTreeSet<&str> = set.iter().filter_map(|at| self.closures.get(*at)).flatten().copied().collect();
        (all.len(), set.len(), set.to_vec())
    }

    /// What the policies would say if the token had `set` as well.
    fn attempt(&mut self, set: &[usize]) -> Result<Tried, Spent> {
        if let Some(known) = self.tried.get(set) {
            return Ok(known.clone());
        }
        if self.tried.len() == MAX_EVALUATIONS {
            return Err(Spent);
        }
        let scopes = set.iter().filter_map(|at| self.closures.get(*at)).flatten();
        let added: Vec<EntityUid> = scopes.map(|scope| EntityKind::Scope.uid(scope)).collect();
        let answer = self.engine.ask(self.query, self.subject, Mode::Enforced, Some(&added), self.context.clone());
        let tried = match answer.map_err(|_| Spent)? {
            answer if answer.is_allow() => Tried::Allow,
            answer => Tried::Deny(answer.forbids().iter().flat_map(|forbid| self.candidates(&forbid.scopes)).collect()),
        };
        self.tried.insert(set.to_vec(), tried.clone());
        Ok(tried)
    }
}

#[cfg(test)]
mod tests;
