//! Shadow policies (`@mode("shadow")`): evaluated on every request that they can concern, never enforced, so that an author
//! sees what a change would do before it does.
//!
//! What would be is the decision over all policies, those in shadow as if they were enforced. It is found beside the real
//! one and never before it: shadow policies have plans of their own, and values of their own that only they read.
//!
//! INVARIANT (a shadow decides nothing): the real decision, its policies and its errors are those of the set without the
//! shadow policies. `policy/tests/worlds/shadows.rs` holds it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::policy::bundle::Mode;
use crate::policy::evaluate::{Answer, Refusal};

/// What a decision would have been with the shadow policies enforced, where that differs or a shadow policy erred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowOutcome {
    /// The other decision, if it would have been another.
    pub flip: Option<Flip>,
    /// The shadow policies in error, in order of their ids.
    pub erring: Vec<Arc<str>>,
}

/// A decision that would have been another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    /// Whether it would have been an allow.
    pub allow: bool,
    /// The shadow policies that would have decided, in order of their ids. None if one of them reads a value that cannot be
    /// represented: `because` says which.
    pub policies: Vec<Arc<str>>,
    /// Why it would have been denied, if Cedar would not have been asked.
    pub because: Option<Refusal>,
}

/// The decision that would be, question by question.
#[derive(Debug, Default)]
pub(in crate::policy) struct Shadow {
    asked: bool,
    refused: Option<Refused>,
    permits: BTreeSet<Arc<str>>,
    erring: BTreeSet<Arc<str>>,
}

/// Why it would be denied.
#[derive(Debug)]
enum Refused {
    /// By these shadow policies, or by none.
    Policies(BTreeSet<Arc<str>>),
    /// Before any policy was asked.
    Before(Refusal),
}

impl Shadow {
    /// Adds what is answered to one question: really, and by the shadow policies.
    pub(in crate::policy) fn add(&mut self, real: Result<&Answer<'_>, &Refusal>, shadow: Result<Answer<'_>, Refusal>) {
        self.asked = true;
        if self.refused.is_some() {
            return;
        }
        let (real, shadow) = match (real, shadow) {
            (Ok(real), Ok(shadow)) => (real, shadow),
            (Err(refusal), _) => return self.refused = Some(Refused::Before(refusal.clone())),
            (Ok(_), Err(refusal)) => return self.refused = Some(Refused::Before(refusal)),
        };
        self.erring.extend(shadow.erring().iter().map(|policy| policy.id.clone()));
        let both = real.with(&shadow);
        let determining = both.determining().iter().chain(both.erring_forbids());
        let own: BTreeSet<Arc<str>> =
            determining.filter(|policy| policy.mode == Mode::Shadow).map(|policy| policy.id.clone()).collect();
        if both.is_allow() {
            self.permits.extend(own);
        } else {
            self.refused = Some(Refused::Policies(own));
        }
    }

    /// Whether the decision that would be is known, whatever else is asked.
    pub(in crate::policy) fn is_settled(&self) -> bool {
        self.refused.is_some()
    }

    /// What there is to say beside a real decision that was an allow or not.
    pub(in crate::policy) fn conclude(self, is_allow: bool) -> Option<ShadowOutcome> {
        if !self.asked {
            return None;
        }
        let ids = |ids: BTreeSet<Arc<str>>| ids.into_iter().collect::<Vec<_>>();
        let flip = match (is_allow, self.refused) {
            (true, Some(Refused::Policies(policies))) => {
                Some(Flip { allow: false, policies: ids(policies), because: None })
            }
            (true, Some(Refused::Before(because))) => {
                Some(Flip { allow: false, policies: Vec::new(), because: Some(because) })
            }
            (false, None) => Some(Flip { allow: true, policies: ids(self.permits), because: None }),
            (true, None) | (false, Some(_)) => None,
        };
        let erring = ids(self.erring);
        (flip.is_some() || !erring.is_empty()).then_some(ShadowOutcome { flip, erring })
    }
}
