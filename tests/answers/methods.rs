//! Every method a client can send, and what it is to the policies: an action, and a target.

use serde_json::{Value, json};

use super::expect::{Row, row};
use super::table::{allow, method_unknown, policy_denied};
use crate::support::envoy::{Ask, LEGACY, bare, legacy, modern, notify, post};
use crate::support::people::{BOB, ann, bob};

/// The server is the one of all whose policies forbid no method, and whose streams end with the token.
const NOTES: &str = "Server::\"notes\"";
const STREAM: (&str, &str) = ("x-envoy-upstream-rq-timeout-ms", "3600000");

pub(super) fn rows() -> Vec<Row> {
    let mut rows = session();
    rows.extend(targeted());
    rows.extend(unknown());
    rows
}

fn session() -> Vec<Row> {
    let requests = [
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "logging/setLevel",
    ];
    let notifications = [
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
        "notifications/tasks/status",
    ];
    let get = bare("GET", "notes").add("mcp-protocol-version", LEGACY).by(&ann());
    let response = |outcome: &str| post("notes", format!(r#"{{"jsonrpc":"2.0","id":7,{outcome}}}"#)).by(&ann());
    let answered = || allow(&["session"]).on("session/response", NOTES);
    let mut rows = vec![
        row("GET is a stream", get, allow(&["session"]).on("session/stream", NOTES).header(STREAM.0, STREAM.1)),
        row("DELETE is the end", bare("DELETE", "notes").by(&ann()), allow(&["session"]).on("session/end", NOTES)),
        row("a client's answer", response(r#""result":{"action":"accept"}"#), answered()),
        row("a client's refusal", response(r#""error":{"code":-1,"message":"no"}"#), answered()),
        row(
            "tasks/list shows the work of others",
            legacy("notes", "tasks/list", json!({})).by(&ann()),
            policy_denied(&[]).on("tasks/list", NOTES),
        ),
    ];
    for method in requests {
        let passes = || allow(&["session"]).on(method, NOTES);
        rows.push(row(method, legacy("notes", method, json!({})).by(&ann()), passes()));
        rows.push(row(format!("{method}, in the newer era"), modern("notes", method, json!({})).by(&ann()), passes()));
    }
    rows.extend(
        notifications
            .map(|method| row(method, notify("notes", method).by(&ann()), allow(&["session"]).on(method, NOTES))),
    );
    rows
}

fn targeted() -> Vec<Row> {
    let public = "Resource::\"notes:file:///public/a.txt\"";
    let file = || json!({"uri": "file:///public/a.txt"});
    let task = || json!({"taskId": "t-1"});
    let completion = |reference: Value| json!({"ref": reference, "argument": {"name": "a", "value": "b"}});
    let table = [
        ("tools/call", json!({"name": "note_add"}), "notes-tools", "notes:*", "Tool::\"notes:note_add\""),
        ("prompts/get", json!({"name": "summary"}), "summary", "prompts/get", "Prompt::\"notes:summary\""),
        ("resources/read", file(), "public-notes", "resources/read", public),
        ("resources/subscribe", file(), "public-notes", "resources/subscribe", public),
        ("resources/unsubscribe", file(), "public-notes", "resources/unsubscribe", public),
        ("tasks/get", task(), "one-task", "tasks/get", "Task::\"notes:t-1\""),
        ("tasks/result", task(), "one-task", "tasks/result", "Task::\"notes:t-1\""),
        ("tasks/cancel", task(), "one-task", "tasks/cancel", "Task::\"notes:t-1\""),
        ("tasks/update", task(), "one-task", "tasks/update", "Task::\"notes:t-1\""),
    ];
    let mut rows = Vec::new();
    for (method, params, policy, action, resource) in table {
        let passes =
            |ask: Ask, era: &str| row(format!("{method}{era}"), ask.by(&ann()), allow(&[policy]).on(action, resource));
        rows.push(passes(legacy("notes", method, params.clone()), ""));
        rows.push(passes(modern("notes", method, params), ", in the newer era"));
    }
    let complete = |reference| legacy("notes", "completion/complete", completion(reference)).by(&ann());
    rows.push(row(
        "completion for a prompt tells what the prompt would",
        complete(json!({"type": "ref/prompt", "name": "summary"})),
        allow(&["summary"]).on("prompts/get", "Prompt::\"notes:summary\""),
    ));
    rows.push(row(
        "completion for a resource tells what it would",
        complete(json!({"type": "ref/resource", "uri": "file:///public/a.txt"})),
        allow(&["public-notes"]).on("resources/read", public),
    ));
    rows
}

/// What no revision knows is denied whatever the policies say, unless the server's configuration lists it.
fn unknown() -> Vec<Row> {
    let archive = |server| legacy(server, "notes/archive", json!({}));
    vec![
        row("an unknown method", legacy("weather", "weather/erase", json!({})).by(&ann()), method_unknown()),
        row(
            "an unknown method in the newer era",
            modern("weather", "weather/erase", json!({})).by(&ann()),
            method_unknown().by_status(),
        ),
        row(
            "an unknown method where denials are statuses",
            legacy("bank", "weather/erase", json!({})).by(&ann()),
            method_unknown().by_status(),
        ),
        row(
            "an unknown method where denials are messages",
            modern("notes", "weather/erase", json!({})).by(&ann()),
            method_unknown(),
        ),
        row(
            "an unknown notification",
            notify("weather", "notifications/erased").by(&ann()),
            method_unknown().by_status().no_id(),
        ),
        row(
            "a method in another case",
            legacy("weather", "Tools/Call", json!({"name": "reset"})).by(&ann()),
            method_unknown(),
        ),
        row("the name of a group of actions", legacy("weather", "session", json!({})).by(&ann()), method_unknown()),
        row("the name of a tool's action", legacy("weather", "weather:reset", json!({})).by(&ann()), method_unknown()),
        row(
            "a method of the server's own",
            archive("notes").by(&ann()),
            allow(&["archive"]).on("notes/archive", NOTES),
        ),
        row(
            "which policies decide about",
            archive("notes").by(&bob()),
            policy_denied(&[]).on("notes/archive", NOTES).who(BOB),
        ),
        row(
            "and which nothing else permits",
            legacy("notes", "notes/purge", json!({})).by(&ann()),
            policy_denied(&[]).on("notes/purge", NOTES),
        ),
        row("a method of another server's own", archive("weather").by(&ann()), method_unknown()),
    ]
}
