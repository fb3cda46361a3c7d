//! The messages of OTLP, generated from `proto/`, and the one place that names them: lines in, bytes out.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;

use crate::audit::line::LINE_LIMIT;
use crate::json::{Document, Limits, Value};

mod generated {
    #![expect(unreachable_pub, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/otlp.rs"));
}

use generated::opentelemetry::proto::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use generated::opentelemetry::proto::common::v1::any_value;
use generated::opentelemetry::proto::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use generated::opentelemetry::proto::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use generated::opentelemetry::proto::resource::v1::Resource;

/// `SEVERITY_NUMBER_INFO`, and its name.
const INFO: (i32, &str) = (9, "INFO");

/// What is in a record, without its place in the chain, that a log is searched by. Nothing personal: that can be erased from the
/// body alone.
const SEARCHED: [(&str, &str); 4] = [
    ("decision", "toolgate.decision"),
    ("reason", "toolgate.reason"),
    ("server", "toolgate.server"),
    ("decision_id", "toolgate.decision_id"),
];

/// A record nests three deep, and a value takes a byte at least.
const LIMITS: Limits = Limits { depth: 8, nodes: LINE_LIMIT };

/// What an answer says of a batch: how many records were not taken, and why, for people.
pub(super) type Rejected = Option<(u64, String)>;

/// The request that exports `lines`, of the process that is called `boot`.
pub(super) fn request<'l>(boot: &Arc<str>, lines: impl Iterator<Item = &'l [u8]>) -> Bytes {
    let version = env!("CARGO_PKG_VERSION");
    let attributes =
        vec![text("service.name", "toolgate"), text("service.version", version), text("service.instance.id", boot)];
    let scope = InstrumentationScope { name: "toolgate.audit".to_owned(), version: version.to_owned() };
    let log_records = lines.map(record).collect();
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes }),
            scope_logs: vec![ScopeLogs { scope: Some(scope), log_records }],
        }],
    };
    request.encode_to_vec().into()
}

/// Reads the answer to a batch; `None` if it is none. What is not a number of records counts as all of them.
pub(super) fn response(bytes: &[u8]) -> Option<Rejected> {
    let response = ExportLogsServiceResponse::decode(bytes).ok()?;
    let rejected = response.partial_success.filter(|partial| partial.rejected_log_records != 0);
    Some(
        rejected
            .map(|partial| (u64::try_from(partial.rejected_log_records).unwrap_or(u64::MAX), partial.error_message)),
    )
}

/// The line as it is, and beside it what it says. It is sent whatever it says.
fn record(line: &[u8]) -> LogRecord {
    let body = String::from_utf8_lossy(line).into_owned();
    let mut made = LogRecord {
        severity_number: INFO.0,
        severity_text: INFO.1.to_owned(),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(body)) }),
        ..LogRecord::default()
    };
    if let Ok(document) = Document::parse(line, LIMITS) {
        describe(&mut made, &document.root());
    }
    made
}

fn describe(made: &mut LogRecord, record: &Value<'_>) {
    let member = |name| record.get(name).and_then(Value::as_str);
    if let Some(kind) = member("kind") {
        made.event_name = format!("toolgate.audit.{kind}");
        made.attributes.push(text("toolgate.audit.kind", &kind));
    }
    if let Some(seq) = record.get("seq").and_then(Value::as_i64) {
        made.attributes.push(attribute("toolgate.audit.seq", any_value::Value::IntValue(seq)));
    }
    let found = SEARCHED.iter().filter_map(|(name, key)| Some(text(key, &member(name)?)));
    made.attributes.extend(found);
    let time = member("time").and_then(|time| time.parse::<Timestamp>().ok());
    // Before 1970 and after 2554 there is no such number.
    let nanoseconds = time.and_then(|time| u64::try_from(time.as_nanosecond()).ok()).unwrap_or(0);
    (made.time_unix_nano, made.observed_time_unix_nano) = (nanoseconds, nanoseconds);
    made.trace_id = member("trace_id").and_then(|id| trace_id(&id)).unwrap_or_default();
}

/// The 16 bytes of a W3C trace id; all zeros is none.
fn trace_id(text: &str) -> Option<Vec<u8>> {
    let id = u128::from_str_radix(text, 16).ok().filter(|id| *id != 0 && text.len() == 32 && !text.starts_with('+'))?;
    Some(id.to_be_bytes().to_vec())
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
