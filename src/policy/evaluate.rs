//! The authorizer's answer, and what it takes to turn it into an allow.
//!
//! INVARIANT (allow has one door): a [`Permit`] is made in this file alone, from Cedar's own allow over every question
//! that the message raises, with no forbid in error.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Effect, Entities, EntityUid, PolicyId, PolicySet, Request,
    Response,
};

use crate::policy::Engine;
use crate::policy::bundle::{BundledPolicy, Mode};
use crate::policy::query::Query;
use crate::policy::shadow::{Shadow, ShadowOutcome};
use crate::policy::subject::{Placed, Subject};
use crate::policy::values::Values;

/// Proof that the policies of one generation allow one request.
#[derive(Debug)]
pub struct Permit {
    policies: Vec<Arc<str>>,
    generation: u64,
}

impl Permit {
    /// The policies that decided it.
    pub fn policies(&self) -> &[Arc<str>] {
        &self.policies
    }

    /// The generation whose policies they are.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// Why the policies do not allow a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No permit applies, or a forbid does.
    Denied {
        /// The `@advice` of a forbid that decided.
        advice: Option<String>,
    },
    /// A forbid could not be evaluated.
    Erred,
    /// These scopes would turn the denial into an allow.
    ScopeInsufficient {
        /// What the operation needs, in the published order.
        scopes: Vec<String>,
    },
    /// A fresher or stronger login would lift the forbids that decided.
    LoginInsufficient {
        /// Acceptable authentication context classes.
        acr: Vec<String>,
        /// Seconds since the login, at most.
        max_age: Option<u64>,
    },
    /// A method that nobody knows.
    MethodUnknown,
    /// A tool that the catalogue does not know.
    ToolUnknown,
    /// An argument without a value of its declared type; a JSON pointer.
    ArgumentUnrepresentable(String),
    /// A claim without a value of its declared type; its name.
    ClaimUnrepresentable(String),
    /// Cedar refused a value that its own constructors made. Not seen; denied as our own malfunction.
    Internal,
}

/// Cedar's answer to one question: the policies of the winning effect, and those in error.
#[derive(Debug, Default)]
pub(in crate::policy) struct Answer<'a> {
    permits: Vec<&'a BundledPolicy>,
    forbids: Vec<&'a BundledPolicy>,
    erring: Vec<&'a BundledPolicy>,
}

/// The answers to all of a message's questions.
#[derive(Debug, Default)]
pub(in crate::policy) struct Verdicts {
    determining: BTreeSet<Arc<str>>,
    erring: BTreeSet<Arc<str>>,
    asked: usize,
    refusal: Option<Refusal>,
}

impl Engine {
    /// Asks Cedar one question, over the policies of `mode`, about `subject`, or about the same as if it were in the scopes `supposed` too.
    pub(in crate::policy) fn ask(
        &self,
        query: &Query<'_>,
        subject: &Subject,
        mode: Mode,
        supposed: Option<&[EntityUid]>,
        context: Context,
    ) -> Result<Answer<'_>, Refusal> {
        let base = query.route.entities();
        let added = supposed.unwrap_or_default();
        let place = |base: &Entities| {
            let above = self.bundle().groups().above(subject.parents());
            let principal = match (above.as_slice(), added) {
                ([], []) => Ok(subject.entity().clone()),
                (above, added) => subject.entity_in(above.iter().chain(added)),
            };
            let principal = principal.map_err(|_| Refusal::Internal)?;
            let own = [Some(principal), query.client_of(subject), query.entity.clone()];
            let entities = base.clone().add_entities(own.into_iter().flatten(), None);
            Ok(Placed { entities: entities.map_err(|_| Refusal::Internal)?, above })
        };
        // A resource or a scope that is not always there is nothing to remember.
        let placed = match (supposed, &query.entity) {
            (None, None) => subject.store(base, place),
            (Some(_), _) | (None, Some(_)) => place(base).map(Arc::new),
        }?;
        let (uid, action, resource) = (subject.uid().clone(), query.route.action().clone(), query.resource.clone());
        let request = Request::new(uid, action, resource, context, None).map_err(|_| Refusal::Internal)?;
        let plans = query.route.plans(mode, &query.resource, &query.ancestors);
        let parents = || subject.parents().iter().chain(&placed.above).chain(added);
        self.over(plans.into_iter().flat_map(|plan| plan.slices(subject.uid(), parents())), &request, &placed.entities)
    }

    /// Cedar's answers over all `slices`, as one.
    pub(in crate::policy) fn over<'s>(
        &self,
        slices: impl Iterator<Item = &'s PolicySet>,
        request: &Request,
        entities: &Entities,
    ) -> Result<Answer<'_>, Refusal> {
        let mut answer = Answer::default();
        for slice in slices {
            let response = Authorizer::new().is_authorized(request, slice, entities);
            self.collect(&response, &mut answer)?;
        }
        Ok(answer)
    }

    fn collect<'a>(&'a self, response: &Response, answer: &mut Answer<'a>) -> Result<(), Refusal> {
        let known = |id: &PolicyId| self.bundle().by_id(id).ok_or(Refusal::Internal);
        let decided = match response.decision() {
            Decision::Allow => &mut answer.permits,
            Decision::Deny => &mut answer.forbids,
        };
        for id in response.diagnostics().reason() {
            decided.push(known(id)?);
        }
        for AuthorizationError::PolicyEvaluationError(error) in response.diagnostics().errors() {
            answer.erring.push(known(error.policy_id())?);
        }
        Ok(())
    }
}

impl<'a> Answer<'a> {
    /// Whether this is an allow: Cedar's rule over all slices together, and no forbid in error, for it might have applied.
    pub(in crate::policy) fn is_allow(&self) -> bool {
        self.refusal().is_none()
    }

    /// The forbids that decided.
    pub(in crate::policy) fn forbids(&self) -> &[&'a BundledPolicy] {
        &self.forbids
    }

    /// The policies that decided: of the winning effect only. A forbid in error decides, and is among those in error;
    /// the permits that it overrules decided nothing.
    pub(in crate::policy) fn determining(&self) -> &[&'a BundledPolicy] {
        if self.is_allow() { &self.permits } else { &self.forbids }
    }

    /// The permits that apply, as far as they were asked: all of them where no forbid decided.
    #[cfg(test)]
    pub(in crate::policy) fn permits(&self) -> &[&'a BundledPolicy] {
        &self.permits
    }

    /// The policies in error.
    pub(in crate::policy) fn erring(&self) -> &[&'a BundledPolicy] {
        &self.erring
    }

    /// The forbids in error.
    pub(in crate::policy) fn erring_forbids(&self) -> impl Iterator<Item = &&'a BundledPolicy> {
        self.erring.iter().filter(|policy| policy.effect() == Effect::Forbid)
    }

    /// This and `other`, the answers of two parts of a set to one question, as that of both parts together.
    pub(in crate::policy) fn with(&self, other: &Self) -> Self {
        let both = |mine: &[&'a BundledPolicy], theirs: &[&'a BundledPolicy]| [mine, theirs].concat();
        Self {
            permits: both(&self.permits, &other.permits),
            forbids: both(&self.forbids, &other.forbids),
            erring: both(&self.erring, &other.erring),
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        if !self.forbids.is_empty() {
            return Some(denied(&self.forbids));
        }
        if self.erring_forbids().next().is_some() {
            return Some(Refusal::Erred);
        }
        self.permits.is_empty().then_some(Refusal::Denied { advice: None })
    }
}

/// The refusal that `forbids`, which decided, amount to.
fn denied(forbids: &[&BundledPolicy]) -> Refusal {
    if forbids.iter().all(|policy| policy.acr.is_some() || policy.max_age.is_some()) {
        let acr: BTreeSet<String> = forbids.iter().filter_map(|policy| policy.acr.clone()).collect();
        let max_age = forbids.iter().filter_map(|policy| policy.max_age).min();
        return Refusal::LoginInsufficient { acr: acr.into_iter().collect(), max_age };
    }
    Refusal::Denied { advice: forbids.iter().find_map(|policy| policy.advice.clone()) }
}

impl Verdicts {
    /// Adds one answer; the first refusal stands, and its policies are the determining ones.
    pub(in crate::policy) fn add(&mut self, answer: &Answer<'_>) {
        self.asked += 1;
        self.refusal = answer.refusal();
        if self.refusal.is_some() {
            self.determining.clear();
        }
        self.determining.extend(answer.determining().iter().map(|policy| policy.id.clone()));
        self.erring.extend(answer.erring().iter().map(|policy| policy.id.clone()));
    }

    /// Ends the questions with a refusal that is not Cedar's own word.
    pub(in crate::policy) fn refuse(&mut self, refusal: Refusal) {
        self.determining.clear();
        self.refusal = Some(refusal);
    }

    /// Replaces a denial by what would cure it; the policies that decided it stay.
    pub(in crate::policy) fn cure(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
    }

    /// The refusal so far.
    pub(in crate::policy) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The outcome: a permit only if something was asked and nothing was refused.
    pub(in crate::policy) fn conclude(self, generation: u64, shadow: Shadow) -> Conclusion {
        let determining: Vec<Arc<str>> = self.determining.into_iter().collect();
        let erring = self.erring.into_iter().collect();
        let verdict = match self.refusal {
            Some(refusal) => Err(refusal),
            None if self.asked == 0 => Err(Refusal::Denied { advice: None }),
            None => Ok(Permit { policies: determining.clone(), generation }),
        };
        let shadow = shadow.conclude(verdict.is_ok());
        Conclusion { verdict, determining, erring, shadow, values: Values::default() }
    }
}

/// What the policies say of one message.
#[derive(Debug)]
pub struct Conclusion {
    /// A permit, or why not.
    pub verdict: Result<Permit, Refusal>,
    /// The policies that decided, of the winning effect only, in order of their ids.
    pub determining: Vec<Arc<str>>,
    /// The policies in error.
    pub erring: Vec<Arc<str>>,
    /// What shadow policies would have made of it.
    pub shadow: Option<ShadowOutcome>,
    /// The values that policies read, shadow policies included.
    pub values: Values,
}
