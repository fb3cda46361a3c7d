//! What came of the cases, as text and as JSON.

use std::sync::Arc;

use super::cases::Outcome;
use crate::cli::{counted, explanation};

/// The most policies that are listed for people; all are in the JSON.
const MAX_IDLE: usize = 20;

/// Each file with its count, each failure with its explanation, and a summary.
pub(super) fn text(outcomes: &[Outcome<'_>], idle: &[Arc<str>]) -> String {
    let mut lines = Vec::new();
    for of_file in outcomes.chunk_by(|one, next| one.file == next.file) {
        let failures = of_file.iter().filter(|outcome| !outcome.passed());
        let file = of_file.first().map_or("", |outcome| outcome.file);
        let failed = failures.clone().count();
        let cases = counted(of_file.len(), "case", "cases");
        lines.push(match failed {
            0 => format!("ok      {file}: {cases}"),
            _ => format!("FAILED  {file}: {failed} of {cases}"),
        });
        lines.extend(failures.flat_map(failure));
    }
    let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
    lines.push(String::new());
    lines.push(format!("{passed} passed, {} failed", outcomes.len() - passed));
    lines.extend(never_decided(idle));
    lines.join("\n") + "\n"
}

fn failure(outcome: &Outcome<'_>) -> Vec<String> {
    let mut lines = vec![String::new(), format!("{}:{}: {}", outcome.file, outcome.line, outcome.name)];
    for difference in &outcome.differences {
        lines.push(format!("  expected  {}", difference.expected));
        lines.push(format!("  seen      {}", difference.seen));
    }
    lines.extend(outcome.seen.iter().flat_map(|decision| explanation::why(decision, &outcome.why)));
    lines
}

fn never_decided(idle: &[Arc<str>]) -> Option<String> {
    if idle.is_empty() {
        return None;
    }
    let shown: Vec<&str> = idle.iter().take(MAX_IDLE).map(|id| &**id).collect();
    let more = match idle.len() - shown.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(format!("{} decided no case: {}{more}", counted(idle.len(), "policy", "policies"), shown.join(", ")))
}

/// The same for programs, every case and every policy listed.
pub(super) fn json(outcomes: &[Outcome<'_>], idle: &[Arc<str>]) -> serde_json::Value {
    let cases = outcomes.iter().map(|outcome| {
        let differences = outcome.differences.iter();
        let differences: Vec<_> = differences
            .map(|difference| serde_json::json!({ "expected": difference.expected, "seen": difference.seen }))
            .collect();
        serde_json::json!({
            "file": outcome.file,
            "line": outcome.line,
            "name": outcome.name,
            "ok": outcome.passed(),
            "differences": differences,
            "seen": outcome.seen.as_ref().ok().map(|decision| explanation::json(decision, &outcome.why)),
        })
    });
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    serde_json::json!({
        "ok": failed == 0,
        "passed": outcomes.len() - failed,
        "failed": failed,
        "cases": cases.collect::<Vec<_>>(),
        "never_decided": idle.iter().map(|id| &**id).collect::<Vec<_>>(),
    })
}
