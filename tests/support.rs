//! What several integration tests stand on: a whole gate over files of its own, requests as Envoy puts them, tokens, and
//! the server of an issuer's keys.

#[expect(dead_code, reason = "the unit tests, which include it too, use the rest")]
pub(crate) mod endpoint;
pub(crate) mod envoy;
pub(crate) mod frames;
pub(crate) mod gate;
pub(crate) mod people;
pub(crate) mod provider;
pub(crate) mod tokens;
