//! Laws: no input panics, and what is accepted beside a header says what the header says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const METHODS: [&str; 9] = [
    "tools/call",
    "prompts/get",
    "resources/read",
    "tasks/get",
    "tools/list",
    "notifications/cancelled",
    "x/y",
    "Tools/Call",
    "session/end",
];
const NAMES: [&str; 6] = ["a", "b", " a", "é", "=?base64?YQ==?=", "A"];
const VERSIONS: [&str; 4] = [MODERN, "2025-06-18", "2099-01-01", "2026-07-28,2026-07-28"];

/// A value for `Mcp-Name`, in either way of writing it.
fn name_header() -> impl Strategy<Value = String> {
    (select(&NAMES[..]), any::<bool>()).prop_map(|(name, is_encoded)| {
        if is_encoded { format!("=?base64?{}?=", STANDARD.encode(name)) } else { name.to_owned() }
    })
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    let pair = prop_oneof![
        (select(vec![VERSION, "mcp-protocol-version"]), select(&VERSIONS[..]).prop_map(str::to_owned)),
        (select(vec![METHOD, "MCP-METHOD"]), select(&METHODS[..]).prop_map(str::to_owned)),
        (select(vec![NAME, "mcp-name"]), name_header()),
    ];
    prop::collection::vec(pair.prop_map(|(name, value)| (name.to_owned(), value)), 0..4)
}

/// A body that is nearly always a message: a request or notification with or without a claim.
fn body() -> impl Strategy<Value = String> {
    let claim = prop::option::of(select(&VERSIONS[..3]));
    (select(&METHODS[..]), select(&NAMES[..]), claim, any::<bool>()).prop_map(|(method, name, claim, has_id)| {
        let id = if has_id { r#""id":1,"# } else { "" };
        let meta = claim.map_or(String::new(), |claim| format!(r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{claim}"}},"#));
        format!(r#"{{"jsonrpc":"2.0",{id}"method":"{method}","params":{{{meta}"name":"{name}","uri":"{name}","taskId":"{name}"}}}}"#)
    })
}

/// What `Mcp-Name` must say of an operation, in the plain.
fn target<'m>(operation: &'m Operation<'_>) -> Option<&'m str> {
    match operation {
        Operation::ToolCall(call) => Some(call.name()),
        Operation::Prompt { name } => Some(name),
        Operation::Resource { uri, .. } => Some(uri),
        Operation::Task { id, .. } => Some(id),
        Operation::Session(_) | Operation::Listen { .. } | Operation::Other { .. } => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_accepted_message_agrees_with_every_header(body in body(), pairs in pairs()) {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let document = Document::parse(body.as_bytes(), LIMITS).unwrap();
        let Ok(message) = parse(&document, &headers(&pairs)) else { return Ok(()) };
        let root = document.root();
        let claim = root.pointer("/params/_meta/io.modelcontextprotocol~1protocolVersion").and_then(Value::as_str);
        let value_of = |wanted: &str| {
            let mut values = pairs.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value);
            let first = values.next();
            assert_eq!(values.next(), None, "{wanted} repeated");
            first
        };
        prop_assert_eq!(value_of(VERSION), message.revision().map(Revision::as_str));
        if let Some(claim) = claim.as_deref() {
            prop_assert_eq!(value_of(VERSION), Some(claim));
            prop_assert!(message.is_modern());
        }
        let is_required = message.is_modern() && message.id().is_some();
        let method = value_of(METHOD);
        prop_assert!(method.is_none() || method == root.get("method").and_then(Value::as_str).as_deref());
        prop_assert!(method.is_some() || !is_required);
        let name = value_of(NAME).map(|value| value.trim_matches([' ', '\t']));
        let target = target(message.operation());
        if let Some(name) = name {
            let encoded = target.map(|target| format!("=?base64?{}?=", STANDARD.encode(target)));
            prop_assert!(Some(name) == target || Some(name) == encoded.as_deref(), "{name} {target:?}");
        }
        prop_assert!(name.is_some() || target.is_none() || !is_required);
    }

    #[test]
    fn a_message_with_the_right_headers_is_accepted(method in select(&METHODS[..5]), name in select(&NAMES[..])) {
        let body = request(method, &claiming(MODERN, &format!(r#","name":"{name}","uri":"{name}","taskId":"{name}""#)));
        let encoded = format!("=?base64?{}?=", STANDARD.encode(name));
        let mut pairs = vec![(VERSION, MODERN), (METHOD, method)];
        if method != "tools/list" {
            pairs.push((NAME, &encoded));
        }
        prop_assert!(read_described(&body, &pairs).is_ok(), "{body} {pairs:?}");
    }

    #[test]
    fn nothing_panics(
        body in prop_oneof![body().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..40)],
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        pairs in prop::collection::vec((select(vec![VERSION, METHOD, NAME, "x"]), prop::collection::vec(any::<u8>(), 0..24)), 0..4),
    ) {
        let mut body = body;
        for (index, byte) in cuts {
            if !body.is_empty() {
                let at = index.index(body.len());
                body[at] = byte;
            }
        }
        let headers = Headers::new(pairs.into_iter().map(|(name, value)| (Bytes::from_static(name.as_bytes()), Bytes::from(value))).collect());
        let _ = (stream(&headers), end(&headers));
        if let Ok(document) = Document::parse(&body, LIMITS) {
            let _ = parse(&document, &headers);
        }
    }
}
