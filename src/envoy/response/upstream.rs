//! What changes about an allowed request on its way upstream.
//!
//! Each name is set or removed, never both: Envoy removes after it sets. Whatever a client sends under our prefix goes,
//! so that the upstream can believe what it finds there.

use super::About;
use super::text::percent_encoded;

/// The prefix of the headers that tell the upstream who calls.
const PREFIX: &str = "x-toolgate-";

/// The names that toolgate sets; one that has no value is removed.
const OWN: [&str; 5] =
    ["x-toolgate-subject", "x-toolgate-issuer", "x-toolgate-client", "x-toolgate-scopes", "x-toolgate-decision-id"];

/// Headers by which some frameworks let a client change the method after we have read it.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Credentials: they stay here unless the server is configured to get them.
const CREDENTIALS: [&str; 2] = ["authorization", "dpop"];

/// Envoy's own header for a request's time limit, milliseconds.
const TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";

/// The changes to one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changes {
    /// Names and values to set.
    pub(super) set: Vec<(&'static str, String)>,
    /// Names to remove.
    pub(super) remove: Vec<String>,
}

/// The changes that go with an allow.
pub(super) fn changes(about: &About<'_>, streams: bool) -> Changes {
    let mut set = Vec::with_capacity(OWN.len() + 1);
    let mut remove = Vec::new();
    for (name, value) in OWN.into_iter().zip(values(about)) {
        match value.as_deref().and_then(percent_encoded) {
            Some(value) => set.push((name, value)),
            None => remove.push(name.to_owned()),
        }
    }
    remove.extend(about.headers.iter().filter(|(name, _)| is_forged(name)).filter_map(|(name, _)| {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        (!OWN.contains(&name.as_str())).then_some(name)
    }));
    remove.extend(METHOD_OVERRIDES.map(str::to_owned));
    if !about.server.is_some_and(|server| server.forward_token) {
        remove.extend(CREDENTIALS.map(str::to_owned));
    }
    if streams && about.server.is_some_and(|server| server.end_streams_at_expiry) {
        set.extend(remaining_life(about).map(|millis| (TIMEOUT, millis.to_string())));
    }
    Changes { set, remove }
}

/// The values of [`OWN`], in its order.
fn values(about: &About<'_>) -> [Option<String>; OWN.len()] {
    let principal = about.caller.map(|caller| &caller.principal);
    [
        principal.and_then(|p| p.subject()).map(str::to_owned),
        principal.map(|p| p.issuer().to_owned()),
        principal.map(|p| p.client().to_owned()),
        principal.map(|p| p.scopes().join(" ")),
        Some(about.decision_id.as_str().to_owned()),
    ]
}

/// Names that only toolgate may use, and method overrides spelt with underscores: some servers read `_` as `-`.
fn is_forged(name: &[u8]) -> bool {
    let same = |known: &str, prefix: bool| {
        (if prefix { name.len() >= known.len() } else { name.len() == known.len() })
            && name.iter().zip(known.bytes()).all(|(byte, own)| {
                let byte = if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
                byte == own
            })
    };
    same(PREFIX, true) || METHOD_OVERRIDES.iter().any(|known| same(known, false) && name.contains(&b'_'))
}

/// Milliseconds until the caller's token expires, at least one.
fn remaining_life(about: &About<'_>) -> Option<i64> {
    let expires = about.caller?.principal.expires_at();
    Some(expires.millis().saturating_sub(about.now.millis()).max(1))
}
