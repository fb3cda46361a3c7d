//! One mistake at a time: what is marked and what is said.

use super::*;

/// Replaces `old` in the sample by `new` and expects exactly one problem, over `span`.
#[track_caller]
fn refuse(old: &str, new: &str, span: &str, message: &str) {
    refuse_all(old, new, &[(span, message)]);
}

#[track_caller]
fn refuse_all(old: &str, new: &str, expected: &[(&str, &str)]) {
    let problems = problems(&replaced(SAMPLE, old, new));
    let found: Vec<(&str, &str)> = problems.iter().map(|problem| (marked(problem), problem.message.as_str())).collect();
    assert_eq!(found, expected, "{new}");
    assert!(problems.iter().all(|problem| problem.help.is_some()), "{new}");
}

#[track_caller]
fn helps(old: &str, new: &str, help: &str) {
    let problems = problems(&replaced(SAMPLE, old, new));
    let found: Vec<&str> = problems.iter().filter_map(|problem| problem.help.as_deref()).collect();
    assert_eq!(found, [help], "{new}");
}
