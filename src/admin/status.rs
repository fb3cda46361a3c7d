//! What `/status` says.

use serde::{Serialize, Serializer};

use crate::audit::{SinkStatus, timestamp};
use crate::context::UnixTime;
use crate::issuer::IntrospectionStatus;

/// The state of the process, for people and scripts. Moments are RFC 3339 in UTC.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// The version of toolgate.
    pub version: &'static str,
    /// The number of the rules that hold.
    pub generation: u64,
    /// Their digest.
    pub digest: String,
    /// Since when they hold.
    #[serde(serialize_with = "rfc_3339")]
    pub since: UnixTime,
    /// What they consist of.
    pub loaded: Loaded,
    /// The issuers, in the order of the configuration.
    pub issuers: Vec<IssuerStatus>,
    /// Why other rules were refused since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reload_failure: Option<ReloadFailure>,
    /// The keys of the configuration that were changed since the start, and hold only after a restart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restart_needed: Vec<&'static str>,
    /// Whether the audit trail takes records, without which nothing is allowed.
    #[serde(skip)]
    pub records: bool,
    /// Where records go.
    pub audit: Vec<SinkStatus>,
}

/// How much is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// Policies, links of templates included.
    pub policies: usize,
    /// Servers.
    pub servers: usize,
    /// Tools in the catalogues of all servers.
    pub tools: usize,
}

/// Whether tokens of an issuer can be verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IssuerStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Whether there are keys.
    pub ready: bool,
    /// What is wrong, or was at the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How its introspection endpoint is doing, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection: Option<IntrospectionStatus>,
}

/// The last attempt to load other rules, if it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReloadFailure {
    /// When it failed.
    #[serde(serialize_with = "rfc_3339")]
    pub at: UnixTime,
    /// How long ago that is.
    pub age_seconds: u64,
    /// The first problem, with its place. All of them are in the log.
    pub message: String,
    /// How many there are.
    pub problems: usize,
}

fn rfc_3339<S: Serializer>(time: &UnixTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&timestamp(*time))
}
