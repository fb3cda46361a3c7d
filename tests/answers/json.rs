//! The body as text: one JSON value that every reader reads alike, and in it exactly one message.

use super::expect::{Answer, Row, row};
use super::table::{invalid_request, parse_error};
use crate::support::envoy::{Ask, post};
use crate::support::people::ann;

fn send(body: impl Into<Vec<u8>>) -> Ask {
    post("weather", body).by(&ann())
}

/// A call with this after its name, which is well-formed but for what is in it.
fn with_arguments(arguments: &str) -> Ask {
    send(format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"reset","arguments":{arguments}}}}}"#
    ))
}

/// Where the arguments of [`with_arguments`] begin.
const ARGUMENTS: usize = 83;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = texts();
    rows.extend(values());
    rows.extend(envelopes());
    rows.extend(calls());
    rows
}

fn texts() -> Vec<Row> {
    let bom = [b"\xef\xbb\xbf".as_slice(), br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#].concat();
    vec![
        row("nothing but space", send(" \n"), parse_error("there is no JSON value")),
        row("a byte order mark", send(bom), parse_error("the text begins with a byte order mark")),
        row("UTF-16", send(b"{\0\"\0a\0\"\0".to_vec()), parse_error("invalid JSON at byte 1")),
        row("Latin-1", send(b"{\"m\xe9thod\":1}".to_vec()), parse_error("invalid UTF-8 at byte 3")),
        row("an overlong slash", send(b"{\"a\":\"\xc0\xaf\"}".to_vec()), parse_error("invalid UTF-8 at byte 6")),
        row("half a message", send(r#"{"jsonrpc":"2.0","#), parse_error("invalid JSON at byte 17")),
        row("a comment", send(r#"{/**/}"#), parse_error("invalid JSON at byte 1")),
        row("no number", send(r#"{"id":NaN}"#), parse_error("invalid JSON at byte 6")),
        row("a number with a leading zero", send(r#"{"id":01}"#), parse_error("invalid JSON at byte 7")),
        row("a comma at the end", send(r#"{"id":1,}"#), parse_error("invalid JSON at byte 8")),
        row("two messages", send("{} {}"), parse_error("more data after the JSON value at byte 3")),
        row("a message and a NUL", send("{}\0"), parse_error("more data after the JSON value at byte 2")),
    ]
}

fn values() -> Vec<Row> {
    let at = |more: usize| ARGUMENTS + more;
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let many = format!("[{}0]", "0,".repeat(100));
    let error = |text: &str, more: usize| parse_error(&format!("{text} at byte {}", at(more)));
    let folded = format!("the key at byte {} differs from another one by case only", at(7));
    let control = format!("control character in the key at byte {}", at(1));
    vec![
        row("a key twice", with_arguments(r#"{"a":1,"a":2}"#), error("duplicate key", 7)),
        row("a key twice once unescaped", with_arguments(r#"{"a":1,"\u0061":2}"#), error("duplicate key", 7)),
        row("keys that differ by case", with_arguments(r#"{"a":1,"A":2}"#), parse_error(&folded)),
        row("keys that differ by case elsewhere", with_arguments(r#"{"k":1,"\u212a":2}"#), parse_error(&folded)),
        row("a NUL in a key", with_arguments(r#"{"a\u0000":1}"#), parse_error(&control)),
        row("half a character", with_arguments(r#"{"a":"\ud800"}"#), error("lone surrogate", 6)),
        row("too deep", with_arguments(&deep(11)), error("nested too deep", 10)),
        row("too much", with_arguments(&many), error("too many values", 175)),
    ]
}

fn envelopes() -> Vec<Row> {
    let bad = |name: &str, body: &str, detail: &str| row(name, send(body), malformed(detail));
    let shape = "the message is neither a call nor a response";
    let id = "`id` is neither a string nor an integer";
    vec![
        row(
            "a batch",
            send(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#),
            invalid_request("a batch of messages is not accepted"),
        ),
        row("an empty batch", send("[]"), invalid_request("a batch of messages is not accepted")),
        bad("a string", r#""ping""#, "the message is not an object"),
        bad("an empty object", "{}", "`jsonrpc` is not \"2.0\""),
        row(
            "an older JSON-RPC",
            send(r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#),
            malformed("`jsonrpc` is not \"2.0\"").id("1"),
        ),
        row(
            "a member that no message has",
            send(r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":1}"#),
            malformed("the message has an unknown member").id("1"),
        ),
        row(
            "a member in another case",
            send(r#"{"jsonrpc":"2.0","id":1,"METHOD":"ping"}"#),
            malformed("a key differs from `method` by case only"),
        ),
        bad("neither call nor response", r#"{"jsonrpc":"2.0","id":1}"#, shape),
        bad("call and response", r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, shape),
        bad("a response without an id", r#"{"jsonrpc":"2.0","result":{}}"#, shape),
        bad("an id that is null", r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, id),
        bad("an id that is a fraction", r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, id),
        bad("an id that is an object", r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, id),
        row(
            "a method that is a number",
            send(r#"{"jsonrpc":"2.0","id":1,"method":7}"#),
            malformed("`method` is missing or not valid").id("1"),
        ),
        row(
            "no name of a method",
            send(r#"{"jsonrpc":"2.0","id":1,"method":""}"#),
            malformed("`method` is missing or not valid").id("1"),
        ),
        row(
            "parameters in a list",
            send(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#),
            malformed("`params` is missing or not valid").id("1"),
        ),
        bad(
            "a call of a tool without an id",
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"reset"}}"#,
            "a request without `id`",
        ),
        row(
            "a notification with an id",
            send(r#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#),
            malformed("a notification with `id`").id("1"),
        ),
        row(
            "a method that is our own word",
            send(r#"{"jsonrpc":"2.0","id":1,"method":"session/stream"}"#),
            malformed("`method` is a reserved name").id("1"),
        ),
    ]
}

fn calls() -> Vec<Row> {
    let call = |name: &str, params: &str, detail: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{params}}}"#);
        row(name, send(body), malformed(detail).id("\"x\""))
    };
    vec![
        call("a call of nothing", "{}", "`name` is missing or not valid"),
        call("a call of a number", r#"{"name":7}"#, "`name` is missing or not valid"),
        call("a call of an empty name", r#"{"name":""}"#, "`name` is missing or not valid"),
        call("a name with a line feed", r#"{"name":"reset\n"}"#, "`name` contains a control character"),
        call("a name in another case", r#"{"Name":"reset"}"#, "a key differs from `name` by case only"),
        call("arguments in a list", r#"{"name":"reset","arguments":[]}"#, "`arguments` is missing or not valid"),
        call("arguments that are null", r#"{"name":"reset","arguments":null}"#, "`arguments` is missing or not valid"),
    ]
}

fn malformed(detail: &str) -> Answer {
    invalid_request(&format!("malformed message: {detail}"))
}
