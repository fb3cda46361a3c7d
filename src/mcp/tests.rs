//! Tables for the envelope, the targets, the revisions and the headers, and the laws that hold for any input.

mod laws;

use bytes::Bytes;

use super::*;
use crate::json::{JsonError, Limits};

const LIMITS: Limits = Limits { depth: 64, nodes: 100_000 };
const MODERN: &str = "2026-07-28";
const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";

fn headers(pairs: &[(&str, &str)]) -> Headers {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Headers::new(pairs.iter().map(|(name, value)| (bytes(name), bytes(value))).collect())
}

/// A message in one line: revision, era, id, operation.
fn describe(message: &Message<'_>) -> String {
    let operation = match message.operation() {
        Operation::Session(method) => method.as_str().to_owned(),
        Operation::ToolCall(call) => format!("tool {} {}", call.name(), call.arguments().map_or("-", Value::raw)),
        Operation::Prompt { name } => format!("prompt {name}"),
        Operation::Resource { method, uri } => format!("{} {uri}", method.as_str()),
        Operation::Task { method, id } => format!("{} {id}", method.as_str()),
        Operation::Listen { resources, tasks } => format!("listen {resources:?} {tasks:?}"),
        Operation::Other { method } => format!("other {method}"),
    };
    let era = if message.is_modern() { "modern" } else { "legacy" };
    let id = message.id().map_or("-".to_owned(), |id| serde_json::to_string(id).unwrap());
    format!("{} {era} {id} {operation}", message.revision().map_or("-", Revision::as_str))
}

fn read_described(body: &str, pairs: &[(&str, &str)]) -> Result<String, McpFault> {
    let document =
        Document::parse(body.as_bytes(), LIMITS).map_err(|error| McpFault { error: error.into(), id: None })?;
    parse(&document, &headers(pairs)).map(|message| describe(&message))
}

#[track_caller]
fn accepts(body: &str, pairs: &[(&str, &str)], expected: &str) {
    assert_eq!(read_described(body, pairs), Ok(expected.to_owned()), "{body} {pairs:?}");
}

#[track_caller]
fn refuses(body: &str, pairs: &[(&str, &str)], error: impl Into<McpError>) {
    assert_eq!(read_described(body, pairs).map_err(|fault| fault.error), Err(error.into()), "{body} {pairs:?}");
}

#[track_caller]
fn mismatches(body: &str, pairs: &[(&str, &str)], header: &'static str, reason: Disagreement) {
    refuses(body, pairs, McpError::HeaderMismatch { header, reason });
}

fn unsupported(requested: &str) -> McpError {
    McpError::VersionUnsupported { requested: requested.to_owned() }
}

/// A request with id 1.
fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

/// `params` with the claim of a modern request; `rest` begins with a comma or is empty.
fn claiming(version: &str, rest: &str) -> String {
    format!(r#"{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}"}}{rest}}}"#)
}

#[test]
fn every_method_names_its_target() {
    for method in
        SessionMethod::ALL.iter().map(|method| method.as_str()).filter(|method| !method.starts_with("session/"))
    {
        if method.starts_with("notifications/") {
            accepts(&format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#), &[], &format!("- legacy - {method}"));
            refuses(&request(method, "{}"), &[], Malformed::IdForbidden);
        } else {
            accepts(&request(method, "{}"), &[], &format!("- legacy 1 {method}"));
            refuses(&format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#), &[], Malformed::IdMissing);
        }
    }
    for method in ResourceMethod::ALL.iter().map(|method| method.as_str()) {
        accepts(&request(method, r#"{"uri":"file:///a/../b"}"#), &[], &format!("- legacy 1 {method} file:///a/../b"));
        refuses(&request(method, r#"{"name":"a"}"#), &[], Malformed::Field("uri"));
    }
    for method in TaskMethod::ALL.iter().map(|method| method.as_str()) {
        accepts(&request(method, r#"{"taskId":"t"}"#), &[], &format!("- legacy 1 {method} t"));
        refuses(&request(method, r#"{"taskId":1}"#), &[], Malformed::Field("taskId"));
    }
    let cases = [
        ("tools/call", r#"{"name":"echo"}"#, "tool echo -"),
        ("tools/call", r#"{"name":"e\u0063ho","arguments":{"a":[1]},"task":{"ttl":1}}"#, r#"tool echo {"a":[1]}"#),
        ("prompts/get", r#"{"name":"p","arguments":{}}"#, "prompt p"),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"x","value":""}}"#,
            "prompt p",
        ),
        ("completion/complete", r#"{"ref":{"type":"ref/resource","uri":"db://{id}"}}"#, "resources/read db://{id}"),
        ("subscriptions/listen", r#"{"notifications":{}}"#, "listen [] []"),
        (
            "subscriptions/listen",
            r#"{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a:1","a:2"],"taskIds":["t"]}}"#,
            r#"listen ["a:1", "a:2"] ["t"]"#,
        ),
        ("x/y", r#"{"anything":[]}"#, "other x/y"),
        ("Tools/Call", r#"{"name":"echo"}"#, "other Tools/Call"),
        ("tools/call ", r#"{"name":"echo"}"#, "other tools/call "),
    ];
    for (method, params, expected) in cases {
        accepts(&request(method, params), &[], &format!("- legacy 1 {expected}"));
    }
}

#[test]
fn targets_that_are_not_named_exactly_are_refused() {
    let cases = [
        ("tools/call", "{}", "name"),
        ("tools/call", r#"{"name":""}"#, "name"),
        ("tools/call", r#"{"name":null}"#, "name"),
        ("tools/call", r#"{"name":["a"]}"#, "name"),
        ("tools/call", r#"{"name":"a","arguments":[]}"#, "arguments"),
        ("tools/call", r#"{"name":"a","arguments":null}"#, "arguments"),
        ("prompts/get", r#"{"uri":"a"}"#, "name"),
        ("resources/read", r#"{"uri":""}"#, "uri"),
        ("completion/complete", "{}", "ref"),
        ("completion/complete", r#"{"ref":"a"}"#, "ref"),
        ("completion/complete", r#"{"ref":{"type":"ref/tool","name":"a"}}"#, "ref"),
        ("completion/complete", r#"{"ref":{"name":"a"}}"#, "ref"),
        ("completion/complete", r#"{"ref":{"type":"ref/prompt","uri":"a"}}"#, "ref"),
        ("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"a","uri":"b"}}"#, "ref"),
        ("completion/complete", r#"{"ref":{"type":"ref/resource","uri":1}}"#, "uri"),
        ("subscriptions/listen", "{}", "notifications"),
        ("subscriptions/listen", r#"{"notifications":[]}"#, "notifications"),
        ("subscriptions/listen", r#"{"notifications":{"toolsListChanged":1}}"#, "notifications"),
        ("subscriptions/listen", r#"{"notifications":{"promptSubscriptions":["a"]}}"#, "notifications"),
        ("subscriptions/listen", r#"{"notifications":{"resourceSubscriptions":"a"}}"#, "resourceSubscriptions"),
        ("subscriptions/listen", r#"{"notifications":{"resourceSubscriptions":[1]}}"#, "resourceSubscriptions"),
        ("subscriptions/listen", r#"{"notifications":{"taskIds":["a",""]}}"#, "taskIds"),
    ];
    for (method, params, field) in cases {
        refuses(&request(method, params), &[], Malformed::Field(field));
    }
    refuses(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, &[], Malformed::Field("name"));
    refuses(r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#, &[], Malformed::IdMissing);
    for control in [r"\u0000", r"\n", r"\u007f", r"\u0085"] {
        refuses(
            &request("tools/call", &format!(r#"{{"name":"a{control}"}}"#)),
            &[],
            Malformed::ControlCharacter("name"),
        );
        refuses(
            &request("resources/read", &format!(r#"{{"uri":"{control}a"}}"#)),
            &[],
            Malformed::ControlCharacter("uri"),
        );
        refuses(&request(&format!("a{control}"), "{}"), &[], Malformed::ControlCharacter("method"));
    }
    for reserved in ["session/stream", "session/end", "session/response"] {
        refuses(&request(reserved, "{}"), &[], Malformed::ReservedMethod);
    }
}

#[test]
fn lengths_and_targets_are_limited_on_both_sides() {
    let long = |length: usize| "x".repeat(length);
    let call = |name: &str| request("tools/call", &format!(r#"{{"name":"{name}"}}"#));
    accepts(&call(&long(1024)), &[], &format!("- legacy 1 tool {} -", long(1024)));
    refuses(&call(&long(1025)), &[], Malformed::TooLong("name"));
    let get = |id: &str| request("tasks/get", &format!(r#"{{"taskId":"{id}"}}"#));
    accepts(&get(&long(1024)), &[], &format!("- legacy 1 tasks/get {}", long(1024)));
    refuses(&get(&long(1025)), &[], Malformed::TooLong("taskId"));
    let fetch = |uri: &str| request("resources/read", &format!(r#"{{"uri":"{uri}"}}"#));
    accepts(&fetch(&long(8192)), &[], &format!("- legacy 1 resources/read {}", long(8192)));
    refuses(&fetch(&long(8193)), &[], Malformed::TooLong("uri"));
    accepts(&request(&long(1024), "{}"), &[], &format!("- legacy 1 other {}", long(1024)));
    refuses(&request(&long(1025), "{}"), &[], Malformed::TooLong("method"));
    let ping = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"ping"}}"#);
    accepts(&ping(&long(1024)), &[], &format!("- legacy {:?} ping", long(1024)));
    refuses(&ping(&long(1025)), &[], Malformed::TooLong("id"));
    let listen = |resources: usize, tasks: usize| {
        let (resources, tasks) = (vec!["a:b"; resources], vec!["t"; tasks]);
        request(
            "subscriptions/listen",
            &format!(r#"{{"notifications":{{"resourceSubscriptions":{resources:?},"taskIds":{tasks:?}}}}}"#),
        )
    };
    assert!(read_described(&listen(60, 4), &[]).is_ok());
    refuses(&listen(60, 5), &[], Malformed::TooManyTargets);
}

#[test]
fn the_envelope_is_exact() {
    let cases = [
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, McpError::Batch),
        ("[]", McpError::Batch),
        ("null", Malformed::NotAnObject.into()),
        ("\"ping\"", Malformed::NotAnObject.into()),
        ("", JsonError::Empty.into()),
        ("{} {}", JsonError::Trailing { at: 3 }.into()),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            JsonError::DuplicateKey { at: 40 }.into(),
        ),
        ("{}", Malformed::Version.into()),
        (r#"{"id":1,"method":"ping"}"#, Malformed::Version.into()),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, Malformed::Version.into()),
        (r#"{"jsonrpc":"2.0","id":1}"#, Malformed::Shape.into()),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}"#, Malformed::UnknownMember.into()),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, Malformed::Shape.into()),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}"#, Malformed::Shape.into()),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, Malformed::Shape.into()),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#, Malformed::Shape.into()),
        (r#"{"jsonrpc":"2.0","result":{}}"#, Malformed::Shape.into()),
        (r#"{"jsonrpc":"2.0","id":1,"result":1}"#, Malformed::Field("result").into()),
        (r#"{"jsonrpc":"2.0","id":1,"error":"a"}"#, Malformed::Field("error").into()),
        (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, Malformed::Field("method").into()),
        (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, Malformed::Field("method").into()),
        (r#"{"jsonrpc":"2.0","id":1,"method":["ping"]}"#, Malformed::Field("method").into()),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, Malformed::Field("params").into()),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#, Malformed::Field("params").into()),
        (r#"{"jsonrpc":"2.0","method":"notifications/x","id":1}"#, Malformed::IdForbidden.into()),
    ];
    for (body, error) in cases {
        refuses(body, &[], error);
    }
    accepts(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#, &[], "- legacy - other notifications/x");
    accepts(r#"{"jsonrpc":"2.0","method":"x"}"#, &[], "- legacy - other x");
    accepts(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, &[], "- legacy - session/response");
    accepts(
        r#"{"jsonrpc":"2.0","id":"7","error":{"code":1}}"#,
        &[(VERSION, "2025-11-25")],
        "2025-11-25 legacy - session/response",
    );
}

#[test]
fn ids_are_strings_or_integers() {
    let ping = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    for id in ["0", "-1", "9223372036854775807", "-9223372036854775808", "\"\"", "\"a \\\" b\"", "\"é\""] {
        accepts(&ping(id), &[], &format!("- legacy {id} ping"));
    }
    for id in ["null", "1.5", "1.0", "1e2", "9223372036854775808", "true", "[]", "{}"] {
        refuses(&ping(id), &[], Malformed::Id);
    }
}

#[test]
fn a_fault_names_the_request_and_nothing_else() {
    let id = |body: &str| read_described(body, &[(METHOD, "wrong")]).unwrap_err().id;
    assert_eq!(id(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#), Some(RequestId::Integer(7)));
    assert_eq!(id(r#"{"id":"a","method":1}"#), Some(RequestId::String("a".to_owned())));
    assert_eq!(id(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#), None);
    assert_eq!(id(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#), None);
    assert_eq!(id(r#"{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}"#), None);
    assert_eq!(id(r#"[{"jsonrpc":"2.0","id":7,"method":"ping"}]"#), None);
}

#[test]
fn look_alikes_of_known_keys_are_refused() {
    let cases = [
        (r#"{"jsonrpc":"2.0","id":1,"Method":"tools/call"}"#.to_owned(), "method"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","PARAMS":{}}"#.to_owned(), "params"),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"param\u{17f}\":{}}".to_owned(), "params"),
        (request("tools/call", r#"{"Name":"b"}"#), "name"),
        (request("tools/call", r#"{"name":"a","N\u0061ME ":1,"Arguments":{}}"#), "arguments"),
        (request("tasks/get", r#"{"taskid":"b"}"#), "taskId"),
        (request("tasks/get", r#"{"tas\u212aId":"b"}"#), "taskId"),
        (request("x/y", r#"{"URI":"b"}"#), "uri"),
        (request("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"a","Uri":"b"}}"#), "uri"),
        (request("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"a"},"argument":{"Value":1}}"#), "value"),
        (request("subscriptions/listen", r#"{"notifications":{"taskids":["a"]}}"#), "taskIds"),
        (request("ping", r#"{"_Meta":{}}"#), "_meta"),
        (
            request("ping", r#"{"_meta":{"io.modelcontextprotocol/ProtocolVersion":"2026-07-28"}}"#),
            "io.modelcontextprotocol/protocolVersion",
        ),
        (
            request("ping", r#"{"_meta":{"IO.modelcontextprotocol/clientinfo":1}}"#),
            "io.modelcontextprotocol/clientInfo",
        ),
    ];
    for (body, known) in cases {
        refuses(&body, &[], Malformed::FoldedKey(known));
    }
    let fields = "name arguments uri taskId ref argument context notifications _meta cursor level protocolVersion task requestState inputResponses";
    for known in fields.split(' ') {
        let params = format!(r#"{{"{}":1}}"#, known.to_uppercase());
        let error = read_described(&request("x/y", &params), &[]).unwrap_err().error;
        assert!(matches!(error, McpError::Malformed(Malformed::FoldedKey(name)) if name == known), "{known}: {error}");
    }
    // A tool's arguments and other people's metadata may be called anything.
    accepts(
        &request("tools/call", r#"{"name":"a","arguments":{"Name":1,"URI":2},"_meta":{"Name":3}}"#),
        &[],
        r#"- legacy 1 tool a {"Name":1,"URI":2}"#,
    );
}

#[test]
fn the_revision_is_declared_once() {
    let legacy = request("ping", "{}");
    let modern = request("ping", &claiming(MODERN, ""));
    for revision in &Revision::ALL[..3] {
        accepts(
            &legacy,
            &[("mcp-protocol-version", revision.as_str())],
            &format!("{} legacy 1 ping", revision.as_str()),
        );
    }
    accepts(&legacy, &[(VERSION, " \t2025-06-18 ")], "2025-06-18 legacy 1 ping");
    accepts(&modern, &[(VERSION, MODERN), (METHOD, "ping")], "2026-07-28 modern 1 ping");
    accepts(
        &request("ping", &claiming("2025-06-18", "")),
        &[(VERSION, "2025-06-18"), (METHOD, "ping")],
        "2025-06-18 modern 1 ping",
    );
    accepts(&request("initialize", r#"{"protocolVersion":"2099-01-01"}"#), &[], "- legacy 1 initialize");

    mismatches(&legacy, &[(VERSION, MODERN)], VERSION, Disagreement::NotInBody);
    mismatches(&modern, &[(METHOD, "ping")], VERSION, Disagreement::Missing);
    mismatches(&modern, &[(VERSION, "2025-11-25"), (METHOD, "ping")], VERSION, Disagreement::Differs);
    mismatches(&modern, &[(VERSION, MODERN), ("MCP-PROTOCOL-VERSION", MODERN)], VERSION, Disagreement::Repeated);
    mismatches(&legacy, &[(VERSION, "2025-06-18,2025-06-18")], VERSION, Disagreement::Repeated);
    mismatches(&request("ping", &claiming("2099-01-01", "")), &[(VERSION, MODERN)], VERSION, Disagreement::Differs);

    refuses(&request("ping", &claiming("2099-01-01", "")), &[(VERSION, "2099-01-01")], unsupported("2099-01-01"));
    refuses(&request("ping", &claiming("2099-01-01", "")), &[], unsupported("2099-01-01"));
    for unknown in ["2024-11-05", "2026-07-28x", "", "DRAFT"] {
        refuses(&legacy, &[(VERSION, unknown)], unsupported(unknown));
    }
    refuses(&legacy, &[(VERSION, &"9".repeat(65))], unsupported(&"9".repeat(64)));

    refuses(&request("ping", r#"{"_meta":[]}"#), &[], Malformed::Field("_meta"));
    let claim = "io.modelcontextprotocol/protocolVersion";
    refuses(&request("ping", &format!(r#"{{"_meta":{{"{claim}":null}}}}"#)), &[], Malformed::Field(claim));
    refuses(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, &[(VERSION, MODERN)], Malformed::ModernResponse);
}

#[test]
fn the_method_is_mirrored() {
    let legacy = request("ping", "{}");
    let modern = request("ping", &claiming(MODERN, ""));
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;
    accepts(&legacy, &[(METHOD, "\tping ")], "- legacy 1 ping");
    accepts(notification, &[(VERSION, MODERN)], "2026-07-28 modern - notifications/cancelled");
    mismatches(notification, &[(VERSION, MODERN), (METHOD, "ping")], METHOD, Disagreement::Differs);
    mismatches(&modern, &[(VERSION, MODERN)], METHOD, Disagreement::Missing);
    for wrong in ["Ping", "ping,ping", "", "\"ping\"", "=?base64?cGluZw==?=", "pi ng"] {
        mismatches(&legacy, &[(METHOD, wrong)], METHOD, Disagreement::Differs);
    }
    mismatches(&legacy, &[(METHOD, "ping"), ("mcp-method", "ping")], METHOD, Disagreement::Repeated);
    mismatches(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, &[(METHOD, "ping")], METHOD, Disagreement::NotInBody);
}

#[test]
fn the_name_is_mirrored() {
    let modern = |method: &'static str, rest: &str| {
        (request(method, &claiming(MODERN, rest)), [(VERSION, MODERN), (METHOD, method)])
    };
    for (method, rest, name, seen) in [
        ("tools/call", r#","name":"a,b""#, "a,b", "tool a,b -"),
        ("prompts/get", r#","name":"p""#, "p", "prompt p"),
        ("resources/read", r#","uri":"file:///%41""#, "file:///%41", "resources/read file:///%41"),
        ("tasks/get", r#","taskId":"t""#, "t", "tasks/get t"),
        ("tasks/update", r#","taskId":"t""#, "t", "tasks/update t"),
    ] {
        let (body, [version, mirrored]) = modern(method, rest);
        accepts(&body, &[version, mirrored, (NAME, name)], &format!("2026-07-28 modern 1 {seen}"));
        mismatches(&body, &[version, mirrored], NAME, Disagreement::Missing);
        mismatches(&body, &[version, mirrored, (NAME, "other")], NAME, Disagreement::Differs);
        mismatches(&body, &[version, mirrored, (NAME, name), (NAME, name)], NAME, Disagreement::Repeated);
    }
    let (body, [version, mirrored]) = modern("tools/list", "");
    mismatches(&body, &[version, mirrored, (NAME, "a")], NAME, Disagreement::NotInBody);
    let legacy = [
        ("tools/list", r#"{"name":"a"}"#, NAME, Disagreement::NotInBody),
        ("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"a"}}"#, NAME, Disagreement::NotInBody),
        ("x/y", r#"{"name":"a"}"#, NAME, Disagreement::NotInBody),
        ("tools/call", r#"{"name":"A"}"#, NAME, Disagreement::Differs),
        ("resources/subscribe", r#"{"uri":"b"}"#, NAME, Disagreement::Differs),
    ];
    for (method, params, header, reason) in legacy {
        mismatches(&request(method, params), &[(NAME, "a")], header, reason);
    }
    mismatches(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, &[(NAME, "a")], NAME, Disagreement::NotInBody);
}

#[test]
fn a_name_may_be_marked_as_base64() {
    let check = |name: &str, header: &str| {
        read_described(&request("tools/call", &format!(r#"{{"name":{name:?}}}"#)), &[(NAME, header)])
            .map(drop)
            .map_err(|fault| fault.error)
    };
    let mismatch = |reason| Err(McpError::HeaderMismatch { header: NAME, reason });
    // "é", " a", and the mark itself.
    assert_eq!(check("é", "=?base64?w6k=?="), Ok(()));
    assert_eq!(check("é", "é"), Ok(()));
    assert_eq!(check(" a", "=?base64?IGE=?="), Ok(()));
    assert_eq!(check(" a", " a"), mismatch(Disagreement::Differs));
    assert_eq!(check("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="), Ok(()));
    assert_eq!(check("=?base64?literal?=", "=?base64?literal?="), mismatch(Disagreement::Encoding));
    assert_eq!(check("=?BASE64?YQ==?=", "=?BASE64?YQ==?="), Ok(()));
    assert_eq!(check("a", "=?BASE64?YQ==?="), mismatch(Disagreement::Differs));
    assert_eq!(check("=?base64?YQ==", "=?base64?YQ=="), Ok(()));
    assert_eq!(check("a", "=?base64?YQ==?="), Ok(()));
    // No padding, bits after the end, two alphabets, whitespace, nothing.
    for header in ["=?base64?YQ?=", "=?base64?YR==?=", "=?base64?_-8=?=", "=?base64?Y Q==?=", "=?base64?YQ==YQ==?="] {
        assert_eq!(check("a", header), mismatch(Disagreement::Encoding), "{header}");
    }
    assert_eq!(check("a", "=?base64??="), mismatch(Disagreement::Differs));
}

#[test]
fn streams_and_ends_have_no_body_to_mirror() {
    for (verb, name) in [(stream as fn(&Headers) -> _, "session/stream"), (end, "session/end")] {
        let check = |pairs: &[(&str, &str)]| verb(&headers(pairs)).map(|message| describe(&message));
        let fault = |error| Err(McpFault { error, id: None });
        assert_eq!(check(&[]), Ok(format!("- legacy - {name}")));
        assert_eq!(check(&[(VERSION, "2025-06-18")]), Ok(format!("2025-06-18 legacy - {name}")));
        assert_eq!(check(&[(VERSION, MODERN)]), Ok(format!("2026-07-28 modern - {name}")));
        assert_eq!(check(&[(VERSION, "1")]), fault(unsupported("1")));
        for (header, pairs, reason) in [
            (VERSION, [(VERSION, MODERN), (VERSION, MODERN)], Disagreement::Repeated),
            (METHOD, [(VERSION, MODERN), (METHOD, "ping")], Disagreement::NotInBody),
            (NAME, [(VERSION, MODERN), (NAME, "")], Disagreement::NotInBody),
            (NAME, [(NAME, "a"), (NAME, "a")], Disagreement::Repeated),
        ] {
            assert_eq!(check(&pairs), fault(McpError::HeaderMismatch { header, reason }));
        }
    }
}

#[test]
fn errors_read_as_sentences() {
    for (error, text) in [
        (JsonError::Syntax { at: 3 }.into(), "malformed message: invalid JSON at byte 3"),
        (Malformed::Field("name").into(), "malformed message: `name` is missing or not valid"),
        (
            McpError::HeaderMismatch { header: NAME, reason: Disagreement::Differs },
            "the header Mcp-Name differs from the body",
        ),
        (unsupported("1"), "unsupported protocol version `1`"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}
