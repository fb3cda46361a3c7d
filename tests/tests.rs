//! All integration tests, one binary: each module says what belongs in it.
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(missing_docs)]

fn nothing() -> Option<()> {
    None
}

#[test]
fn placeholder() {
    assert!(nothing().or(Some(())).unwrap() == ());
}
