//! A decision and why, as text and as JSON.

use std::sync::Arc;

use crate::decision::Decision;
use crate::decision::denial::{Denial, Reason};
use crate::policy::evaluate::Refusal;
use crate::policy::shadow::ShadowOutcome;

/// The decision and why, for programs.
pub(super) fn json(decision: &Decision) -> serde_json::Value {
    let ids = |ids: &[Arc<str>]| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>();
    let targets: Vec<_> = decision
        .targets
        .iter()
        .map(|target| serde_json::json!({ "action": &*target.action, "resource": &*target.resource }))
        .collect();
    serde_json::json!({
        "decision": if decision.verdict.is_ok() { "allow" } else { "deny" },
        "reason": decision.reason().as_str(),
        "detail": decision.verdict.as_ref().err().and_then(Denial::detail),
        "targets": targets,
        "policies": ids(&decision.determining),
        "errors": ids(&decision.erring),
        "advice": advice(decision),
        "scopes": scopes(decision),
        "shadow": decision.shadow.as_ref().map(shadow_json),
    })
}

fn shadow_json(shadow: &ShadowOutcome) -> serde_json::Value {
    let ids = |ids: &[Arc<str>]| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>();
    let flip = shadow.flip.as_ref();
    serde_json::json!({
        "decision": flip.map(|flip| if flip.allow { "allow" } else { "deny" }),
        "reason": flip.and_then(|flip| flip.because.clone()).map(|because| Denial::from(because).reason().as_str()),
        "policies": flip.map(|flip| ids(&flip.policies)).unwrap_or_default(),
        "errors": ids(&shadow.erring),
    })
}

/// What shadow policies would have made of it.
fn shadow_text(shadow: &ShadowOutcome) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(flip) = &shadow.flip {
        let would = if flip.allow { "allow" } else { "deny" };
        let because = flip.because.clone().map(|because| Denial::from(because).reason().as_str());
        let by = flip.policies.iter().map(AsRef::as_ref).chain(because).collect::<Vec<&str>>().join(", ");
        lines.push(format!("  shadow    {would} by {by}"));
    }
    lines.extend(shadow.erring.iter().map(|id| format!("  shadow    in error: {id}")));
    lines
}

/// The scopes that would cure the denial.
pub(super) fn scopes(decision: &Decision) -> Option<&[String]> {
    if let Err(Denial::Policy(Refusal::ScopeInsufficient { scopes })) = &decision.verdict { Some(scopes) } else { None }
}

/// What the caller is told.
pub(super) fn advice(decision: &Decision) -> Option<&str> {
    if let Err(Denial::Policy(Refusal::Denied { advice })) = &decision.verdict { advice.as_deref() } else { None }
}

/// The decision on one line, and why on those that follow.
pub(super) fn text(decision: &Decision) -> String {
    let verdict = match &decision.verdict {
        Ok(_) => "allow".to_owned(),
        Err(denial) => format!("deny: {}", denial.reason().as_str()),
    };
    let lines: Vec<String> = std::iter::once(verdict).chain(why(decision)).collect();
    lines.join("\n") + "\n"
}

/// What was asked, what decided it, and what would change it; one line for each, indented.
pub(super) fn why(decision: &Decision) -> Vec<String> {
    let mut lines = Vec::new();
    for target in &decision.targets {
        lines.push(format!("  asked     {} on {}", target.action, target.resource));
    }
    lines.extend(decision.determining.iter().map(|id| format!("  decided   {id}")));
    lines.extend(decision.erring.iter().map(|id| format!("  in error  {id}")));
    // The policies spoke, and none of them said yes.
    let by_default = matches!(decision.reason(), Reason::PolicyDenied | Reason::ScopeInsufficient);
    if by_default && decision.determining.is_empty() {
        lines.push("  decided   no policy permits it".to_owned());
    }
    lines.extend(advice(decision).map(|advice| format!("  advice    {advice}")));
    match (scopes(decision), &decision.verdict) {
        (Some(scopes), _) => lines.push(format!("  cured by  scopes {}", scopes.join(" "))),
        (None, Err(denial)) => lines.extend(denial.detail().map(|detail| format!("  because   {detail}"))),
        (None, Ok(_)) => {}
    }
    lines.extend(decision.shadow.iter().flat_map(shadow_text));
    lines
}
