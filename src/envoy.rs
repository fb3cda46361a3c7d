//! Floor 2: Envoy's ext_authz protocol, from bytes to bytes. Generated types stop at `wire`, `request` and `response`.

pub mod check;
mod patience;
pub mod proofs;
pub mod request;
pub mod response;
pub mod tokens;
mod trace;
pub mod wire;
