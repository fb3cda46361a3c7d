//! A decision and why, as text and as JSON.

use std::sync::Arc;

use crate::decision::Decision;
use crate::decision::denial::{Denial, Reason};
use crate::policy::evaluate::Refusal;

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
    })
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
    lines
}
