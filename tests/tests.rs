//! All integration tests, one binary: each module says what belongs in it.

mod server;
mod wire;
