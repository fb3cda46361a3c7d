//! What would be with the shadow policies enforced, found by Cedar over the whole set.

use std::collections::BTreeSet;

use cedar_policy::{Decision, Effect, PolicyId, PolicySet, Response};

use crate::policy::evaluate::Conclusion;
use crate::policy::shadow::{Flip, ShadowOutcome};
use crate::policy::tests::slicing::errors;

fn is_shadow(set: &PolicySet, id: &PolicyId) -> bool {
    set.policy(id).unwrap().annotation("mode") == Some("shadow")
}

/// `set` without its shadow policies.
pub(super) fn enforced(set: &PolicySet) -> PolicySet {
    let mut enforced = set.clone();
    for policy in set.policies().filter(|policy| is_shadow(set, policy.id())) {
        let removed = match policy.template_id() {
            None => enforced.remove_static(policy.id().clone()),
            Some(_) => enforced.unlink(policy.id().clone()),
        };
        removed.unwrap();
    }
    enforced
}

/// Holds what a message says of its shadow against Cedar's answers over the whole set.
#[track_caller]
pub(super) fn shadowed(found: &Conclusion, wholes: &[Response], set: &PolicySet) {
    let forbids = |id: &PolicyId| set.policy(id).unwrap().effect() == Effect::Forbid;
    let refused =
        wholes.iter().position(|whole| whole.decision() == Decision::Deny || errors(whole).iter().any(forbids));
    let asked = &wholes[..refused.map_or(wholes.len(), |at| at + 1)];
    let names = |ids: BTreeSet<PolicyId>| {
        ids.into_iter().filter(|id| is_shadow(set, id)).map(|id| id.to_string().into()).collect::<Vec<_>>()
    };
    let reasons = |whole: &Response| whole.diagnostics().reason().cloned().collect::<BTreeSet<PolicyId>>();
    let deciding = match refused {
        None => wholes.iter().flat_map(reasons).collect(),
        Some(at) => {
            let whole = &wholes[at];
            let by = if whole.decision() == Decision::Deny { reasons(whole) } else { BTreeSet::new() };
            by.into_iter().chain(errors(whole).into_iter().filter(forbids)).collect()
        }
    };
    let allow = refused.is_none();
    let flip = (allow != found.verdict.is_ok()).then(|| Flip { allow, policies: names(deciding), because: None });
    let erring = names(asked.iter().flat_map(errors).collect());
    let expected = (flip.is_some() || !erring.is_empty()).then_some(ShadowOutcome { flip, erring });
    assert_eq!(found.shadow, expected, "{set}");
}
