//! Tokens that are bound to a key or to a certificate, at servers that take them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use toolgate::context::UnixTime;
use toolgate::decision::denial::Reason;
use toolgate::token::Nonces;

use super::expect::{Answer, METADATA, Row, oauth, row};
use super::table::{allow, metadata, token_invalid};
use crate::support::envoy::{Ask, REQUEST_ID, bare, legacy};
use crate::support::gate::NOW;
use crate::support::people::{ANN, Token, ann, digest, keys, thumbprint};
use crate::support::tokens::encode;

/// The secret of the server `safe`. No request ever sees it.
pub(super) const NONCE_SECRET: &str = "made for these tests and for nothing else";

const ALGORITHMS: &str = r#"algs="ES256 RS256 EdDSA""#;

/// Ann's token for the servers of this file.
fn token() -> Token {
    let at = |server: &str| format!("https://mcp.example.com/{server}");
    ann().claim("aud", json!([at("vault"), at("safe"), at("wire"), "https://mcp.example.com/weather"]))
}

/// The same, bound to the key of the client.
fn bound() -> Token {
    token().claim("cnf", json!({"jkt": thumbprint(&keys().client)}))
}

fn in_certificate(der: &str) -> Token {
    token().claim("cnf", json!({"x5t#S256": digest(der)}))
}

fn pem(der: &str) -> String {
    let text = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der));
    text.replace('\n', "%0A").replace('=', "%3D").replace(' ', "%20")
}

/// A proof for a ping with this token at this server.
fn proof(server: &str, token: &str, more: Value) -> String {
    let mut claims = json!({
        "jti": format!("proof-{}", encode(more.to_string() + server)),
        "htm": "POST",
        "htu": format!("https://mcp.example.com/{server}"),
        "iat": NOW,
        "ath": digest(token),
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let key = &keys().client;
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{{{}}}}}"#, key.material());
    key.token(&header, &claims.to_string())
}

fn ping(server: &'static str, scheme: &str, token: &str) -> Ask {
    legacy(server, "ping", json!({})).add("authorization", format!("{scheme} {token}"))
}

fn proven(server: &'static str, more: Value) -> Ask {
    let token = bound().text();
    let proof = proof(server, &token, more);
    ping(server, "DPoP", &token).add("dpop", proof)
}

fn pong(server: &str) -> Answer {
    let resource: &'static str = match server {
        "vault" => r#"Server::"vault""#,
        "safe" => r#"Server::"safe""#,
        _ => r#"Server::"wire""#,
    };
    allow(&["session"]).on("ping", resource)
}

fn missing(challenge: &str) -> Answer {
    oauth(Reason::TokenMissing, 401, "invalid_token", "an access token is required", challenge)
}

/// A token that is not good at a server that takes proofs too.
fn refused(challenge: &str, detail: &str) -> Answer {
    oauth(Reason::TokenInvalid, 401, "invalid_token", "the access token is not valid here", challenge)
        .detail(detail)
        .who(ANN)
}

fn proof_invalid(detail: &str) -> Answer {
    let challenge = format!(r#"DPoP error="invalid_dpop_proof", resource_metadata="{METADATA}", {ALGORITHMS}"#);
    oauth(Reason::ProofInvalid, 401, "invalid_dpop_proof", "the DPoP proof is not valid here", &challenge)
        .detail(detail)
        .who(ANN)
}

fn nonces() -> Nonces {
    Nonces::parse(NONCE_SECRET.as_bytes()).unwrap()
}

fn nonce(seconds: i64) -> String {
    nonces().current(UnixTime::from_seconds(NOW + seconds))
}

fn needs_nonce() -> Answer {
    let challenge = format!(r#"DPoP error="use_dpop_nonce", resource_metadata="{METADATA}", {ALGORITHMS}"#);
    oauth(Reason::ProofNonce, 401, "use_dpop_nonce", "the DPoP proof needs a nonce", &challenge)
        .header("dpop-nonce", &nonce(0))
        .who(ANN)
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = challenges();
    rows.extend(by_key());
    rows.extend(proofs());
    rows.extend(replays());
    rows.extend(by_certificate());
    rows
}

fn challenges() -> Vec<Row> {
    let bearer = format!(r#"Bearer resource_metadata="{METADATA}""#);
    let dpop = format!(r#"DPoP resource_metadata="{METADATA}", {ALGORITHMS}"#);
    let failed = |scheme: &str| format!(r#"{scheme} error="invalid_token", resource_metadata="{METADATA}""#);
    let expired = bound().claim("exp", NOW - 60).text();
    let ended = |challenge: &str| {
        oauth(Reason::TokenInvalid, 401, "invalid_token", "the access token is not valid here", challenge)
            .detail("the token has expired")
    };
    let document = |server: &str, more: &str| {
        let issuers = r#""authorization_servers":["https://id.example.com"],"bearer_methods_supported":["header"]"#;
        format!(r#"{{"resource":"https://mcp.example.com/{server}",{issuers},"resource_name":"{server}",{more}}}"#)
    };
    let keys = |required| {
        let algorithms = r#""dpop_signing_alg_values_supported":["ES256","RS256","EdDSA"]"#;
        format!(r#"{algorithms},"dpop_bound_access_tokens_required":{required}"#)
    };
    let certificates = r#""tls_client_certificate_bound_access_tokens":true"#;
    let at =
        |server: &'static str| bare("GET", server).path(&format!("/.well-known/oauth-protected-resource/{server}"));
    vec![
        row("both schemes are offered", legacy("vault", "ping", json!({})), missing(&format!("{bearer}, {dpop}"))),
        row("only what is taken is offered", legacy("safe", "ping", json!({})), missing(&dpop)),
        row("certificates have no scheme", legacy("wire", "ping", json!({})), missing(&bearer)),
        row(
            "the error goes with the scheme that was used",
            ping("vault", "DPoP", &expired),
            ended(&format!("{}, {ALGORITHMS}, {bearer}", failed("DPoP"))),
        ),
        row("and so it does here", ping("vault", "Bearer", &expired), ended(&format!("{}, {dpop}", failed("Bearer")))),
        row(
            "metadata tell of both",
            at("vault"),
            metadata(&document("vault", &format!("{},{certificates}", keys(false)))),
        ),
        row("metadata tell what is required", at("safe"), metadata(&document("safe", &keys(true)))),
        row("metadata of a server with certificates", at("wire"), metadata(&document("wire", certificates))),
    ]
}

fn by_key() -> Vec<Row> {
    let token_text = token().text();
    let bound_text = bound().text();
    let bearer = format!(r#"Bearer resource_metadata="{METADATA}""#);
    let dpop = format!(r#"DPoP resource_metadata="{METADATA}", {ALGORITHMS}"#);
    let on_bearer = format!(r#"Bearer error="invalid_token", resource_metadata="{METADATA}", {dpop}"#);
    let on_dpop = format!(r#"DPoP error="invalid_token", resource_metadata="{METADATA}", {ALGORITHMS}"#);
    vec![
        row("a bearer token is still good", ping("vault", "Bearer", &token_text), pong("vault")),
        row(
            "a proof that is not needed is not read",
            ping("vault", "Bearer", &token_text).add("dpop", "x"),
            pong("vault"),
        ),
        row("a bound token with its proof", proven("vault", json!({})), pong("vault")),
        row(
            "the scheme in another case",
            ping("vault", "dPoP", &bound_text).add("dpop", proof("vault", &bound_text, json!({"jti": "case"}))),
            pong("vault"),
        ),
        row(
            "a bound token as a bearer token",
            ping("vault", "Bearer", &bound_text),
            refused(&on_bearer, "the token is bound to a key, but was sent as a bearer token"),
        ),
        row(
            "the same with its proof",
            proven("vault", json!({"jti": "down"})).header("authorization", format!("Bearer {bound_text}")),
            refused(&on_bearer, "the token is bound to a key, but was sent as a bearer token"),
        ),
        row(
            "a bearer token with a proof",
            ping("vault", "DPoP", &token_text).add("dpop", proof("vault", &token_text, json!({}))),
            refused(&format!("{on_dpop}, {bearer}"), "the token was sent with a proof, but is not bound to a key"),
        ),
        row(
            "a bearer token where a proof is required",
            ping("safe", "Bearer", &token_text),
            refused(&on_dpop, "the server takes only tokens that are bound to their sender"),
        ),
        row(
            "a bound token at a server without proofs",
            ping("weather", "DPoP", &bound_text).add("dpop", proof("weather", &bound_text, json!({}))),
            token_invalid("the token is bound in a way that the server is not configured for").who(ANN),
        ),
    ]
}

fn proofs() -> Vec<Row> {
    let bound_text = bound().text();
    vec![
        row("without a proof", ping("vault", "DPoP", &bound_text), proof_invalid("the request has no DPoP proof")),
        row(
            "two proofs",
            proven("vault", json!({"jti": "two"})).add("dpop", "x").raw_headers(),
            proof_invalid("the request has more than one DPoP proof"),
        ),
        row(
            "two proofs, joined",
            proven("vault", json!({"jti": "two"})).add("dpop", "x"),
            proof_invalid("the proof cannot be read: the token is not a compact JWS"),
        ),
        row(
            "a proof for a GET",
            proven("vault", json!({"htm": "GET"})),
            proof_invalid("the proof is for another HTTP method"),
        ),
        row(
            "a proof for another server",
            proven("vault", json!({"htu": "https://mcp.example.com/safe"})),
            proof_invalid("the proof is for another URL"),
        ),
        row(
            "an old proof",
            proven("vault", json!({"iat": NOW - 301})),
            proof_invalid("the proof was not made just now"),
        ),
        row(
            "a proof for another token",
            proven("vault", json!({"ath": digest("another")})),
            proof_invalid("the proof is for another access token"),
        ),
        row("a proof without the nonce", proven("safe", json!({})), needs_nonce()),
        row("a proof with another nonce", proven("safe", json!({"nonce": nonce(-600)})), needs_nonce()),
        row("a proof with the nonce", proven("safe", json!({"nonce": nonce(0)})), pong("safe")),
        row("a proof with the nonce before", proven("safe", json!({"nonce": nonce(-300)})), pong("safe")),
    ]
}

/// Envoy's id of a request is what tells its own second try from somebody else's.
fn replays() -> Vec<Row> {
    let used = || proven("vault", json!({"jti": "used"}));
    let by_another = |ask: Ask| ask.but(|http| http.id = "17".into());
    let again = || proof_invalid("the proof was used before");
    vec![
        row("a proof", used(), pong("vault")),
        row("the proxy's second try", used(), pong("vault")),
        row("the same in another request", by_another(used()), again()),
        row("the same, signed anew", by_another(proven("vault", json!({"jti": "used", "iat": NOW - 1}))), again()),
        row("a request that calls itself the first", by_another(used()).header("x-request-id", REQUEST_ID), again()),
        row("a request without an id", used().but(|http| http.id.clear()), again()),
        row("another proof", by_another(proven("vault", json!({"jti": "new"}))), pong("vault")),
    ]
}

fn by_certificate() -> Vec<Row> {
    let own = in_certificate("own").text();
    let over = |server: &'static str, der: &str| ping(server, "Bearer", &own).certificate(&pem(der));
    let bearer = format!(r#"Bearer error="invalid_token", resource_metadata="{METADATA}""#);
    let dpop = format!(r#"DPoP resource_metadata="{METADATA}", {ALGORITHMS}"#);
    let both = token().claim("cnf", json!({"x5t#S256": digest("own"), "jkt": thumbprint(&keys().client)})).text();
    let with_both = |der: &str, jti: &str| {
        ping("vault", "DPoP", &both).add("dpop", proof("vault", &both, json!({"jti": jti}))).certificate(&pem(der))
    };
    let elsewhere = "the token is bound to another certificate";
    vec![
        row("over its connection", over("wire", "own"), pong("wire")),
        row("where no certificate is required", over("vault", "own"), pong("vault")),
        row("over another's connection", over("wire", "other"), refused(&bearer, elsewhere)),
        row(
            "over a connection without a certificate",
            ping("wire", "Bearer", &own),
            refused(&bearer, "the token is bound to a certificate, and the proxy hands over none"),
        ),
        row(
            "with what is no certificate",
            ping("wire", "Bearer", &own).certificate("own"),
            refused(&bearer, elsewhere),
        ),
        row(
            "a certificate in a header is not the connection's",
            ping("wire", "Bearer", &own).add("x-forwarded-client-cert", format!("Cert=\"{}\"", pem("own"))),
            refused(&bearer, "the token is bound to a certificate, and the proxy hands over none"),
        ),
        row(
            "a bearer token where a certificate is required",
            ping("wire", "Bearer", &token().text()).certificate(&pem("own")),
            refused(&bearer, "the server takes only tokens that are bound to their sender"),
        ),
        row(
            "at a server that is not configured for it",
            over("weather", "own"),
            token_invalid("the token is bound in a way that the server is not configured for").who(ANN),
        ),
        row("bound to both, with both", with_both("own", "both-1"), pong("vault")),
        row(
            "bound to both, with the proof alone",
            with_both("other", "both-2"),
            refused(
                &format!(
                    r#"DPoP error="invalid_token", resource_metadata="{METADATA}", {ALGORITHMS}, Bearer resource_metadata="{METADATA}""#
                ),
                elsewhere,
            ),
        ),
        row(
            "bound to both, with the certificate alone",
            ping("vault", "Bearer", &both).certificate(&pem("own")),
            refused(&format!("{bearer}, {dpop}"), "the token is bound to a key, but was sent as a bearer token"),
        ),
    ]
}
