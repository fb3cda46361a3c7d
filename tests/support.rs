//! What several integration tests stand on: a whole gate over files of its own, requests as Envoy puts them, tokens.

pub(crate) mod envoy;
pub(crate) mod gate;
pub(crate) mod people;
pub(crate) mod tokens;
