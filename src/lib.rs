//! toolgate: the gate in front of MCP tools.
//!
//! Modules stand on floors and import only their own floor and below (held by `tests/floors.rs`):
//!
//! ```text
//! 3 wiring     main → cli → server, telemetry
//! 2 adapters   envoy (gRPC) · issuer (key sets) · reload, config (files) · audit (sinks) · admin, metrics (HTTP) · pull
//! 1 decision   decision → policy → (mcp, token) → json        pure: no I/O, no clock, no tokio
//! 0 words      context, problem                               plain data
//! ```

pub mod admin;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod context;
pub mod decision;
pub mod envoy;
pub mod issuer;
pub mod json;
pub mod mcp;
pub mod metrics;
pub mod policy;
pub mod problem;
pub mod pull;
pub mod reload;
pub mod server;
pub mod telemetry;
pub mod token;
