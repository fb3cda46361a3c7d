//! Pages in browsers: preflights, origins, and methods that MCP does not use.

use serde_json::json;

use super::expect::{Row, row};
use super::table::{allow, http_method_not_allowed, origin_refused, policy_denied, preflight, token_missing};
use crate::support::envoy::{Ask, bare, call, legacy};
use crate::support::people::ann;

const APP: &str = "https://app.example.com";
const SCOPES: &str = r#", scope="weather:read weather:write weather:admin""#;

fn ping(origin: &str) -> Ask {
    legacy("weather", "ping", json!({})).by(&ann()).add("origin", origin)
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = origins();
    rows.extend(verbs());
    rows
}

fn origins() -> Vec<Row> {
    let pong = allow(&["session"]).on("ping", "Server::\"weather\"");
    let mut rows = vec![
        row(
            "a preflight of an allowed origin",
            bare("OPTIONS", "weather").add("origin", APP),
            preflight(APP, "POST, GET, DELETE"),
        ),
        row(
            "a preflight of another origin",
            bare("OPTIONS", "weather").add("origin", "https://evil.example"),
            origin_refused(),
        ),
        row("OPTIONS without an origin is no preflight", bare("OPTIONS", "weather"), http_method_not_allowed()),
        row("a request of an allowed origin", ping(APP), pong),
        row(
            "a page reads that it needs a token",
            ping(APP).without("authorization"),
            token_missing(SCOPES).readable_by(APP),
        ),
        row(
            "a page reads that policies deny",
            call("weather", "get_forecast", json!({"city": "Oslo", "days": 8})).by(&ann()).add("origin", APP),
            policy_denied(&[]).tool("weather:get_forecast").readable_by(APP),
        ),
        row("two origins in one line", ping(APP).add("origin", APP), origin_refused()),
        row("two origins in two lines", ping(APP).add("origin", APP).raw_headers(), origin_refused()),
        row(
            "the origin comes before the token",
            ping("https://evil.example").without("authorization"),
            origin_refused(),
        ),
        row(
            "an origin where none is allowed",
            legacy("bank", "ping", json!({})).by(&ann()).add("origin", APP),
            origin_refused(),
        ),
    ];
    let others = [
        "null",
        "",
        "https://app.example.com/",
        "https://app.example.com:443",
        "http://app.example.com",
        "https://App.example.com",
    ];
    rows.extend(
        others.map(|origin| row(format!("not the allowed origin: `{origin}`"), ping(origin), origin_refused())),
    );
    rows
}

fn verbs() -> Vec<Row> {
    let mut rows = vec![row(
        "a page reads which methods there are",
        bare("PUT", "weather").add("origin", APP),
        http_method_not_allowed().readable_by(APP),
    )];
    rows.extend(["HEAD", "PUT", "PATCH", "TRACE", "CONNECT", "post", "POST ", ""].map(|method| {
        row(format!("no method of MCP: `{method}`"), bare(method, "weather").by(&ann()), http_method_not_allowed())
    }));
    rows
}
