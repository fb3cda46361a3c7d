//! A request that nobody has sent: claims that are believed, the headers that a client would send, and one decision.

use std::sync::Arc;

use bytes::Bytes;

use crate::context::{Headers, RequestContext, UnixTime};
use crate::decision::server::Server;
use crate::decision::{Around, Caller, Decision, Step, Use, decide};
use crate::json::Document;
use crate::policy::catalog;
use crate::policy::subject::Subject;
use crate::reload::load::Loaded;
use crate::token::{Principal, ProofId, suppose};

/// How long a supposed token lives: longer than the decision takes.
const SUPPOSED_LIFETIME_SECONDS: i64 = 3600;

/// What is decided about `context`, sent by nobody.
pub(super) fn decision(
    loaded: &Loaded,
    server: &Server,
    context: &RequestContext,
    caller: &Caller,
    now: UnixTime,
) -> Decision {
    decide(&loaded.rules, server, context, None, caller, now, &mut Nothing)
}

/// Nobody times what nobody sent, and nobody sends a proof with it.
struct Nothing;

impl Around for Nothing {
    fn lap(&mut self, _: Step) {}

    fn first_use(&mut self, _: ProofId) -> Use {
        Use::Untold
    }
}

/// A request for `server` with `headers`, of no method and without a body.
pub(super) fn request(server: &Server, headers: Vec<(Bytes, Bytes)>) -> RequestContext {
    RequestContext {
        server: Some(Bytes::copy_from_slice(server.name.as_bytes())),
        headers: Headers::new(headers),
        ..RequestContext::unread()
    }
}

/// The headers that a client sends with `message`: from 2026-07-28 on they repeat the body (SEP-2243).
pub(super) fn client_headers(message: &[u8]) -> Vec<(Bytes, Bytes)> {
    let mut headers = vec![(Bytes::from_static(b"content-type"), Bytes::from_static(b"application/json"))];
    let Ok(document) = Document::parse(message, catalog::LIMITS) else { return headers };
    let root = document.root();
    let text = |pointer: &str| root.pointer(pointer).and_then(|value| value.as_str());
    if let Some(version) = text("/params/_meta/io.modelcontextprotocol~1protocolVersion") {
        let name = ["/params/name", "/params/uri", "/params/taskId"].into_iter().find_map(text);
        let own = [("mcp-protocol-version", Some(version)), ("mcp-method", text("/method")), ("mcp-name", name)];
        for (name, value) in own.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            headers.push((Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes())));
        }
    }
    headers
}

/// Sends the header `name` in the place of whatever was sent under that name.
pub(super) fn set_header(headers: &mut Vec<(Bytes, Bytes)>, name: &str, value: &str) {
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name.as_bytes()));
    headers.push((Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes())));
}

/// The caller that `principal` is to the policies.
pub(super) fn caller(principal: Principal, loaded: &Loaded) -> Result<Caller, String> {
    let hierarchy = loaded.hierarchies.get(principal.issuer_name()).cloned().unwrap_or_default();
    let principal = Arc::new(principal);
    let subject = Subject::new(principal.clone(), &hierarchy).map_err(|error| error.to_string())?;
    Ok(Caller { principal, subject, hierarchy: Arc::clone(&hierarchy) })
}

/// The caller of unverified claims: of the issuer that they name, or of the server's only one.
pub(super) fn supposed(claims: &[u8], loaded: &Loaded, server: &Server, now: UnixTime) -> Result<Principal, String> {
    let own = || loaded.config.issuers.iter().filter(|issuer| server.issuers.contains(&issuer.rules.name));
    let mut last = "the server has no issuer".to_owned();
    for issuer in own() {
        let claims = completed(claims, &issuer.rules.issuer, &server.resource, now)?;
        match suppose(claims.as_bytes(), &issuer.rules, now) {
            Ok(principal) => return Ok(principal),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("the claims are no caller of this server: {last}"))
}

/// The claims with those added that every token has and that say nothing about its caller.
fn completed(claims: &[u8], issuer: &str, resource: &str, now: UnixTime) -> Result<String, String> {
    let document = Document::parse(claims, catalog::LIMITS)
        .map_err(|error| format!("the claims are not acceptable JSON: {error}"))?;
    let root = document.root();
    let inside = root.raw().strip_prefix('{').ok_or("the claims are not a JSON object")?;
    let defaults = [
        ("iss", serde_json::json!(issuer)),
        ("aud", serde_json::json!(resource)),
        ("iat", serde_json::json!(now.seconds())),
        ("exp", serde_json::json!(now.seconds() + SUPPOSED_LIFETIME_SECONDS)),
    ];
    let missing = defaults.iter().filter(|(name, _)| root.get(name).is_none());
    let mut members: Vec<String> = missing.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    if root.is_empty() {
        return Ok(format!("{{{}}}", members.join(",")));
    }
    members.push(inside.trim_start().to_owned());
    Ok(format!("{{{}", members.join(",")))
}
