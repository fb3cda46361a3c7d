//! Which server a request is for: nothing that a client can choose counts, unless the server says so.

use serde_json::json;

use super::expect::{Answer, Row, row};
use super::table::{allow, no_route};
use crate::support::envoy::{Ask, legacy};
use crate::support::people::ann;

fn ping(server: &'static str) -> Ask {
    legacy(server, "ping", json!({})).by(&ann())
}

fn pong(server: &'static str) -> Answer {
    allow(&["session"]).on("ping", &format!("Server::\"{server}\"")).server(server)
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = servers();
    rows.extend(listeners());
    rows.extend(paths());
    rows
}

fn servers() -> Vec<Row> {
    vec![
        row("the route names the server", ping("weather"), pong("weather")),
        row("whatever the host", ping("weather").host("notes.example.com"), pong("weather")),
        row("a name that no server has", ping("bank").extensions(&["banc"]), no_route()),
        row("a name in another case", ping("bank").extensions(&["Bank"]), no_route()),
        row("an empty name", ping("bank").extensions(&[""]), no_route()),
        row("one name twice", ping("bank").extensions(&["bank", "bank"]), no_route()),
        row("two names", ping("bank").extensions(&["weather", "bank"]), no_route()),
        row("no name: the host, if the server says so", ping("bank").extensions(&[]), pong("bank")),
        row("no name, and the server does not say so", ping("weather").extensions(&[]), no_route()),
        row("the host in upper case", ping("bank").extensions(&[]).host("MCP.Example.COM"), pong("bank")),
        row("the host with its default port", ping("bank").extensions(&[]).host("mcp.example.com:443"), pong("bank")),
        row("the host with another port", ping("bank").extensions(&[]).host("mcp.example.com:8443"), no_route()),
        row("another host", ping("bank").extensions(&[]).host("notes.example.com"), no_route()),
        row("two hosts", ping("bank").extensions(&[]).host("mcp.example.com,evil.example"), no_route()),
        row("no host", ping("bank").extensions(&[]).host(""), no_route()),
        row(
            "a host that is no text",
            ping("bank").extensions(&[]).but(|http| http.host = "mcp.example.com\u{0}".into()),
            no_route(),
        ),
    ]
}

/// The second listener is bound to the bank.
fn listeners() -> Vec<Row> {
    vec![
        row("a listener names its server", ping("bank").extensions(&[]).host("x").listener(1), pong("bank")),
        row("before any route", ping("weather").path("/bank").listener(1), pong("bank")),
        row("a listener has one server", ping("weather").listener(1), no_route()),
    ]
}

fn paths() -> Vec<Row> {
    let mut rows = vec![
        row("a query is no part of the path", ping("weather").path("/weather?a=b?c"), pong("weather")),
        row("a second path", ping("notes").path("/v2/mcp"), pong("notes")),
        row("the path of the resource, where others are configured", ping("notes").path("/"), no_route()),
        row("a path that is no text", ping("weather").but(|http| http.path = b"/weather\xff"[..].into()), no_route()),
        row("no path", ping("weather").but(|http| http.path.clear()), no_route()),
    ];
    let others = [
        "/weather/",
        "/weather/x",
        "//weather",
        "/Weather",
        "/%77eather",
        "/weather%3Fa",
        "/weather;a=b",
        "/weather#a",
        "/weather/../weather",
        "/bank/../weather",
        "/bank",
        "weather",
        "*",
        "https://mcp.example.com/weather",
    ];
    rows.extend(
        others.map(|path| row(format!("no path of the server: {path}"), ping("weather").path(path), no_route())),
    );
    rows
}
