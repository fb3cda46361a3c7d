//! `WWW-Authenticate` (RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3, RFC 9728 §5.1).
//!
//! All challenges stand in one line: every client reads the first, and `Bearer` comes first where a server takes both.

use super::About;
use super::text::quotable;
use crate::decision::server::Server;
use crate::token::Scheme;

/// The challenge to a request without a token: no `error` (RFC 6750 §3.1), and what to ask for first.
pub(super) fn initial(about: &About<'_>) -> String {
    let scopes = about.server.map(|server| server.scopes_supported.join(" ")).filter(|scopes| !scopes.is_empty());
    let parameters: Vec<_> = scopes.iter().map(|scopes| ("scope", scopes.as_str())).collect();
    let mut offered = offered(about);
    let first = offered.next().unwrap_or(Scheme::Bearer);
    line([challenge(first, None, &parameters, about)].into_iter().chain(offered.map(|scheme| bare(scheme, about))))
}

/// A challenge with an error, on the scheme that was used, and after it what else the server takes.
pub(super) fn failed(error: &str, about: &About<'_>) -> String {
    let used = used(about);
    let others = offered(about).filter(|scheme| *scheme != used).map(|scheme| bare(scheme, about));
    line([challenge(used, Some(error), &[], about)].into_iter().chain(others))
}

/// A challenge with an error to a caller whose way of sending its token is good.
pub(super) fn insufficient(error: &str, parameters: &[(&str, &str)], about: &About<'_>) -> String {
    challenge(used(about), Some(error), parameters, about)
}

/// A challenge to a proof.
pub(super) fn proof(error: &str, about: &About<'_>) -> String {
    challenge(Scheme::Dpop, Some(error), &[], about)
}

/// The schemes that the server takes, the one that more clients know first.
fn offered<'a>(about: &About<'a>) -> impl Iterator<Item = Scheme> + use<'a> {
    let dpop = about.server.and_then(|server| server.sender.dpop.as_ref());
    let bearer = (!dpop.is_some_and(|dpop| dpop.required)).then_some(Scheme::Bearer);
    bearer.into_iter().chain(dpop.map(|_| Scheme::Dpop))
}

/// The scheme that the request used, if the server takes it.
fn used(about: &About<'_>) -> Scheme {
    let sent = Scheme::of(about.headers);
    offered(about).find(|scheme| Some(*scheme) == sent).or_else(|| offered(about).next()).unwrap_or(Scheme::Bearer)
}

fn line(challenges: impl Iterator<Item = String>) -> String {
    challenges.collect::<Vec<_>>().join(", ")
}

/// A challenge that says no more than what a server takes.
fn bare(scheme: Scheme, about: &About<'_>) -> String {
    challenge(scheme, None, &[], about)
}

fn challenge(scheme: Scheme, error: Option<&str>, parameters: &[(&str, &str)], about: &About<'_>) -> String {
    let mut parts: Vec<String> = error.iter().map(|error| format!("error=\"{error}\"")).collect();
    // Without an error the metadata comes first: it is what the client needs.
    let metadata =
        format!("resource_metadata=\"{}\"", quotable(about.server.map_or("", |server| &server.metadata_url)));
    let own = parameters.iter().map(|(name, value)| format!("{name}=\"{}\"", quotable(value)));
    if error.is_some() {
        parts.extend(own);
        parts.push(metadata);
    } else {
        parts.push(metadata);
        parts.extend(own);
    }
    if scheme == Scheme::Dpop {
        parts.extend(about.server.and_then(algorithms));
    }
    format!("{} {}", scheme.as_str(), parts.join(", "))
}

fn algorithms(server: &Server) -> Option<String> {
    let dpop = server.sender.dpop.as_ref()?;
    let names: Vec<&str> = dpop.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
    Some(format!("algs=\"{}\"", names.join(" ")))
}
