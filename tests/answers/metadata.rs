//! The metadata of the protected resource (RFC 9728), which the gate serves itself and to everybody.

use super::expect::{Row, row};
use super::table::{metadata, metadata_method_not_allowed, no_route, preflight};
use crate::support::envoy::{Ask, bare};

const ROOT: &str = "/.well-known/oauth-protected-resource";

const WEATHER: &str = concat!(
    r#"{"resource":"https://mcp.example.com/weather","authorization_servers":["https://id.example.com"],"#,
    r#""bearer_methods_supported":["header"],"resource_name":"weather","#,
    r#""scopes_supported":["weather:read","weather:write","weather:admin"]}"#
);

const BANK: &str = concat!(
    r#"{"resource":"https://mcp.example.com/bank","authorization_servers":"#,
    r#"["https://id.example.com","https://partner.example.net","https://far.example.org"],"#,
    r#""bearer_methods_supported":["header"],"resource_name":"bank","scopes_supported":["bank:read"]}"#
);

const NOTES: &str = concat!(
    r#"{"resource":"https://notes.example.com","authorization_servers":["https://id.example.com"],"#,
    r#""bearer_methods_supported":["header"],"resource_name":"notes"}"#
);

fn at(method: &'static str, server: &'static str) -> Ask {
    bare(method, server).path(&format!("{ROOT}/{server}"))
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = forms();
    rows.extend(verbs());
    rows
}

fn forms() -> Vec<Row> {
    vec![
        row("the address with the path of the resource", at("GET", "weather"), metadata(WEATHER)),
        row(
            "the address at the root, where the route names the server",
            bare("GET", "weather").path(ROOT),
            metadata(WEATHER),
        ),
        row("a query is ignored", at("GET", "weather").path(&format!("{ROOT}/weather?a=b")), metadata(WEATHER)),
        row("a credential is ignored", at("GET", "weather").add("authorization", "Bearer junk"), metadata(WEATHER)),
        row("an origin is ignored", at("GET", "weather").add("origin", "https://evil.example"), metadata(WEATHER)),
        row("found by host", at("GET", "bank").extensions(&[]), metadata(BANK)),
        row("at the root of a host with one server", bare("GET", "bank").path(ROOT).extensions(&[]), metadata(BANK)),
        row("a resource without a path has one address", bare("GET", "notes").path(ROOT), metadata(NOTES)),
        row("and no other", bare("GET", "notes").path(&format!("{ROOT}/")), no_route()),
        row("a server that no host finds", at("GET", "weather").extensions(&[]), no_route()),
        row("another server's address", bare("GET", "weather").path(&format!("{ROOT}/bank")), no_route()),
        row("an address that goes on", bare("GET", "weather").path(&format!("{ROOT}/weather/x")), no_route()),
    ]
}

fn verbs() -> Vec<Row> {
    let mut rows = vec![
        row("HEAD is GET", at("HEAD", "weather"), metadata(WEATHER)),
        row(
            "any page may ask before",
            at("OPTIONS", "weather").add("origin", "https://evil.example"),
            preflight("*", "GET, HEAD"),
        ),
        row(
            "a page of an allowed origin is told what it may do at the server",
            at("OPTIONS", "weather").add("origin", "https://app.example.com"),
            preflight("https://app.example.com", "POST, GET, DELETE"),
        ),
        row("and so may what sends no origin", at("OPTIONS", "weather"), preflight("*", "GET, HEAD")),
        row(
            "a page of an allowed origin reads why not",
            at("POST", "weather").add("origin", "https://app.example.com"),
            metadata_method_not_allowed().readable_by("https://app.example.com"),
        ),
    ];
    rows.extend(["POST", "PUT", "DELETE", "get", ""].map(|method| {
        row(format!("metadata is for reading, not for {method}"), at(method, "weather"), metadata_method_not_allowed())
    }));
    rows
}
