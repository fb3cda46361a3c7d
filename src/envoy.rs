//! Floor 2: Envoy's external authorization, from bytes to bytes.

pub mod request;
pub mod wire;
