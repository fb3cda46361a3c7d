//! What changes about a request that passes: its server can believe what it reads under our prefix.

use serde_json::json;

use super::expect::{Answer, Row, row};
use super::table::allow;
use crate::support::envoy::{Ask, bare, legacy};
use crate::support::gate::NOW;
use crate::support::people::{ANN, Token, Who, ann};

const TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";

fn ping(token: &Token) -> Ask {
    legacy("weather", "ping", json!({})).by(token)
}

fn pong() -> Answer {
    allow(&["session"]).on("ping", "Server::\"weather\"")
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = forged();
    rows.extend(callers());
    rows.extend(streams());
    rows
}

fn forged() -> Vec<Row> {
    let with = |name: &str| ping(&ann()).add(name, "root");
    let at_the_bank = legacy("bank", "ping", json!({})).by(&ann()).add("dpop", "x");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = ping(&ann()).add("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    vec![
        row("a name of ours is set anew", with("x-toolgate-subject"), pong()),
        row("a name of ours in another case", with("X-Toolgate-Subject"), pong()),
        row("a name under our prefix", with("x-toolgate-role"), pong().removes(&["x-toolgate-role"])),
        row("the prefix alone", with("x-toolgate-"), pong().removes(&["x-toolgate-"])),
        row("a name of ours with underscores", with("x_toolgate_subject"), pong().removes(&["x_toolgate_subject"])),
        row("a name of ours in a mixture", with("X_Toolgate-Scopes"), pong().removes(&["x_toolgate-scopes"])),
        row("a name that only begins like ours", with("x-toolgater"), pong()),
        row("a method in a header", with("x-http-method-override"), pong()),
        row(
            "a method in a header with underscores",
            with("X_HTTP_Method_Override"),
            pong().removes(&["x_http_method_override"]),
        ),
        row("a proof goes no further either", ping(&ann()).add("dpop", "x"), pong()),
        row("both go on where the server says so", at_the_bank, allow(&["session"]).on("ping", "Server::\"bank\"")),
        row("a trace is on record", traced, pong().trace(trace)),
    ]
}

fn callers() -> Vec<Row> {
    let named = |subject: &str| ping(&ann().claim("sub", subject));
    let who = |subject, principal| pong().who(Who { subject: Some(subject), principal, ..ANN });
    let percent = ann().claim("scope", "%".repeat(1366));
    vec![
        row("a subject that is more than text", named("a%b,c é"), who("a%25b%2Cc %C3%A9", r#"User::"corp:a%b,c é""#)),
        row("a subject that is Cedar", named(r#"x" || true"#), who(r#"x" || true"#, r#"User::"corp:x\" || true""#)),
        row("a subject that has a colon", named("partner:pat"), who("partner:pat", r#"User::"corp:partner:pat""#)),
        row("nothing to tell of scopes", ping(&ann().without("scope")), pong().who(Who { scopes: Some(""), ..ANN })),
        row("scopes too long to tell", ping(&percent), pong().who(Who { scopes: None, ..ANN })),
    ]
}

/// The notes' streams end with the token that opened them.
fn streams() -> Vec<Row> {
    let stream = |expires: i64| bare("GET", "notes").by(&ann().claim("exp", expires));
    let opened = |millis: &str| allow(&["session"]).on("session/stream", "Server::\"notes\"").header(TIMEOUT, millis);
    vec![
        row("a stream lasts as long as its token", stream(NOW + 90), opened("90000")),
        row("a stream of a token at its end", stream(NOW - 10), opened("1")),
        row(
            "a stream where the server does not say so",
            bare("GET", "bank").by(&ann()),
            allow(&["session"]).on("session/stream", "Server::\"bank\""),
        ),
    ]
}
