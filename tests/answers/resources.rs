//! Resources, prompts and tasks; and messages with several targets, each of which must be allowed.

use serde_json::{Value, json};

use super::expect::{Row, row};
use super::table::{allow, invalid_request, policy_denied};
use crate::support::envoy::{Ask, legacy};
use crate::support::people::ann;

const STREAM: (&str, &str) = ("x-envoy-upstream-rq-timeout-ms", "3600000");

fn read(uri: &str) -> Ask {
    legacy("notes", "resources/read", json!({"uri": uri})).by(&ann())
}

fn listen(notifications: Value) -> Ask {
    legacy("notes", "subscriptions/listen", json!({"notifications": notifications})).by(&ann())
}

fn resource(uri: &str) -> String {
    format!("Resource::\"notes:{uri}\"")
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = addresses();
    rows.extend(targets());
    rows.extend(listening());
    rows
}

fn addresses() -> Vec<Row> {
    let mut rows = vec![
        row(
            "in the folder",
            read("file:///public/a/b.txt"),
            allow(&["public-notes"]).on("resources/read", &resource("file:///public/a/b.txt")),
        ),
        row(
            "the folder itself",
            read("file:///public"),
            allow(&["public-notes"]).on("resources/read", &resource("file:///public")),
        ),
        row(
            "in a folder that is forbidden",
            read("file:///public/drafts/a.txt"),
            policy_denied(&["no-drafts"])
                .advice("Drafts are not shared.")
                .on("resources/read", &resource("file:///public/drafts/a.txt")),
        ),
    ];
    // None of these says where it leads in one way only, so that none is in any folder.
    let others = [
        "file:///private/a.txt",
        "file:///publicly/a.txt",
        "file:///public/../private/a.txt",
        "file:///public/%2e%2e/private/a.txt",
        "file:///public/..%2fprivate/a.txt",
        "file:///public//a.txt",
        "file:///public/a.txt?x",
        "FILE:///public/a.txt",
        "file://localhost/public/a.txt",
        "file:/public/a.txt",
        "/public/a.txt",
        "{+path}",
    ];
    rows.extend(others.map(|uri| {
        row(format!("not in the folder: {uri}"), read(uri), policy_denied(&[]).on("resources/read", &resource(uri)))
    }));
    rows
}

fn targets() -> Vec<Row> {
    let field = |name: &str| invalid_request(&format!("malformed message: `{name}` is missing or not valid")).id("1");
    let complete = |reference: Value| legacy("notes", "completion/complete", json!({"ref": reference})).by(&ann());
    vec![
        row(
            "another prompt",
            legacy("notes", "prompts/get", json!({"name": "all"})).by(&ann()),
            policy_denied(&[]).on("prompts/get", "Prompt::\"notes:all\""),
        ),
        row(
            "another task",
            legacy("notes", "tasks/cancel", json!({"taskId": "t-2"})).by(&ann()),
            policy_denied(&[]).on("tasks/cancel", "Task::\"notes:t-2\""),
        ),
        row(
            "completion for another prompt",
            complete(json!({"type": "ref/prompt", "name": "all"})),
            policy_denied(&[]).on("prompts/get", "Prompt::\"notes:all\""),
        ),
        row(
            "completion for a template",
            complete(json!({"type": "ref/resource", "uri": "file:///{a}"})),
            policy_denied(&[]).on("resources/read", &resource("file:///{a}")),
        ),
        row(
            "completion for two things at once",
            complete(json!({"type": "ref/prompt", "name": "summary", "uri": "a:b"})),
            field("ref"),
        ),
        row("completion for nothing", complete(json!({"type": "ref/other", "name": "summary"})), field("ref")),
        row("no address", legacy("notes", "resources/read", json!({})).by(&ann()), field("uri")),
        row("a task that is a number", legacy("notes", "tasks/get", json!({"taskId": 1})).by(&ann()), field("taskId")),
        row(
            "a task of too long a name",
            legacy("notes", "tasks/get", json!({"taskId": "t".repeat(1025)})).by(&ann()),
            invalid_request("malformed message: `taskId` is too long").id("1"),
        ),
    ]
}

fn listening() -> Vec<Row> {
    let subscribed = |uri: &str| ("resources/subscribe", resource(uri));
    let listened = |policies: &[&'static str]| {
        allow(policies).on("subscriptions/listen", "Server::\"notes\"").header(STREAM.0, STREAM.1)
    };
    let (a, a_uri) = subscribed("file:///public/a");
    let (b, b_uri) = subscribed("file:///private/b");
    let too_many: Vec<String> = (0..65).map(|number| format!("a:{number}")).collect();
    vec![
        row("listening to lists", listen(json!({"toolsListChanged": true})), listened(&["session"])),
        row(
            "listening to a resource and a task",
            listen(json!({"resourceSubscriptions": ["file:///public/a"], "taskIds": ["t-1"]})),
            listened(&["one-task", "public-notes", "session"]).on(a, &a_uri).on("tasks/get", "Task::\"notes:t-1\""),
        ),
        row(
            "one target that is denied denies all",
            listen(json!({"resourceSubscriptions": ["file:///public/a", "file:///private/b"]})),
            policy_denied(&[]).on("subscriptions/listen", "Server::\"notes\"").on(a, &a_uri).on(b, &b_uri),
        ),
        row(
            "listening to what is not known",
            listen(json!({"filesChanged": true})),
            invalid_request("malformed message: `notifications` is missing or not valid").id("1"),
        ),
        row(
            "listening to too much",
            listen(json!({"resourceSubscriptions": too_many})),
            invalid_request("malformed message: too many targets in one message").id("1"),
        ),
    ]
}
