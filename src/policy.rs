//! Policies: the Cedar model of MCP, what validates against it, and what it answers.
//!
//! Values of callers become Cedar values through `RestrictedExpression` only. Cedar's JSON readers honour `__entity` and
//! `__extn` in what they read, so a caller could forge an entity reference; nothing here calls them.

pub mod arguments;
pub mod bundle;
pub mod catalog;
pub mod evaluate;
pub mod explain;
pub mod exposure;
pub mod groups;
pub mod links;
pub mod lint;
pub mod model;
pub mod names;
pub mod overlay;
pub mod parts;
pub mod paths;
mod place;
pub mod plan;
pub mod query;
pub mod resource;
pub mod schema;
pub mod shadow;
pub mod stepup;
pub mod subject;
mod validate;
pub mod values;

use std::sync::Arc;

use cedar_policy::Context;

use crate::mcp::Operation;
use crate::policy::bundle::{Bundle, Mode};
use crate::policy::evaluate::{Answer, Conclusion, Refusal, Verdicts};
use crate::policy::model::ServerModel;
use crate::policy::query::{Query, RequestFacts, Unknown, queries};
use crate::policy::shadow::Shadow;
use crate::policy::stepup::Published;
use crate::policy::subject::{ScopeHierarchy, Subject};
use crate::policy::values::Values;

/// Validated policies of one generation.
#[derive(Debug)]
pub struct Engine {
    bundle: Bundle,
    generation: u64,
}

/// Who asks what, where.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The caller.
    pub subject: &'a Subject,
    /// The scope hierarchy of the caller's issuer.
    pub hierarchy: &'a ScopeHierarchy,
    /// The server the message is for.
    pub server: &'a ServerModel,
    /// The message.
    pub operation: &'a Operation<'a>,
    /// What else the request says.
    pub facts: &'a RequestFacts<'a>,
    /// What a challenge for more scopes may say.
    pub published: Published<'a>,
}

/// The action and the resource of one question, as Cedar writes their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `Action::"weather:get_forecast"`.
    pub action: Arc<str>,
    /// `Tool::"weather:get_forecast"`.
    pub resource: Arc<str>,
}

impl Engine {
    /// An engine over `bundle`.
    pub fn new(bundle: Bundle, generation: u64) -> Self {
        Self { bundle, generation }
    }

    /// The policies.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Decides one message: every question that it raises must be answered with an allow. Fills `targets` with what was
    /// asked, for the record.
    pub fn evaluate(&self, question: &Question<'_>, targets: &mut Vec<Target>) -> Conclusion {
        let (mut verdicts, mut shadow, mut values) = (Verdicts::default(), Shadow::default(), Values::default());
        match queries(question.operation, question.server) {
            Err(Unknown::Method) => verdicts.refuse(Refusal::MethodUnknown),
            Err(Unknown::Tool) => verdicts.refuse(Refusal::ToolUnknown),
            Ok(queries) => {
                targets.extend(queries.iter().map(target));
                let shadowed = queries.iter().any(|query| query.route.has_shadows());
                for query in &queries {
                    query.read(question.subject, question.facts, &mut values);
                    let answer = self.answer(question, query, Mode::Enforced);
                    if shadowed {
                        let answer = answer.as_ref().map(|(answer, _)| answer);
                        shadow.add(answer, self.answer(question, query, Mode::Shadow).map(|(answer, _)| answer));
                    }
                    if verdicts.refusal().is_none() {
                        match answer {
                            Ok((answer, context)) => self.count(question, query, &answer, context, &mut verdicts),
                            Err(refusal) => verdicts.refuse(refusal),
                        }
                    }
                    if verdicts.refusal().is_some() && (!shadowed || shadow.is_settled()) {
                        break;
                    }
                }
            }
        }
        Conclusion { values, ..verdicts.conclude(self.generation, shadow) }
    }

    /// What the policies of `mode` answer to one question, over the values that they read.
    fn answer(&self, question: &Question<'_>, query: &Query<'_>, mode: Mode) -> Result<(Answer<'_>, Context), Refusal> {
        let (subject, reads) = (question.subject, query.route.reads(mode));
        if let Some(claim) = subject.unrepresentable_among(&reads.attributes) {
            return Err(Refusal::ClaimUnrepresentable(claim.to_owned()));
        }
        let members =
            query.context(subject, question.facts, reads).map_err(|at| Refusal::ArgumentUnrepresentable(at.pointer))?;
        let context = Context::from_pairs(members).map_err(|_| Refusal::Internal)?;
        Ok((self.ask(query, subject, mode, None, context.clone())?, context))
    }

    fn count(
        &self,
        question: &Question<'_>,
        query: &Query<'_>,
        answer: &Answer<'_>,
        context: Context,
        verdicts: &mut Verdicts,
    ) {
        verdicts.add(answer);
        // Only a plain denial can lack a scope: an error or a login is cured otherwise.
        if let Some(Refusal::Denied { .. }) = verdicts.refusal()
            && let Some(cure) =
                self.scopes_that_cure(query, question.subject, question.hierarchy, context, question.published)
        {
            verdicts.cure(cure);
        }
    }
}

fn target(query: &Query<'_>) -> Target {
    Target { action: query.route.action_text().clone(), resource: query.resource_text.clone() }
}

#[cfg(test)]
mod tests;
