//! A decision and why, as text and as JSON.

use std::sync::Arc;

use crate::decision::Decision;
use crate::decision::denial::{Denial, Reason};
use crate::policy::bundle::Mode;
use crate::policy::evaluate::Refusal;
use crate::policy::explain::{Explained, Explanation, Outcome, Part, Place, Seen, Standing};
use crate::policy::shadow::ShadowOutcome;

/// The decision and why, for programs.
pub(super) fn json(decision: &Decision, explanations: &[Explanation]) -> serde_json::Value {
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
        "shadow": decision.shadow.as_ref().map(|shadow| shadow_json(shadow, decision.shadow_reason())),
        "login": login(decision).map(|(acr, max_age)| serde_json::json!({ "acr": acr, "max_age": max_age })),
        "why": explanations.iter().map(of_question).collect::<Vec<_>>(),
    })
}

fn of_question(explanation: &Explanation) -> serde_json::Value {
    let policies = explanation.policies.iter().map(|policy| {
        serde_json::json!({
            "policy": &*policy.policy,
            "effect": policy.effect.to_string(),
            "mode": match policy.mode { Mode::Enforced => "enforce", Mode::Shadow => "shadow" },
            "standing": policy.standing.as_str(),
            "parts": policy.parts.iter().map(of_part).collect::<Vec<_>>(),
        })
    });
    serde_json::json!({
        "action": &*explanation.target.action,
        "resource": &*explanation.target.resource,
        "policies": policies.collect::<Vec<_>>(),
        "left_out": explanation.left_out,
    })
}

fn of_part(part: &Part) -> serde_json::Value {
    let (is, error) = match &part.outcome {
        Outcome::Is(truth) => (Some(*truth), None),
        Outcome::Erred(message) => (None, Some(message)),
    };
    let values = part.values.iter().map(|read| {
        let (state, value) = match &read.value {
            Seen::Absent => ("absent", None),
            Seen::Present => ("present", None),
            Seen::Value(value) => ("present", Some(value)),
        };
        serde_json::json!({ "path": read.path, "state": state, "value": value })
    });
    serde_json::json!({
        "place": part.place.as_str(),
        "text": part.text,
        "is": is,
        "error": error,
        "values": values.collect::<Vec<_>>(),
    })
}

fn shadow_json(shadow: &ShadowOutcome, reason: Option<Reason>) -> serde_json::Value {
    let ids = |ids: &[Arc<str>]| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>();
    let flip = shadow.flip.as_ref();
    serde_json::json!({
        "decision": flip.map(|flip| if flip.allow { "allow" } else { "deny" }),
        "reason": reason.map(Reason::as_str),
        "policies": flip.map(|flip| ids(&flip.policies)).unwrap_or_default(),
        "errors": ids(&shadow.erring),
    })
}

/// What shadow policies would have made of it.
fn shadow_text(shadow: &ShadowOutcome, reason: Option<Reason>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(flip) = &shadow.flip {
        let would = if flip.allow { "allow" } else { "deny" };
        let by =
            flip.policies.iter().map(AsRef::as_ref).chain(reason.map(Reason::as_str)).collect::<Vec<&str>>().join(", ");
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

/// The login that would cure the denial: authentication context classes, and seconds since it.
fn login(decision: &Decision) -> Option<(&[String], Option<u64>)> {
    if let Err(Denial::Policy(Refusal::LoginInsufficient { acr, max_age })) = &decision.verdict {
        Some((acr, *max_age))
    } else {
        None
    }
}

/// The decision on one line, and why on those that follow.
pub(super) fn text(decision: &Decision, explanations: &[Explanation]) -> String {
    let verdict = match &decision.verdict {
        Ok(_) => "allow".to_owned(),
        Err(denial) => format!("deny: {}", denial.reason().as_str()),
    };
    let lines: Vec<String> = std::iter::once(verdict).chain(why(decision, explanations)).collect();
    lines.join("\n") + "\n"
}

/// What was asked, what decided it, and what would change it; one line for each, indented.
pub(super) fn why(decision: &Decision, explanations: &[Explanation]) -> Vec<String> {
    let mut lines = Vec::new();
    for target in &decision.targets {
        lines.push(format!("  asked     {} on {}", target.action, target.resource));
    }
    for (what, ids) in [("decided ", &decision.determining), ("in error", &decision.erring)] {
        for id in ids {
            lines.push(format!("  {what}  {id}"));
            lines.extend(parts_of(id, explanations));
        }
    }
    if decision.erring.is_empty() {
        // A policy whose values cannot be had has not been asked.
        lines.extend(explanations.iter().flat_map(|each| &each.policies).flat_map(unasked));
    }
    // The policies spoke, and none of them said yes.
    let by_default = matches!(decision.reason(), Reason::PolicyDenied | Reason::ScopeInsufficient);
    if by_default && decision.determining.is_empty() {
        lines.push("  decided   no policy permits it".to_owned());
    }
    lines.extend(explanations.iter().flat_map(close));
    lines.extend(advice(decision).map(|advice| format!("  advice    {advice}")));
    if let Some(scopes) = scopes(decision) {
        lines.push(format!("  cured by  scopes {}", scopes.join(" ")));
    } else if let Some((acr, max_age)) = login(decision) {
        let acr = (!acr.is_empty()).then(|| format!("acr {}", acr.join(" or ")));
        let age = max_age.map(|seconds| format!("at most {seconds} seconds ago"));
        lines.push(format!("  cured by  a login: {}", acr.into_iter().chain(age).collect::<Vec<_>>().join(", ")));
    } else if let Err(denial) = &decision.verdict {
        lines.extend(denial.detail().map(|detail| format!("  because   {detail}")));
    }
    lines.extend(decision.shadow.iter().flat_map(|shadow| shadow_text(shadow, decision.shadow_reason())));
    for policy in explanations.iter().flat_map(|each| &each.policies).filter(|policy| policy.mode == Mode::Shadow) {
        lines.push(format!("  shadow    {} ({}) {}", policy.policy, policy.effect, policy.standing.as_str()));
        lines.extend(policy.parts.iter().flat_map(part));
    }
    lines
}

/// What made the policy `id` decide, or err.
fn parts_of(id: &str, explanations: &[Explanation]) -> Vec<String> {
    let all = explanations.iter().flat_map(|explanation| &explanation.policies);
    let found = all.filter(|policy| &*policy.policy == id).find(|policy| policy.standing != Standing::Close);
    found.into_iter().flat_map(|policy| &policy.parts).flat_map(part).collect()
}

/// An enforced policy that cannot be evaluated.
fn unasked(policy: &Explained) -> Vec<String> {
    if policy.mode == Mode::Shadow || policy.standing != Standing::Erred {
        return Vec::new();
    }
    let first = format!("  in error  {}", policy.policy);
    std::iter::once(first).chain(policy.parts.iter().flat_map(part)).collect()
}

/// The policies that came close.
fn close(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    for policy in explanation.policies.iter().filter(|policy| policy.standing == Standing::Close) {
        lines.push(format!("  close     {} ({})", policy.policy, policy.effect));
        lines.extend(policy.parts.iter().flat_map(part));
    }
    if explanation.left_out > 0 {
        lines.push(format!("  close     and {} more", explanation.left_out));
    }
    lines
}

fn part(part: &Part) -> Vec<String> {
    let text = if part.place == Place::Values {
        part.text.clone()
    } else {
        format!("{} `{}`", part.place.as_str(), part.text)
    };
    let first = match &part.outcome {
        Outcome::Is(truth) => format!("            {text} is {truth}"),
        Outcome::Erred(message) => format!("            {text}: {message}"),
    };
    let values = part.values.iter().map(|read| match &read.value {
        Seen::Absent => format!("              {} is absent", read.path),
        Seen::Present => format!("              {} is present", read.path),
        Seen::Value(value) => format!("              {} = {value}", read.path),
    });
    std::iter::once(first).chain(values).collect()
}
