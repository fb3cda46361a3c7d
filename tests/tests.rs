//! All integration tests, one binary: each module says what belongs in it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![expect(clippy::needless_pass_by_value, reason = "a table reads better with values than with references")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test names what it expects, and anything else is wrong")]

mod answers;
mod attacks;
mod churn;
mod cli;
mod cookbook;
mod docs;
mod floors;
mod hostile;
mod mutants;
mod reload;
mod rotation;
mod server;
mod support;
mod trail;
mod wire;
