//! The body as bytes: all of it, as it stands, and nothing that could make the server read something else.

use serde_json::json;

use super::expect::{Answer, Row, row};
use super::table::{allow, body_too_large, body_unsupported, internal, invalid_request, token_missing};
use crate::support::envoy::{Ask, bare, legacy, post};
use crate::support::people::ann;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const FILTERED: &str = "the proxy passes only some headers: remove `allowed_headers` from its ext_authz filter";

fn ping() -> Ask {
    post("weather", PING).by(&ann())
}

/// A ping of so many bytes.
fn padded(length: usize) -> Ask {
    post("weather", format!("{PING:length$}")).by(&ann())
}

fn pong() -> Answer {
    allow(&["session"]).on("ping", "Server::\"weather\"")
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = lengths();
    rows.extend(forms());
    rows.extend(types());
    rows
}

fn lengths() -> Vec<Row> {
    let mismatch = || invalid_request("the body is not as long as stated");
    let none = "the request has no body, or the proxy does not pass it";
    vec![
        row("the largest body", padded(4096), pong()),
        row("a body one byte larger", padded(4097), body_too_large()),
        row("a body of which Envoy kept a part", ping().header("x-envoy-auth-partial-body", "true"), body_too_large()),
        row(
            "a mark of Envoy's that is none",
            ping().header("x-envoy-auth-partial-body", "false,true"),
            body_too_large(),
        ),
        row("a body without a stated length, sent in chunks", ping().without("content-length"), pong()),
        row("longer than stated", ping().header("content-length", "39"), mismatch()),
        row("shorter than stated: Envoy kept a part", ping().header("content-length", "41"), body_too_large()),
        row("a length with a sign", ping().header("content-length", "+40"), mismatch()),
        row("two lengths", ping().add("content-length", "40").raw_headers(), mismatch()),
        row("not as long as Envoy says", ping().but(|http| http.size = 41), mismatch()),
        row("Envoy does not say how long", ping().but(|http| http.size = 0), pong()),
        row("no body", bare("POST", "weather").add("content-length", "0").by(&ann()), invalid_request(none)),
        row(
            "a stated length and no body",
            bare("POST", "weather").add("content-length", "40").by(&ann()),
            body_too_large(),
        ),
    ]
}

fn forms() -> Vec<Row> {
    let text = "the proxy sends bodies as text: set `pack_as_bytes` there, or `accept_text_body` here";
    let as_text = |server| post(server, PING).by(&ann()).but(|http| http.body = std::mem::take(&mut http.raw_body));
    let unexpected = || invalid_request("the request has a body where none belongs");
    let with_body = |method| ping().method(method);
    let stream = allow(&["session"]).on("session/stream", "Server::\"bank\"");
    vec![
        row("a body as text", as_text("weather"), body_unsupported(text)),
        row("a body as text, where the server takes it", as_text("notes"), pong_of("notes")),
        row(
            "bytes and text",
            ping().but(|http| http.body = PING.into()),
            invalid_request("the body is not as long as stated"),
        ),
        row("a body without Envoy's mark", ping().without("x-envoy-auth-partial-body"), internal(FILTERED)),
        row(
            "no pseudo-headers",
            ping().but(|http| http.headers.retain(|entry| !entry.key.starts_with(b":"))),
            internal(FILTERED),
        ),
        row(
            "no headers at all",
            ping().but(|http| http.headers.clear()),
            internal(FILTERED).source(None).request("POST", "9544358273862603487"),
        ),
        row("a GET with a body", with_body("GET"), unexpected()),
        row("a DELETE with a body", with_body("DELETE"), unexpected()),
        row(
            "a GET that says what no body is",
            bare("GET", "bank").add("content-type", "text/plain").by(&ann()),
            stream,
        ),
        row(
            "no body is read without a token",
            post("weather", "{{{").without("authorization"),
            token_missing(r#", scope="weather:read weather:write weather:admin""#),
        ),
    ]
}

fn pong_of(server: &str) -> Answer {
    allow(&["session"]).on("ping", &format!("Server::\"{server}\""))
}

fn types() -> Vec<Row> {
    let content_type = || body_unsupported("the content type is not application/json in UTF-8");
    let encoded = || body_unsupported("the body is encoded");
    let legacy = legacy("weather", "ping", json!({})).by(&ann());
    let mut rows = vec![
        row("no content type", ping().without("content-type"), content_type()),
        row(
            "two content types in two lines",
            ping().add("content-type", "application/json").raw_headers(),
            content_type(),
        ),
        row(
            "two encodings in two lines",
            ping().add("content-encoding", "identity").add("content-encoding", "gzip").raw_headers(),
            encoded(),
        ),
        row("bytes as they are", legacy.add("content-encoding", "identity"), pong()),
    ];
    for value in ["application/json; charset=utf-8", "Application/JSON"] {
        rows.push(row(format!("content type {value}"), ping().header("content-type", value), pong()));
    }
    for value in
        ["text/plain", "application/json; charset=utf-16", "application/json,text/plain", "application/json-rpc", ""]
    {
        rows.push(row(format!("content type {value}"), ping().header("content-type", value), content_type()));
    }
    for value in ["gzip", "br", "identity, gzip", ""] {
        rows.push(row(format!("encoding `{value}`"), ping().add("content-encoding", value), encoded()));
    }
    rows
}
