//! The one table from denials to HTTP: status, challenge, body.
//!
//! Texts for callers are fixed and short. A policy speaks to them through `@advice` alone.

use serde::Serialize;

use super::About;
use super::challenge;
use crate::decision::denial::{Denial, Malformed, Reason};
use crate::decision::server::{Denials, Server};
use crate::decision::{Decision, allowed_origin};
use crate::mcp;
use crate::mcp::{McpError, RequestId, Revision};
use crate::policy::evaluate::Refusal;

/// The HTTP answer to a request that does not go upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body, empty for none.
    pub body: String,
}

/// JSON-RPC error codes (JSON-RPC 2.0 §5.1; MCP 2026-07-28 `basic`).
mod code {
    pub(super) const PARSE_ERROR: i32 = -32700;
    pub(super) const INVALID_REQUEST: i32 = -32600;
    pub(super) const METHOD_NOT_FOUND: i32 = -32601;
    pub(super) const HEADER_MISMATCH: i32 = -32020;
    pub(super) const UNSUPPORTED_VERSION: i32 = -32022;
    /// Outside of every reserved range.
    pub(super) const FORBIDDEN: i32 = 403;
}

/// Seconds after which a client may ask again when an issuer or the audit sink was ill.
const RETRY_AFTER: &str = "5";

/// The answer to `denial`.
pub fn answer(denial: &Denial, decision: &Decision, about: &About<'_>) -> Answer {
    let reason = denial.reason();
    match denial {
        Denial::Metadata => metadata(about.server),
        Denial::MetadataMethod => with(405, [("allow", "GET, HEAD, OPTIONS".to_owned())], about),
        Denial::Preflight => preflight(about),
        Denial::OriginRefused => rpc(403, code::FORBIDDEN, "this origin is not allowed", None, decision, about, reason),
        Denial::NoRoute => json(404, "{\"error\":\"not_found\"}".to_owned(), about),
        Denial::HttpMethodNotAllowed => with(405, [("allow", "POST, GET, DELETE".to_owned())], about),
        // RFC 6750 §3.1: the challenge to who sent no token has no error; the body is for people who try things by hand.
        Denial::TokenMissing => {
            oauth(401, "invalid_token", "an access token is required", challenge::initial(about), about)
        }
        Denial::TokenAmbiguous => {
            let text = "the token must come once, in the Authorization header";
            oauth(400, "invalid_request", text, challenge::insufficient("invalid_request", &[], about), about)
        }
        Denial::TokenInvalid(_) => {
            let text = "the access token is not valid here";
            oauth(401, "invalid_token", text, challenge::failed("invalid_token", about), about)
        }
        Denial::ProofInvalid(_) => {
            let error = "invalid_dpop_proof";
            oauth(401, error, "the DPoP proof is not valid here", challenge::proof(error, about), about)
        }
        Denial::ProofNonce => needs_nonce(about),
        Denial::KeysUnavailable | Denial::IntrospectionUnavailable(_) | Denial::AuditUnavailable => {
            with(503, [("retry-after", RETRY_AFTER.to_owned())], about)
        }
        Denial::BodyTooLarge => with(413, [], about),
        Denial::BodyUnsupported(_) => with(415, [], about),
        Denial::MessageMalformed(Malformed::Message(McpError::Malformed(mcp::Malformed::Json(_)))) => {
            rpc(400, code::PARSE_ERROR, "the body is not acceptable JSON", None, decision, about, reason)
        }
        Denial::MessageMalformed(_) => {
            rpc(400, code::INVALID_REQUEST, "the body is not one MCP message", None, decision, about, reason)
        }
        Denial::HeaderMismatch { header, reason: disagreement } => {
            let text = format!("the header {header} {disagreement}");
            rpc(400, code::HEADER_MISMATCH, &text, None, decision, about, reason)
        }
        Denial::VersionUnsupported { requested } => unsupported_version(requested, decision, about),
        Denial::Policy(refusal) => refused(refusal, reason, decision, about),
        Denial::Internal(_) => with(500, [], about),
    }
}

fn refused(refusal: &Refusal, reason: Reason, decision: &Decision, about: &About<'_>) -> Answer {
    let message = |text: &str, advice| in_message(403, code::FORBIDDEN, text, advice, reason, decision, about);
    match refusal {
        Refusal::Denied { advice } => message("denied by policy", advice.as_deref()),
        Refusal::Erred => message("a policy could not be evaluated", None),
        Refusal::ToolUnknown => message("this tool does not exist here", None),
        Refusal::ArgumentUnrepresentable(_) => message("an argument is not of its declared type", None),
        Refusal::ClaimUnrepresentable(_) => message("a claim of the token is not of its declared type", None),
        Refusal::MethodUnknown => {
            in_message(404, code::METHOD_NOT_FOUND, "method not found", None, reason, decision, about)
        }
        Refusal::ScopeInsufficient { scopes } => {
            let scopes = scopes.join(" ");
            let text = "the token lacks a scope that this request needs";
            let error = "insufficient_scope";
            oauth(403, error, text, challenge::insufficient(error, &[("scope", &scopes)], about), about)
        }
        Refusal::LoginInsufficient { acr, max_age } => {
            let (acr, max_age) = (acr.join(" "), max_age.map(|seconds| seconds.to_string()));
            let mut parameters = Vec::new();
            if !acr.is_empty() {
                parameters.push(("acr_values", acr.as_str()));
            }
            parameters.extend(max_age.as_deref().map(|seconds| ("max_age", seconds)));
            let error = "insufficient_user_authentication";
            let challenge = challenge::insufficient(error, &parameters, about);
            oauth(401, error, "a stronger or fresher login is required", challenge, about)
        }
        Refusal::Internal => with(500, [], about),
    }
}

/// RFC 9449 §9: the client makes its proof anew with the nonce in the header, and asks again.
fn needs_nonce(about: &About<'_>) -> Answer {
    let error = "use_dpop_nonce";
    let mut answer = oauth(401, error, "the DPoP proof needs a nonce", challenge::proof(error, about), about);
    let nonces = about.server.and_then(|server| server.sender.dpop.as_ref()).and_then(|dpop| dpop.nonces.as_ref());
    answer.headers.extend(nonces.map(|nonces| (NONCE, nonces.current(about.now))));
    answer
}

/// The header with the nonce for the next proof (RFC 9449 §8.2).
const NONCE: &str = "dpop-nonce";

/// A denial that clients can show as the error of one call. By status it breaks some older clients' whole connection.
fn in_message(
    status: u16,
    code: i32,
    text: &str,
    advice: Option<&str>,
    reason: Reason,
    decision: &Decision,
    about: &About<'_>,
) -> Answer {
    let style = about.server.map_or(Denials::Http, |server| server.denials);
    let in_band = match style {
        Denials::Auto => !decision.modern,
        Denials::Http => false,
        Denials::JsonRpc => true,
    };
    let status = if in_band && decision.id.is_some() { 200 } else { status };
    rpc(status, code, text, advice, decision, about, reason)
}

#[derive(Serialize)]
struct RpcError<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RequestId>,
    error: RpcErrorBody<'a>,
}

#[derive(Serialize)]
struct RpcErrorBody<'a> {
    code: i32,
    message: &'a str,
    data: RpcErrorData<'a>,
}

#[derive(Serialize, Default)]
struct RpcErrorData<'a> {
    decision_id: &'a str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supported: Option<[&'static str; Revision::ALL.len()]>,
}

fn rpc(
    status: u16,
    code: i32,
    message: &str,
    advice: Option<&str>,
    decision: &Decision,
    about: &About<'_>,
    reason: Reason,
) -> Answer {
    let advice = advice.map(advice_text);
    let data = RpcErrorData {
        decision_id: about.decision_id.as_str(),
        reason: reason.as_str(),
        advice,
        ..RpcErrorData::default()
    };
    rpc_with(status, code, message, data, decision, about)
}

fn unsupported_version(requested: &str, decision: &Decision, about: &About<'_>) -> Answer {
    let data = RpcErrorData {
        decision_id: about.decision_id.as_str(),
        reason: Reason::VersionUnsupported.as_str(),
        requested: Some(requested),
        supported: Some(Revision::ALL.map(Revision::as_str)),
        ..RpcErrorData::default()
    };
    rpc_with(400, code::UNSUPPORTED_VERSION, "this protocol version is not supported", data, decision, about)
}

fn rpc_with(
    status: u16,
    code: i32,
    message: &str,
    data: RpcErrorData<'_>,
    decision: &Decision,
    about: &About<'_>,
) -> Answer {
    let error = RpcError { jsonrpc: "2.0", id: decision.id.as_ref(), error: RpcErrorBody { code, message, data } };
    json(status, serde_json::to_string(&error).unwrap_or_default(), about)
}

/// Advice as one line of at most [`MAX_ADVICE`] characters.
fn advice_text(advice: &str) -> String {
    // What ends a line elsewhere, or turns the direction of what follows, has no place in one line either.
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    advice.chars().map(|character| if unseen(character) { ' ' } else { character }).take(MAX_ADVICE).collect()
}

/// Characters of advice: a sentence or two, which agents show to people.
const MAX_ADVICE: usize = 500;

#[derive(Serialize)]
struct OAuthError<'a> {
    error: &'a str,
    error_description: &'a str,
}

fn oauth(status: u16, error: &str, text: &str, challenge: String, about: &About<'_>) -> Answer {
    let body = serde_json::to_string(&OAuthError { error, error_description: text }).unwrap_or_default();
    let mut answer = json(status, body, about);
    answer.headers.push(("www-authenticate", challenge));
    answer
}

fn json(status: u16, body: String, about: &About<'_>) -> Answer {
    let mut answer = with(status, [("content-type", "application/json".to_owned())], about);
    answer.body = body;
    answer
}

/// A denial's headers: never stored, and readable by the browser pages that may call.
fn with<const N: usize>(status: u16, headers: [(&'static str, String); N], about: &About<'_>) -> Answer {
    let mut headers: Vec<_> = headers.into_iter().collect();
    headers.push(("cache-control", "no-store".to_owned()));
    if let Some(origin) = origin(about) {
        headers.push(("vary", "Origin".to_owned()));
        headers.push(("access-control-allow-origin", origin.to_owned()));
        headers.push(("access-control-expose-headers", "WWW-Authenticate, Mcp-Session-Id, DPoP-Nonce".to_owned()));
    }
    Answer { status, headers, body: String::new() }
}

fn origin<'a>(about: &About<'a>) -> Option<&'a str> {
    about.server.and_then(|server| allowed_origin(server, about.headers).ok().flatten())
}

fn metadata(server: Option<&Server>) -> Answer {
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("cache-control", "max-age=300".to_owned()),
        ("access-control-allow-origin", "*".to_owned()),
    ];
    Answer { status: 200, headers, body: server.map(|server| server.metadata.clone()).unwrap_or_default() }
}

/// The request headers that MCP clients in browsers send.
const CORS_HEADERS: &str = "authorization, content-type, accept, dpop, last-event-id, mcp-method, mcp-name, mcp-protocol-version, mcp-session-id";

fn preflight(about: &About<'_>) -> Answer {
    let cors = |origin: &str, methods: &str| {
        vec![
            ("vary", "Origin".to_owned()),
            ("access-control-allow-origin", origin.to_owned()),
            ("access-control-allow-methods", methods.to_owned()),
            ("access-control-allow-headers", CORS_HEADERS.to_owned()),
            ("access-control-max-age", "600".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ]
    };
    // Without an origin that the server allows, only the metadata answers a preflight, and to everybody.
    let headers = origin(about).map_or_else(|| cors("*", "GET, HEAD"), |origin| cors(origin, "POST, GET, DELETE"));
    Answer { status: 204, headers, body: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_one_line_of_what_can_be_seen() {
        for (advice, line) in [
            ("Ask the desk.", "Ask the desk."),
            ("a\r\nSet-Cookie: b\0", "a  Set-Cookie: b "),
            ("a\u{2028}b\u{202e}c\u{2066}d\u{85}", "a b c d "),
            ("é 日本", "é 日本"),
        ] {
            assert_eq!(advice_text(advice), line);
        }
        assert_eq!(advice_text(&"é".repeat(MAX_ADVICE)).chars().count(), MAX_ADVICE);
        assert_eq!(advice_text(&"é".repeat(MAX_ADVICE + 1)).chars().count(), MAX_ADVICE);
    }
}
