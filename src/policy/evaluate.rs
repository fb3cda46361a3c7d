//! The authorizer's answer, and what it takes to turn it into an allow.
//!
//! INVARIANT (allow has one door): a [`Permit`] is made in this file alone, from Cedar's own allow over every question
//! that the message raises, with no forbid in error.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Effect, Entities, Entity, PolicyId, Request, Response,
};

use crate::policy::Engine;
use crate::policy::bundle::PolicyFacts;
use crate::policy::query::Query;
use crate::policy::subject::Subject;

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

/// Cedar's answer to one question, as it counts here.
#[derive(Debug)]
pub(in crate::policy) struct Answer {
    /// Allowed, and no forbid in error.
    pub(in crate::policy) allowed: bool,
    /// The policies that decided.
    pub(in crate::policy) determining: Vec<Arc<str>>,
    /// The policies in error.
    pub(in crate::policy) erring: Vec<Arc<str>>,
    refusal: Option<Refusal>,
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
    /// Asks Cedar one question about `principal`, which is `subject`'s entity or a variant of it.
    pub(in crate::policy) fn ask(
        &self,
        query: &Query<'_>,
        subject: &Subject,
        principal: Entity,
        context: Context,
    ) -> Result<Answer, Refusal> {
        let entities = query.action.entities().clone();
        let all: Result<Entities, _> =
            entities.add_entities(std::iter::once(principal).chain(query.entity.clone()), None);
        let entities = all.map_err(|_| Refusal::Internal)?;
        let (uid, action, resource) = (subject.uid().clone(), query.action.uid().clone(), query.resource.clone());
        let request = Request::new(uid, action, resource, context, None).map_err(|_| Refusal::Internal)?;
        let response = Authorizer::new().is_authorized(&request, self.bundle().set(), &entities);
        Ok(self.weigh(&response))
    }

    /// Cedar skips a policy in error; here a forbid in error denies, since it might have applied.
    fn weigh(&self, response: &Response) -> Answer {
        let name = |id: &PolicyId| self.bundle().facts(id).map(|facts| facts.id.clone());
        let erring: Vec<PolicyId> = response.diagnostics().errors().map(erring_id).collect();
        let forbid_erred =
            erring.iter().any(|id| self.bundle().facts(id).is_none_or(|facts| facts.effect == Effect::Forbid));
        let refusal = match (response.decision(), forbid_erred) {
            (Decision::Allow, false) => None,
            (Decision::Allow, true) => Some(Refusal::Erred),
            (Decision::Deny, erred) => {
                let forbids: Vec<&PolicyFacts> =
                    response.diagnostics().reason().filter_map(|id| self.bundle().facts(id)).collect();
                Some(if forbids.is_empty() && erred { Refusal::Erred } else { denied(&forbids) })
            }
        };
        // Cedar's reasons are those of its allow; they decide nothing where a forbid in error denies.
        let erred = refusal == Some(Refusal::Erred);
        Answer {
            allowed: refusal.is_none(),
            determining: response.diagnostics().reason().filter(|_| !erred).filter_map(name).collect(),
            erring: erring.iter().filter_map(name).collect(),
            refusal,
        }
    }
}

fn erring_id(error: &AuthorizationError) -> PolicyId {
    let AuthorizationError::PolicyEvaluationError(error) = error;
    error.policy_id().clone()
}

/// The refusal that the forbids `forbids` amount to; none of them is a default deny.
fn denied(forbids: &[&PolicyFacts]) -> Refusal {
    let liftable = |facts: &&PolicyFacts| facts.acr.is_some() || facts.max_age.is_some();
    if !forbids.is_empty() && forbids.iter().all(liftable) {
        let acr: BTreeSet<String> = forbids.iter().filter_map(|facts| facts.acr.clone()).collect();
        let max_age = forbids.iter().filter_map(|facts| facts.max_age).min();
        return Refusal::LoginInsufficient { acr: acr.into_iter().collect(), max_age };
    }
    Refusal::Denied { advice: forbids.iter().find_map(|facts| facts.advice.clone()) }
}

impl Verdicts {
    /// Adds one answer; the first refusal stands.
    pub(in crate::policy) fn add(&mut self, answer: Answer) {
        self.asked += 1;
        if self.refusal.is_none() && answer.refusal.is_some() {
            // The determining policies are of the winning effect only: those of the denial.
            self.determining.clear();
            self.refusal = answer.refusal;
            self.determining.extend(answer.determining);
        } else if self.refusal.is_none() {
            self.determining.extend(answer.determining);
        }
        self.erring.extend(answer.erring);
    }

    /// Ends the questions with a refusal that is not Cedar's.
    pub(in crate::policy) fn refuse(&mut self, refusal: Refusal) {
        self.determining.clear();
        self.refusal = Some(refusal);
    }

    /// The refusal so far.
    pub(in crate::policy) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The outcome: a permit only if something was asked and nothing was refused.
    pub(in crate::policy) fn conclude(self, generation: u64) -> Conclusion {
        let determining: Vec<Arc<str>> = self.determining.into_iter().collect();
        let erring = self.erring.into_iter().collect();
        let verdict = match self.refusal {
            Some(refusal) => Err(refusal),
            None if self.asked == 0 => Err(Refusal::Denied { advice: None }),
            None => Ok(Permit { policies: determining.clone(), generation }),
        };
        Conclusion { verdict, determining, erring }
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
}
