//! Whatever comes over the wire, it is answered, it is on record, and nothing passes but the one call that may.
//!
//! The policies of this gate permit one call of one tool by one person. Requests begin as that very call and are changed
//! in any way that a message can be changed in, so that an allow is wrong unless the call is still there.

mod change;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use prost::Message;
use serde_json::{Value, json};
use toolgate::envoy::wire::check_response::HttpResponse;
use toolgate::envoy::wire::{CheckRequest, CheckResponse, HeaderValueOption};

use self::change::Splice;
use crate::support::envoy::call;
use crate::support::gate::{House, NOW};
use crate::support::people::{ann, bob, key_files, pat};

/// Cases of the property.
const CASES: u32 = 8000;

const CONFIG: &str = r#"
listen: {grpc: 127.0.0.1:0}
policies: policies
issuers:
- {name: corp, issuer: https://id.example.com, jwks: {file: corp.json}}
servers:
- name: weather
  resource: https://mcp.example.com/weather
  issuers: [corp]
  tools: weather.json
  allowed_origins: ["https://app.example.com"]
limits: {body: 4KiB, message: 64KiB}
audit: {file: {path: audit.jsonl}}
"#;

const CATALOG: &str = r#"{"tools": [
  {"name": "forecast", "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}}},
  {"name": "reset", "inputSchema": {"type": "object", "properties": {}}}
]}"#;

const POLICY: &str = r#"
permit (principal == User::"corp:ann", action == Action::"weather:forecast", resource)
when { context.arguments has city && context.arguments.city == "Oslo" };
"#;

fn house() -> House {
    let [corp, _] = key_files();
    let files =
        [("toolgate.yaml", CONFIG), ("weather.json", CATALOG), ("policies/one.cedar", POLICY), (corp.0, &corp.1)];
    House::build(&files)
}

static TOKEN: LazyLock<String> = LazyLock::new(|| ann().text());

/// Credentials that are not the one of the one call: some are good for another caller.
static OTHERS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let others = [
        bob().text(),
        ann().claim("exp", NOW - 60).text(),
        ann().claim("aud", "https://a.example").text(),
        ann().header("alg", "none").text(),
        ann().text_with_signature(&[0; 64]),
        pat().text(),
        "x".to_owned(),
    ];
    others.into_iter().chain([TOKEN.to_ascii_uppercase()]).map(|token| format!("Bearer {token}")).collect()
});

/// The one call.
fn the_call() -> CheckRequest {
    with(&format!("Bearer {}", *TOKEN))
}

fn with(credential: &str) -> CheckRequest {
    call("weather", "forecast", json!({"city": "Oslo"})).add("authorization", credential).message()
}

/// The one call, half of the time with another credential, with a few things changed.
fn changed() -> impl Strategy<Value = CheckRequest> {
    let start = prop_oneof![Just(the_call()), select(OTHERS.clone()).prop_map(|credential| with(&credential))];
    (start, vec(change::any_change(), 0..4), any::<bool>()).prop_map(|(mut message, changes, settled)| {
        for change in changes {
            change.apply(&mut message);
        }
        if settled {
            change::settle(&mut message);
        }
        message
    })
}

/// Messages in bytes: changed ones; two in a row, which are one to protobuf; and changed bytes.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let encoded = || changed().prop_map(|message| message.encode_to_vec());
    prop_oneof![
        6 => encoded(),
        2 => (encoded(), encoded()).prop_map(|(first, second)| [first, second].concat()),
        3 => (encoded(), vec(any::<Splice>(), 1..3)).prop_map(|(bytes, splices)| {
            splices.into_iter().fold(bytes, |bytes, splice| splice.apply(&bytes))
        }),
        1 => vec(any::<u8>(), 0..200),
    ]
}

#[test]
fn the_one_call_passes() {
    let mut house = house();
    let response = house.answer(the_call().encode_to_vec());
    assert_eq!(check(&mut house, &response, &the_call().encode_to_vec()), Ok("allow".to_owned()));
}

#[test]
fn nothing_else_passes_and_everything_is_on_record() {
    let house = RefCell::new(house());
    let reasons: RefCell<BTreeMap<String, u32>> = RefCell::default();
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&wire(), |bytes| {
        let response = house.borrow().answer(bytes.clone());
        let reason = check(&mut house.borrow_mut(), &response, &bytes).map_err(TestCaseError::fail)?;
        *reasons.borrow_mut().entry(reason).or_default() += 1;
        Ok(())
    });
    assert_eq!(outcome, Ok(()));
    // A law about requests that are all turned away at the door would say little.
    let reasons = reasons.into_inner();
    for reason in
        ["allow", "no_route", "token_missing", "token_invalid", "message_malformed", "policy_denied", "internal"]
    {
        assert!(reasons.get(reason).is_some_and(|count| *count >= 5), "{reason}: {reasons:?}");
    }
}

/// Holds an answer to `bytes` against all that must be true of every answer; its reason.
fn check(house: &mut House, response: &CheckResponse, bytes: &[u8]) -> Result<String, String> {
    let mut records = house.records();
    let (Some(record), true) = (records.pop(), records.is_empty()) else { return Err("not one record".to_owned()) };
    let reason = record["reason"].as_str().ok_or("no reason")?.to_owned();
    let status = response.status.as_ref().ok_or("no status: an allow to Envoy")?;
    let headers = match (status.code, response.http_response.as_ref().ok_or("nothing to do")?) {
        (0, HttpResponse::OkResponse(ok)) => {
            claim(record["decision"] == "allow", "an allow that is recorded as something else")?;
            claim(is_the_call(bytes), "something else passes")?;
            claim(ok.headers_to_remove.iter().any(|name| name == "authorization"), "the token passes")?;
            &ok.headers
        }
        (7, HttpResponse::DeniedResponse(denied)) => {
            claim(record["decision"] == "deny", "a denial that is recorded as something else")?;
            let code = denied.status.as_ref().ok_or("no HTTP status")?.code;
            claim(record["status"] == code && (200..600).contains(&code), "another HTTP status on record")?;
            claim(denied.body.is_empty() || denied.body.starts_with('{'), "a body that is no object")?;
            &denied.headers
        }
        other => return Err(format!("neither allow nor denial: {other:?}")),
    };
    claim(headers.iter().all(is_printable), "a header that is no printable text")?;
    claim(record["detail"] != "the request ended in a panic", "a panic")?;
    let metadata = response.dynamic_metadata.as_ref().ok_or("no metadata")?;
    let id = metadata.fields.get("decision_id").and_then(|id| id.kind.clone());
    let recorded = record["decision_id"].as_str().map(|id| prost_types::value::Kind::StringValue(id.to_owned()));
    claim(id.is_some() && id == recorded, "another decision on record")?;
    Ok(reason)
}

fn claim(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn is_printable(option: &HeaderValueOption) -> bool {
    let header = option.header.as_ref().expect("a header");
    let name = header.key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    name && header.value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Whether `bytes` are still the one call, read in a way of its own: by a JSON reader that is not the gate's, and with
/// no leniency in anything that the gate lets a caller choose.
fn is_the_call(bytes: &[u8]) -> bool {
    let Ok(message) = CheckRequest::decode(Bytes::copy_from_slice(bytes)) else { return false };
    let attributes = message.attributes.unwrap_or_default();
    let http = attributes.request.unwrap_or_default().http.unwrap_or_default();
    let servers: Vec<&[u8]> = attributes
        .context_extensions
        .iter()
        .filter(|entry| entry.key == "toolgate.server")
        .map(|entry| entry.value.as_ref())
        .collect();
    let exact = http.header_map.unwrap_or_default().headers;
    let lines: Vec<(Bytes, Bytes)> = if exact.is_empty() {
        http.headers.into_iter().map(|entry| (entry.key, entry.value)).collect()
    } else {
        exact.into_iter().map(|h| (h.key, if h.raw_value.is_empty() { h.value } else { h.raw_value })).collect()
    };
    let credentials: Vec<&Bytes> =
        lines.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"authorization")).map(|(_, value)| value).collect();
    let path = http.path.split(|byte| *byte == b'?').next().unwrap_or_default();
    servers == [b"weather"]
        && matches!(credentials[..], [one] if is_the_credential(one))
        && http.method == "POST"
        && path == b"/weather"
        && http.body.is_empty()
        && is_the_message(&http.raw_body)
}

fn is_the_credential(value: &[u8]) -> bool {
    let words: Vec<&[u8]> = value.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).collect();
    matches!(words[..], [scheme, token] if scheme.eq_ignore_ascii_case(b"bearer") && token == TOKEN.as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "another reader than the gate's, on purpose")]
fn is_the_message(body: &[u8]) -> bool {
    let Ok(message) = serde_json::from_slice::<Value>(body) else { return false };
    let params = &message["params"];
    message["method"] == "tools/call" && params["name"] == "forecast" && params["arguments"]["city"] == "Oslo"
}
