//! The one credential of a request, before anything is known of the token in it.

use serde_json::json;

use super::expect::{Answer, Row, row};
use super::table::{allow, token_ambiguous, token_invalid, token_missing};
use crate::support::envoy::{Ask, bare, legacy};
use crate::support::people::ann;

const SCOPES: &str = r#", scope="weather:read weather:write weather:admin""#;

fn ping(credential: impl Into<Vec<u8>>) -> Ask {
    legacy("weather", "ping", json!({})).add("authorization", credential)
}

fn pong() -> Answer {
    allow(&["session"]).on("ping", "Server::\"weather\"")
}

fn malformed() -> Answer {
    token_invalid("the credential is not an access token")
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = missing();
    rows.extend(forms());
    rows.extend(ambiguous());
    rows
}

fn missing() -> Vec<Row> {
    let token = ann().text();
    let nothing = || legacy("weather", "ping", json!({}));
    vec![
        row("no credential", nothing(), token_missing(SCOPES)),
        row("no credential for a stream", bare("GET", "weather"), token_missing(SCOPES)),
        row("no credential, and no scopes to tell of", legacy("notes", "ping", json!({})), token_missing("")),
        row(
            "no word at first of scopes that are for a step-up",
            legacy("bank", "ping", json!({})),
            token_missing(r#", scope="bank:read""#),
        ),
        row("an empty header", ping(""), token_missing(SCOPES)),
        row("a scheme alone", ping("Bearer"), token_missing(SCOPES)),
        row("a scheme and a space", ping("Bearer "), token_missing(SCOPES)),
        row("a password", ping("Basic YW5uOnB3"), token_missing(SCOPES)),
        row("another scheme, even with a good token", ping(format!("Token {token}")), token_missing(SCOPES)),
        row("a token without a scheme", ping(token), token_missing(SCOPES)),
        row("a scheme that goes on", ping("Bearerx abc"), token_missing(SCOPES)),
    ]
}

fn forms() -> Vec<Row> {
    let token = ann().text();
    vec![
        row("the scheme in lower case", ping(format!("bearer {token}")), pong()),
        row("the scheme in upper case", ping(format!("BEARER {token}")), pong()),
        row("more than one space", ping(format!("Bearer   {token}")), pong()),
        row("a tab for a space", ping(format!("Bearer\t{token}")), malformed()),
        row("a space at the end", ping(format!("Bearer {token} ")), malformed()),
        row("two words", ping(format!("Bearer {token} x")), malformed()),
        row("a quoted token", ping(format!("Bearer \"{token}\"")), malformed()),
        row("bytes that are no text", ping(b"Bearer abc\xff".to_vec()).raw_headers(), malformed()),
        row("a line feed", ping(format!("Bearer {token}\nx: y")), malformed()),
    ]
}

fn ambiguous() -> Vec<Row> {
    let token = ann().text();
    let bearer = format!("Bearer {token}");
    vec![
        row(
            "one token in two lines, which Envoy joins",
            ping(bearer.clone()).add("authorization", bearer.clone()),
            token_ambiguous(),
        ),
        row(
            "and which it does not join",
            ping(bearer.clone()).add("authorization", bearer.clone()).raw_headers(),
            token_ambiguous(),
        ),
        row(
            "a password beside a token",
            ping("Basic YW5uOnB3").add("authorization", bearer.clone()),
            token_ambiguous(),
        ),
        row("a token beside nothing", ping(format!("{bearer},")), token_ambiguous()),
        row(
            "a token in the query",
            ping("").without("authorization").path(&format!("/weather?access_token={token}")),
            token_ambiguous(),
        ),
        row(
            "a token in the query beside a header",
            ping(bearer.clone()).path("/weather?a=b&access_token=x"),
            token_ambiguous(),
        ),
        row(
            "a name in the query that only reads so once decoded",
            ping(bearer.clone()).path("/weather?access%5Ftoken=x"),
            token_ambiguous(),
        ),
        row("another name in the query", ping(bearer).path("/weather?my_access_token=x&q=access_token"), pong()),
    ]
}
