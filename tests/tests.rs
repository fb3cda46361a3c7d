//! All integration tests, one binary: each module says what belongs in it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod answers;
mod cli;
mod docs;
mod floors;
mod hostile;
mod reload;
mod server;
mod support;
mod wire;
