//! Which scopes would have helped: asked only after a denial, and only of scopes that the server publishes.

use cedar_policy::{Context, Effect};

use crate::policy::Engine;
use crate::policy::evaluate::Refusal;
use crate::policy::query::Query;
use crate::policy::subject::{ScopeHierarchy, Subject};

/// What a challenge may say.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// The scopes that the server publishes, in its order; a challenge never names another.
    pub scopes: &'a [String],
    /// Whether the challenge repeats the scopes that the token already has: older clients replace theirs by it.
    pub repeat_held: bool,
}

impl Engine {
    /// The scopes that cure the denial of `query`: those that the permits for its action name, if having all of them
    /// would turn this very request into an allow.
    pub(in crate::policy) fn scopes_that_cure(
        &self,
        query: &Query<'_>,
        subject: &Subject,
        hierarchy: &ScopeHierarchy,
        context: Context,
        published: Published<'_>,
    ) -> Option<Refusal> {
        let held =
            |scope: &String| subject.scopes().iter().any(|own| hierarchy.closure(own).any(|implied| implied == scope));
        let named: Vec<&String> = self
            .bundle()
            .all_facts()
            .filter(|facts| {
                facts.effect == Effect::Permit && facts.speaks_of(query.action.uid(), query.action.groups())
            })
            .flat_map(|facts| &facts.scopes)
            .collect();
        let missing: Vec<&String> =
            published.scopes.iter().filter(|scope| named.contains(scope) && !held(scope)).collect();
        if missing.is_empty() {
            return None;
        }
        let added = missing.iter().flat_map(|scope| hierarchy.closure(scope));
        let principal = subject.entity_with(added).ok()?;
        if !self.ask(query, subject, principal, context).ok()?.allowed {
            return None;
        }
        let wanted =
            |scope: &&String| missing.contains(scope) || (published.repeat_held && subject.scopes().contains(scope));
        Some(Refusal::ScopeInsufficient { scopes: published.scopes.iter().filter(wanted).cloned().collect() })
    }
}
