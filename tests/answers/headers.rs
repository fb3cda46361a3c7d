//! The headers that repeat the body: whatever they say must be what it says, and the newer era wants them all.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::expect::{Answer, Row, row};
use super::table::{allow, header_mismatch, invalid_request, policy_denied, version_unsupported};
use crate::support::envoy::{Ask, LEGACY, MODERN, bare, call, legacy, modern, modern_call, notify, post};
use crate::support::people::ann;

const VERSION: &str = "mcp-protocol-version";

fn ping() -> Ask {
    legacy("bank", "ping", json!({})).by(&ann())
}

fn modern_ping() -> Ask {
    modern("bank", "ping", json!({})).by(&ann())
}

fn pong() -> Answer {
    allow(&["session"]).on("ping", "Server::\"bank\"")
}

fn city() -> Value {
    json!({"city": "Oslo"})
}

fn forecast() -> Ask {
    modern_call("weather", "get_forecast", city()).by(&ann())
}

fn sunny() -> Answer {
    allow(&["forecast"]).tool("weather:get_forecast")
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = revisions();
    rows.extend(claims());
    rows.extend(methods());
    rows.extend(names());
    rows
}

fn revisions() -> Vec<Row> {
    let requested = "9".repeat(64);
    let mut rows = vec![
        row("no revision", ping().without(VERSION), pong()),
        row("a revision with space around it", ping().header(VERSION, " 2025-11-25\t"), pong()),
        row(
            "the revision of another transport",
            ping().header(VERSION, "2024-11-05"),
            version_unsupported("2024-11-05"),
        ),
        row("a revision to come", ping().header(VERSION, "2099-01-01"), version_unsupported("2099-01-01")),
        row("no word for a revision", ping().header(VERSION, ""), version_unsupported("")),
        row(
            "a long word for a revision is cut",
            ping().header(VERSION, "9".repeat(1000)),
            version_unsupported(&requested),
        ),
        row(
            "an unknown revision of a stream",
            bare("GET", "bank").add(VERSION, "1").by(&ann()),
            version_unsupported("1").no_id(),
        ),
        row(
            "two revisions, which Envoy joins",
            ping().add(VERSION, LEGACY),
            header_mismatch("MCP-Protocol-Version was sent more than once"),
        ),
        row(
            "two revisions, which it does not join",
            ping().add(VERSION, LEGACY).raw_headers(),
            header_mismatch("MCP-Protocol-Version was sent more than once"),
        ),
    ];
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        rows.push(row(format!("revision {revision}"), ping().header(VERSION, revision), pong()));
    }
    rows
}

/// The newer era says its revision in the body too.
fn claims() -> Vec<Row> {
    let claiming = |claim: Value| {
        let meta = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": claim}});
        legacy("bank", "ping", meta).by(&ann()).add("mcp-method", "ping").without(VERSION)
    };
    let field = "malformed message: `io.modelcontextprotocol/protocolVersion` is missing or not valid";
    let response = post("bank", r#"{"jsonrpc":"2.0","id":7,"result":{}}"#).add(VERSION, MODERN).by(&ann());
    let notified = notify("bank", "notifications/cancelled").header(VERSION, MODERN).by(&ann());
    vec![
        row("the newer revision", modern_ping(), pong()),
        row(
            "in the header alone",
            ping().header(VERSION, MODERN),
            header_mismatch("MCP-Protocol-Version has no counterpart in the body"),
        ),
        row("in the body alone", modern_ping().without(VERSION), header_mismatch("MCP-Protocol-Version is missing")),
        row(
            "another one in the header",
            modern_ping().header(VERSION, LEGACY),
            header_mismatch("MCP-Protocol-Version differs from the body"),
        ),
        row("an older revision in both, under the newer rules", claiming(json!(LEGACY)).add(VERSION, LEGACY), pong()),
        row("an unknown one in the body alone", claiming(json!("1")), version_unsupported("1")),
        row("an unknown one in both", claiming(json!("1")).add(VERSION, "1"), version_unsupported("1")),
        row("one that is a number", claiming(json!(1)).add(VERSION, MODERN), invalid_request(field).id("1")),
        row(
            "a notification has it in the header alone",
            notified,
            allow(&["session"]).on("notifications/cancelled", "Server::\"bank\""),
        ),
        row(
            "nobody answers the server in the newer era",
            response,
            invalid_request("malformed message: a response is not accepted in this revision"),
        ),
        row(
            "a stream has no body to say it",
            bare("GET", "bank").add(VERSION, MODERN).by(&ann()),
            allow(&["session"]).on("session/stream", "Server::\"bank\""),
        ),
    ]
}

fn methods() -> Vec<Row> {
    vec![
        row("no method in the header", modern_ping().without("mcp-method"), header_mismatch("Mcp-Method is missing")),
        row(
            "another method in the header",
            modern_ping().header("mcp-method", "tools/list"),
            header_mismatch("Mcp-Method differs from the body"),
        ),
        row(
            "the method in another case",
            modern_ping().header("mcp-method", "PING"),
            header_mismatch("Mcp-Method differs from the body"),
        ),
        row(
            "two methods in one line",
            modern_ping().add("mcp-method", "ping"),
            header_mismatch("Mcp-Method differs from the body"),
        ),
        row(
            "two methods in two lines",
            modern_ping().add("mcp-method", "ping").raw_headers(),
            header_mismatch("Mcp-Method was sent more than once"),
        ),
        row("the older era may say the method", ping().add("mcp-method", "ping"), pong()),
        row(
            "and must say the right one",
            ping().add("mcp-method", "tools/call"),
            header_mismatch("Mcp-Method differs from the body"),
        ),
        row(
            "a stream has no method",
            bare("GET", "bank").add("mcp-method", "ping").by(&ann()),
            header_mismatch("Mcp-Method has no counterpart in the body").no_id(),
        ),
    ]
}

fn names() -> Vec<Row> {
    let base64 = |name: &str| format!("=?base64?{}?=", STANDARD.encode(name));
    let named = |name: &str| forecast().header("mcp-name", name.to_owned());
    let differs = || header_mismatch("Mcp-Name differs from the body");
    let denied_prompt = modern("notes", "prompts/get", json!({"name": "zusammenfassung-für-alle"})).by(&ann());
    let by_name = |name: String| denied_prompt.clone().header("mcp-name", name);
    let prompt = policy_denied(&[]).on("prompts/get", "Prompt::\"notes:zusammenfassung-für-alle\"");
    vec![
        row("the name in the header", forecast(), sunny()),
        row("the name in base64", named(&base64("get_forecast")), sunny()),
        row("a name that no header can hold, in base64", by_name(base64("zusammenfassung-für-alle")), prompt),
        row("a name in half of base64", named("=?base64?Z2V?="), header_mismatch("Mcp-Name is not valid base64")),
        row("another name in base64", named(&base64("reset")), differs()),
        row("a mark of base64 in another case is none", named("=?BASE64?Z2V0X2ZvcmVjYXN0?="), differs()),
        row("no name in the header", forecast().without("mcp-name"), header_mismatch("Mcp-Name is missing")),
        row("another name in the header", named("reset"), differs()),
        row("the name in another case", named("Get_Forecast"), differs()),
        row(
            "two names in two lines",
            forecast().add("mcp-name", "get_forecast").raw_headers(),
            header_mismatch("Mcp-Name was sent more than once"),
        ),
        row(
            "a name where there is none",
            modern_ping().add("mcp-name", "x"),
            header_mismatch("Mcp-Name has no counterpart in the body"),
        ),
        row(
            "the older era may say the name",
            call("weather", "get_forecast", city()).add("mcp-name", "get_forecast").by(&ann()),
            sunny(),
        ),
        row(
            "and must say the right name",
            call("weather", "get_forecast", city()).add("mcp-name", "reset").by(&ann()),
            differs(),
        ),
        row(
            "no address of a resource in the header",
            modern("notes", "resources/read", json!({"uri": "a:b"})).without("mcp-name").by(&ann()),
            header_mismatch("Mcp-Name is missing"),
        ),
        row(
            "another address in the header",
            modern("notes", "resources/read", json!({"uri": "a:b"})).header("mcp-name", "a:c").by(&ann()),
            differs(),
        ),
        row(
            "another task in the header",
            modern("notes", "tasks/get", json!({"taskId": "t-1"})).header("mcp-name", "t-2").by(&ann()),
            differs(),
        ),
    ]
}
