//! Calls of tools: which tool, and with which arguments. A value that does not fit its declared type is no guess.

use serde_json::{Value, json};

use super::expect::{Answer, Row, row};
use super::table::{allow, argument_unrepresentable, policy_denied, tool_unknown};
use crate::support::envoy::{Ask, call, legacy, modern_call, post};
use crate::support::people::{ANN, BOB, Who, ann, bob};

fn forecast(arguments: Value) -> Ask {
    call("weather", "get_forecast", arguments).by(&ann())
}

fn sunny() -> Answer {
    allow(&["forecast"]).tool("weather:get_forecast")
}

/// A forecast for so many days, whatever the literal.
fn days(literal: &str) -> Ask {
    let params = format!(r#"{{"name":"get_forecast","arguments":{{"city":"Oslo","days":{literal}}}}}"#);
    post("weather", format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)).by(&ann())
}

/// The same call again, with the answers to what its server asked in between (2026-07-28, Multi Round-Trip Requests).
fn retry(days: u8) -> Ask {
    let arguments = json!({"city": "Oslo", "days": days});
    let more = json!({"form": {"action": "accept", "content": {"days": 2}}});
    let params = json!({"name": "get_forecast", "arguments": arguments, "requestState": "x", "inputResponses": more});
    legacy("weather", "tools/call", params).by(&ann())
}

fn stations(arguments: Value) -> Ask {
    call("weather", "list_stations", arguments).by(&bob())
}

/// A transfer of so much by somebody who may.
fn transfer(literal: &str) -> Ask {
    let params = format!(r#"{{"name":"transfer","arguments":{{"to":"bob","amount":{literal}}}}}"#);
    let token = ann().claim("scope", "bank:transfer").claim("acr", "urn:example:mfa");
    post("bank", format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)).by(&token)
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = tools();
    rows.extend(integers());
    rows.extend(decimals());
    rows.extend(members());
    rows
}

fn tools() -> Vec<Row> {
    let unknown =
        |name: &str| row(format!("no tool: `{name}`"), call("weather", name, json!({})).by(&ann()), tool_unknown());
    let quoted = "Tool::\"notes:a\\\"b\"";
    vec![
        row("a tool", forecast(json!({"city": "Oslo"})), sunny()),
        row(
            "a tool in the newer era",
            modern_call("weather", "get_forecast", json!({"city": "Oslo"})).by(&ann()),
            sunny(),
        ),
        row("a call that brings what the server asked for is a call", retry(2), sunny()),
        row("and is judged as one", retry(8), policy_denied(&[]).tool("weather:get_forecast")),
        row(
            "no tool in the newer era",
            modern_call("weather", "transfer", json!({})).by(&ann()),
            tool_unknown().by_status(),
        ),
        row(
            "no tool where denials are statuses",
            call("bank", "reset", json!({})).by(&ann()),
            tool_unknown().by_status(),
        ),
        unknown("transfer"),
        unknown("Get_Forecast"),
        unknown("get_forecast "),
        unknown("weather:get_forecast"),
        unknown("*"),
        row(
            "any tool where there is no catalogue",
            call("notes", "note_add", json!({"x": 1.5})).by(&ann()),
            allow(&["notes-tools"]).on("notes:*", "Tool::\"notes:note_add\""),
        ),
        row(
            "policies decide by its name",
            call("notes", "erase", json!({})).by(&ann()),
            policy_denied(&[]).on("notes:*", "Tool::\"notes:erase\""),
        ),
        row(
            "a name with a quotation mark",
            call("notes", "a\"b", json!({})).by(&ann()),
            policy_denied(&[]).on("notes:*", quoted),
        ),
    ]
}

fn integers() -> Vec<Row> {
    let mut rows = vec![
        row("as many days as the policy has", days("7"), sunny()),
        row("a day more", days("8"), policy_denied(&[]).tool("weather:get_forecast")),
        row("null is no value", days("null"), sunny()),
    ];
    rows.extend(
        ["7.0", "7e0", "70e-1", "-0", "-9223372036854775808"]
            .map(|days_| row(format!("an integer: {days_}"), days(days_), sunny())),
    );
    rows.extend(["7.5", "\"7\"", "true", "[7]", "{}", "9223372036854775808", "1e400"].map(|literal| {
        let answer = argument_unrepresentable("/days").tool("weather:get_forecast");
        row(format!("no integer: {literal}"), days(literal), answer)
    }));
    rows
}

fn decimals() -> Vec<Row> {
    let who = Who { scopes: Some("bank:transfer"), ..ANN };
    let passes = || allow(&["transfer"]).tool("bank:transfer").who(who);
    let mut rows = vec![row(
        "more than the policy has",
        transfer("1000.0001"),
        policy_denied(&[]).tool("bank:transfer").who(who).by_status(),
    )];
    rows.extend(
        ["1000", "999.99", "0.0001", "1e2", "5.000000", "-1"]
            .map(|literal| row(format!("a decimal: {literal}"), transfer(literal), passes())),
    );
    rows.extend(["0.00001", "1e400", "922337203685478", "\"5\"", "1e-5"].map(|literal| {
        let answer = argument_unrepresentable("/amount").tool("bank:transfer").who(who).by_status();
        row(format!("no decimal: {literal}"), transfer(literal), answer)
    }));
    rows
}

fn members() -> Vec<Row> {
    let wrong = |pointer: &str| argument_unrepresentable(pointer).tool("weather:get_forecast");
    let listed = || allow(&["analysts-read"]).tool("weather:list_stations").who(BOB);
    let refused = || policy_denied(&["undeclared"]).tool("weather:list_stations").who(BOB);
    let no_arguments =
        post("weather", r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast"}}"#);
    vec![
        row("a required argument is missing", forecast(json!({})), wrong("/city")),
        row("no arguments at all", no_arguments.by(&ann()), wrong("/city")),
        row("a required argument is null", forecast(json!({"city": null})), wrong("/city")),
        row("an argument of another type", forecast(json!({"city": 7})), wrong("/city")),
        row("an argument in another case", forecast(json!({"city": "Oslo", "Days": 8})), wrong("/days")),
        row("an argument that nobody declared", forecast(json!({"city": "Oslo", "x": 1})), sunny()),
        row("null where the catalogue has it", forecast(json!({"city": "Oslo", "unit": null})), sunny()),
        row("an argument that no policy reads, of another type", forecast(json!({"city": "Oslo", "unit": 7})), sunny()),
        row("text of any kind", forecast(json!({"city": "\u{0}\u{202e}\"__entity\""})), sunny()),
        row(
            "what looks like an entity is none",
            forecast(json!({"city": {"__entity": {"type": "Scope", "id": "x"}}})),
            wrong("/city"),
        ),
        row("a list", stations(json!({"regions": ["a", "b"]})), listed()),
        row("a list is counted before its repeats are lost", stations(json!({"regions": ["a", "a", "a"]})), refused()),
        row(
            "a list with another type in it",
            stations(json!({"regions": ["a", 1]})),
            argument_unrepresentable("/regions").tool("weather:list_stations").who(BOB),
        ),
        row("policies see what nobody declared", stations(json!({"x": 1})), refused()),
    ]
}
