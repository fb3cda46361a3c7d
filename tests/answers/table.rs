//! The table of answers: one function for each line of it, with every word that is said.

use toolgate::decision::denial::Reason;

use super::expect::{Answer, Body, METADATA, answer, in_message, no_store, oauth, passes, rpc};
use crate::support::people::ANN;

/// The request passes, by these policies, and its server finds the caller in its headers.
pub(super) fn allow(policies: &[&'static str]) -> Answer {
    passes(Reason::Allow).policies(policies).who(ANN)
}

pub(super) fn metadata(document: &str) -> Answer {
    answer(Reason::Metadata, 200, Body::Text(document.to_owned()))
        .header("content-type", "application/json")
        .header("cache-control", "max-age=300")
        .header("access-control-allow-origin", "*")
}

pub(super) fn metadata_method_not_allowed() -> Answer {
    no_store(Reason::HttpMethodNotAllowed, 405, Body::None).header("allow", "GET, HEAD, OPTIONS")
}

pub(super) fn preflight(origin: &str, methods: &str) -> Answer {
    no_store(Reason::Preflight, 204, Body::None)
        .header("vary", "Origin")
        .header("access-control-allow-origin", origin)
        .header("access-control-allow-methods", methods)
        .header(
            "access-control-allow-headers",
            "authorization, content-type, accept, dpop, last-event-id, mcp-method, mcp-name, mcp-protocol-version, mcp-session-id",
        )
        .header("access-control-max-age", "600")
}

pub(super) fn origin_refused() -> Answer {
    rpc(Reason::OriginRefused, 403, None, 403, "this origin is not allowed")
}

/// No server: nobody to speak of.
pub(super) fn no_route() -> Answer {
    let body = Body::Text(r#"{"error":"not_found"}"#.to_owned());
    no_store(Reason::NoRoute, 404, body).header("content-type", "application/json").no_server()
}

pub(super) fn http_method_not_allowed() -> Answer {
    no_store(Reason::HttpMethodNotAllowed, 405, Body::None).header("allow", "POST, GET, DELETE")
}

/// `more` is what follows the address of the metadata.
pub(super) fn token_missing(more: &str) -> Answer {
    let challenge = format!(r#"Bearer resource_metadata="{METADATA}"{more}"#);
    oauth(Reason::TokenMissing, 401, "invalid_token", "an access token is required", &challenge)
}

pub(super) fn token_invalid(detail: &str) -> Answer {
    let challenge = format!(r#"Bearer error="invalid_token", resource_metadata="{METADATA}""#);
    oauth(Reason::TokenInvalid, 401, "invalid_token", "the access token is not valid here", &challenge).detail(detail)
}

pub(super) fn token_ambiguous() -> Answer {
    let challenge = format!(r#"Bearer error="invalid_request", resource_metadata="{METADATA}""#);
    let text = "the token must come once, in the Authorization header";
    oauth(Reason::TokenAmbiguous, 400, "invalid_request", text, &challenge)
}

/// We are ill: keys, or the audit trail.
pub(super) fn unavailable(reason: Reason) -> Answer {
    no_store(reason, 503, Body::None).header("retry-after", "5")
}

pub(super) fn body_too_large() -> Answer {
    no_store(Reason::BodyTooLarge, 413, Body::None).who(ANN)
}

pub(super) fn body_unsupported(detail: &str) -> Answer {
    no_store(Reason::BodyUnsupported, 415, Body::None).who(ANN).detail(detail)
}

/// Not JSON.
pub(super) fn parse_error(detail: &str) -> Answer {
    let detail = format!("malformed message: {detail}");
    rpc(Reason::MessageMalformed, 400, None, -32700, "the body is not acceptable JSON").who(ANN).detail(&detail)
}

/// JSON, but not one message.
pub(super) fn invalid_request(detail: &str) -> Answer {
    rpc(Reason::MessageMalformed, 400, None, -32600, "the body is not one MCP message").who(ANN).detail(detail)
}

pub(super) fn header_mismatch(what: &str) -> Answer {
    let text = format!("the header {what}");
    rpc(Reason::HeaderMismatch, 400, Some("1"), -32020, &text).who(ANN).detail(&text)
}

pub(super) fn version_unsupported(requested: &str) -> Answer {
    let supported = r#""supported":["2025-03-26","2025-06-18","2025-11-25","2026-07-28"]"#;
    rpc(Reason::VersionUnsupported, 400, Some("1"), -32022, "this protocol version is not supported")
        .more(&format!(r#""requested":"{requested}",{supported}"#))
        .who(ANN)
}

pub(super) fn login_insufficient(parameters: &str, policies: &[&'static str]) -> Answer {
    let challenge =
        format!(r#"Bearer error="insufficient_user_authentication", {parameters}, resource_metadata="{METADATA}""#);
    let text = "a stronger or fresher login is required";
    oauth(Reason::LoginInsufficient, 401, "insufficient_user_authentication", text, &challenge)
        .policies(policies)
        .who(ANN)
}

pub(super) fn scope_insufficient(scopes: &str) -> Answer {
    let challenge = format!(r#"Bearer error="insufficient_scope", scope="{scopes}", resource_metadata="{METADATA}""#);
    let text = "the token lacks a scope that this request needs";
    oauth(Reason::ScopeInsufficient, 403, "insufficient_scope", text, &challenge)
        .detail(&format!("scopes {scopes}"))
        .who(ANN)
}

/// In the message, as most clients of the older era are answered; [`Answer::by_status`] is the other way.
pub(super) fn policy_denied(policies: &[&'static str]) -> Answer {
    in_message(Reason::PolicyDenied, "denied by policy").policies(policies)
}

pub(super) fn policy_error(errors: &[&'static str]) -> Answer {
    in_message(Reason::PolicyError, "a policy could not be evaluated").errors(errors)
}

pub(super) fn tool_unknown() -> Answer {
    in_message(Reason::ToolUnknown, "this tool does not exist here")
}

pub(super) fn argument_unrepresentable(pointer: &str) -> Answer {
    in_message(Reason::ArgumentUnrepresentable, "an argument is not of its declared type")
        .detail(&format!("argument {pointer}"))
}

pub(super) fn claim_unrepresentable(claim: &str) -> Answer {
    in_message(Reason::ClaimUnrepresentable, "a claim of the token is not of its declared type")
        .detail(&format!("claim {claim}"))
}

pub(super) fn method_unknown() -> Answer {
    rpc(Reason::MethodUnknown, 200, Some("1"), -32601, "method not found").who(ANN)
}

pub(super) fn internal(detail: &str) -> Answer {
    no_store(Reason::Internal, 500, Body::None).detail(detail)
}
