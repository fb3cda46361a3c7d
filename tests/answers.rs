//! The whole answer to each of many requests: what Envoy is told, what the caller reads, what changes on the way up, and
//! what is left on record. `answers/expect.rs` has the table of answers; the rows are by topic.

use std::collections::BTreeSet;

use prost_types::value::Kind;
use prost_types::{Struct, Value as Field};
use serde_json::{Map, Value};
use toolgate::decision::denial::Reason;
use toolgate::envoy::wire::check_response::HttpResponse;
use toolgate::envoy::wire::{CheckResponse, HeaderValueOption};

use crate::support::gate::House;
use crate::support::people::key_files;

mod body;
mod browsers;
mod credentials;
mod expect;
mod faults;
mod headers;
mod introspection;
mod json;
mod metadata;
mod methods;
mod policies;
mod resources;
mod routing;
mod senders;
mod table;
mod tokens;
mod tools;
mod upstream;

use expect::{ID, Row, sorted_json};

/// Every topic with its rows.
fn topics() -> Vec<(&'static str, Vec<Row>)> {
    vec![
        ("routing", routing::rows()),
        ("metadata", metadata::rows()),
        ("browsers", browsers::rows()),
        ("credentials", credentials::rows()),
        ("tokens", tokens::rows()),
        ("senders", senders::rows()),
        ("introspection", introspection::rows()),
        ("body", body::rows()),
        ("json", json::rows()),
        ("methods", methods::rows()),
        ("headers", headers::rows()),
        ("tools", tools::rows()),
        ("resources", resources::rows()),
        ("policies", policies::rows()),
        ("upstream", upstream::rows()),
        ("faults", faults::rows()),
    ]
}

/// The gate of `answers/world`, with this for its audit file and the address of its introspection endpoint.
fn house(audit: &str, endpoint: &str) -> House {
    let config =
        include_str!("answers/world/toolgate.yaml").replace("audit.jsonl", audit).replace("ENDPOINT", endpoint);
    let [corp, partner] = key_files();
    House::build(&[
        ("toolgate.yaml", &config),
        ("weather.json", include_str!("answers/world/weather.json")),
        ("nonces.secret", senders::NONCE_SECRET),
        ("revoked.yaml", include_str!("answers/world/revoked.yaml")),
        ("bank.json", include_str!("answers/world/bank.json")),
        ("policies/session.cedar", include_str!("../policies/session.cedar")),
        ("policies/weather.cedar", include_str!("answers/world/policies/weather.cedar")),
        ("policies/bank.cedar", include_str!("answers/world/policies/bank.cedar")),
        ("policies/notes.cedar", include_str!("answers/world/policies/notes.cedar")),
        ("secret", "s3cret\n"),
        (corp.0, &corp.1),
        (partner.0, &partner.1),
    ])
}

#[tokio::test]
async fn every_answer_is_whole() {
    let endpoint = introspection::endpoint();
    let mut house = house("audit.jsonl", &endpoint.base);
    let served = house.serve(&[None, Some("bank")]).await;
    // By topic and row; in other rows policies read nothing.
    let Value::Object(mut values) = include_str!("answers/world/values.json").parse().unwrap() else {
        panic!("no object")
    };
    let mut wrong = Vec::new();
    for (topic, rows) in topics() {
        for Row { name, ask, mut answer } in rows {
            if let Some(values) = values.remove(&format!("{topic}: {name}")) {
                answer = answer.values(values);
            }
            let response = served.ask(ask.listener, ask.encode()).await;
            let mut records = house.records();
            assert_eq!(records.len(), 1, "{topic}: {name}");
            let found = whole(&response, records.pop());
            let expected = answer.whole(&ask, &house.digest, true);
            if found != expected {
                wrong.push(format!("=== {topic}: {name}\n{}", difference(&found, &expected)));
            }
        }
    }
    served.stop().await;
    introspection::check(&endpoint);
    assert_eq!(values.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "there are no such rows");
    assert!(wrong.is_empty(), "{} rows are wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn without_a_record_nothing_passes() {
    let house = house("/dev/full", "http://127.0.0.1:1");
    let served = house.serve(&[None]).await;
    for Row { name, ask, answer } in faults::rows_without_a_record() {
        let response = served.ask(ask.listener, ask.encode()).await;
        assert_eq!(whole(&response, None), answer.whole(&ask, &house.digest, false), "{name}");
    }
    served.stop().await;
}

#[test]
fn every_reason_occurs() {
    let rows: Vec<Row> = topics().into_iter().flat_map(|(_, rows)| rows).collect();
    assert!(rows.len() >= 150, "{} rows", rows.len());
    println!("{} rows", rows.len());
    let unrecorded = faults::rows_without_a_record();
    let found: BTreeSet<Reason> = rows.iter().chain(&unrecorded).map(|row| row.answer.reason).collect();
    assert_eq!(found, BTreeSet::from(Reason::ALL));
}

/// Everything that is said to and about a request, in the form of [`Answer::whole`].
fn whole(response: &CheckResponse, record: Option<Value>) -> String {
    let status = response.status.as_ref().expect("a status: an empty one allows");
    let mut lines = vec![format!("grpc {} {}", status.code, status.message)];
    let (http, headers, removed, body) = match response.http_response.as_ref().expect("what to do") {
        HttpResponse::OkResponse(ok) => (None, &ok.headers, &ok.headers_to_remove[..], ""),
        HttpResponse::DeniedResponse(denied) => {
            let status = denied.status.as_ref().expect("a status").code;
            (Some(status), &denied.headers, &[][..], denied.body.as_str())
        }
    };
    lines.push(format!("http {http:?}"));
    lines.extend(sorted(headers.iter().map(line)));
    lines.extend(sorted(removed.iter().map(|name| format!("remove {name}"))));
    lines.push(format!("body {body}"));
    let metadata = plain(response.dynamic_metadata.as_ref().expect("metadata"));
    let id = metadata["decision_id"].as_str().expect("an id").to_owned();
    lines.push(format!("metadata {}", sorted_json(&metadata)));
    lines.extend(record.map(|record| format!("record {}", sorted_json(&comparable(record)))));
    lines.join("\n").replace(&id, ID)
}

fn line(option: &HeaderValueOption) -> String {
    assert_eq!(option.append, None, "headers are set");
    let header = option.header.as_ref().expect("a header");
    format!("{}: {}", header.key, header.value)
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// A record without what no test can know: which process, after which record, how long, and whose token in what key.
fn comparable(mut record: Value) -> Value {
    let members = record.as_object_mut().unwrap();
    for name in ["boot", "seq", "prev", "personal", "salt"] {
        members.remove(name);
    }
    assert!(members.remove("latency_us").unwrap()["total"].is_u64());
    if let Some(token) = members.get_mut("token") {
        assert!(token.as_str().is_some_and(|token| token.len() == 32), "{token}");
        *token = "<fingerprint>".into();
    }
    record
}

fn plain(fields: &Struct) -> Value {
    let members = fields.fields.iter().map(|(name, value)| (name.clone(), plain_value(value)));
    Value::from(members.collect::<Map<String, Value>>())
}

fn plain_value(value: &Field) -> Value {
    match value.kind.as_ref().expect("a kind") {
        Kind::StringValue(text) => text.as_str().into(),
        Kind::NumberValue(number) => (*number).into(),
        Kind::ListValue(list) => list.values.iter().map(plain_value).collect(),
        other => panic!("{other:?}"),
    }
}

/// The lines that only one side has.
fn difference(found: &str, expected: &str) -> String {
    let only = |mark: char, one: &str, other: &str| -> Vec<String> {
        one.lines().filter(|line| !other.lines().any(|o| o == *line)).map(|line| format!("{mark} {line}")).collect()
    };
    [only('+', found, expected), only('-', expected, found)].concat().join("\n")
}
