mod faults;
mod flushed;
mod gathered;
mod otlp;
mod rotation;
mod sinks;
mod values;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::FutureExt as _;
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::io::Errno;
use serde_json::Value;

use super::line::{LINE_LIMIT, STRING_LIMIT};
use super::*;
use crate::audit::checkpoint::tests::pair;
use crate::policy::values::{Value as Read, Values};

const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);

fn settings(path: &Path) -> AuditSettings {
    AuditSettings::file(path.to_owned())
}

fn open(path: &Path) -> Audit {
    Audit::open(&settings(path), NOW).unwrap()
}

/// What comes of `recording` without waiting for anything but its turn.
fn settled<T>(recording: impl Future<Output = T>) -> T {
    let mut recording = pin!(recording);
    match recording.as_mut().now_or_never() {
        Some(outcome) => outcome,
        None => recording.now_or_never().expect("nothing to wait for"),
    }
}

/// Records without waiting.
fn put(audit: &Audit, record: &Record<'_>) -> Result<(), AuditError> {
    settled(audit.record(record, ())).map(Recorded::into_inner)
}

/// One decision.
fn write(audit: &Audit) {
    put(audit, &typical(&audit.next_id())).unwrap();
}

/// No value was read.
static NOTHING: LazyLock<Values> = LazyLock::new(Values::default);

/// Everything is shown.
static ALL: LazyLock<Disclosure> = LazyLock::new(Disclosure::default);

fn typical(decision_id: &DecisionId) -> Record<'_> {
    Record {
        time: NOW,
        decision_id,
        generation: 3,
        digest: "4f1c2d0e9b7a6f58",
        decision: Verdict::Deny,
        reason: "policy_denied",
        detail: None,
        server: Some("weather"),
        principal: Some("User::\"corp:ada@example.com\""),
        issuer: Some("corp"),
        client: Some("https://agent.example/client.json"),
        token: Some("9f86d081884c7d659a2feaa0c55ad015"),
        method: b"POST",
        actions: &["Action::\"weather:get_forecast\""],
        resources: &["Tool::\"weather:get_forecast\""],
        policies: &["no-destructive-from-outside"],
        errors: &[],
        shadow: None,
        values: &NOTHING,
        disclosure: &ALL,
        status: Some(403),
        source: Some(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        request_id: b"0d3b1c1e-6f7a-4a7e-9f0e-2f6f3c1d9b55",
        trace_id: Some(b"4bf92f3577b34da6a3ce929d0e0e4736"),
        latency: Latency {
            token: Some(Duration::from_nanos(1_999)),
            parse: Some(Duration::from_micros(4)),
            policy: None,
            total: Duration::from_micros(31),
        },
    }
}

/// The shortest that a record can be.
fn body() -> Body {
    let mut line = Line::default();
    line.text("kind", "decision");
    line.finish()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn kinds(path: &Path) -> Vec<String> {
    lines(path).iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect()
}

fn seqs(path: &Path) -> Vec<u64> {
    lines(path).iter().map(|line| line["seq"].as_u64().unwrap()).collect()
}

#[test]
fn a_record_is_one_line_in_a_fixed_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = open(&path);
    let id = audit.next_id();
    let answered = settled(audit.record(&typical(&id), "reply"));
    assert_eq!(answered.unwrap().into_inner(), "reply");
    let boot = &audit.boot;
    let text = fs::read_to_string(&path).unwrap();
    let (opened, decision) = text.split_once('\n').unwrap();
    let zeros = "0".repeat(64);
    assert_eq!(
        opened,
        format!(
            "{{\"boot\":\"{boot}\",\"seq\":0,\"prev\":\"{zeros}\",\"kind\":\"opened\",\
             \"time\":\"2023-11-14T22:13:20.000Z\",\"cause\":\"start\",\"at\":0}}"
        )
    );
    let prev = hex(&chain::hash(opened.strip_suffix('}').unwrap().as_bytes()));
    let salt = lines(&path)[1]["salt"].as_str().unwrap().to_owned();
    let personal = format!(
        ",\"salt\":\"{salt}\",\"principal\":\"User::\\\"corp:ada@example.com\\\"\",\"source\":\"127.0.0.1\",\"values\":{{}}"
    );
    let digest = hex(&chain::hash(personal.as_bytes()));
    assert_eq!(
        decision,
        format!(
            "{{\"boot\":\"{boot}\",\"seq\":1,\"prev\":\"{prev}\",\"kind\":\"decision\",\
             \"time\":\"2023-11-14T22:13:20.000Z\",\
             \"decision_id\":\"{boot}-0\",\"generation\":3,\"digest\":\"4f1c2d0e9b7a6f58\",\"decision\":\"deny\",\
             \"reason\":\"policy_denied\",\"server\":\"weather\",\
             \"issuer\":\"corp\",\"client\":\"https://agent.example/client.json\",\
             \"token\":\"9f86d081884c7d659a2feaa0c55ad015\",\"method\":\"POST\",\
             \"actions\":[\"Action::\\\"weather:get_forecast\\\"\"],\
             \"resources\":[\"Tool::\\\"weather:get_forecast\\\"\"],\"policies\":[\"no-destructive-from-outside\"],\
             \"errors\":[],\"status\":403,\
             \"request_id\":\"0d3b1c1e-6f7a-4a7e-9f0e-2f6f3c1d9b55\",\
             \"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\
             \"latency_us\":{{\"token\":1,\"parse\":4,\"total\":31}},\"personal\":\"{digest}\"{personal}}}\n"
        )
    );
}

#[test]
fn the_file_is_made_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let _audit = open(&path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let first = open(&path);
    let refused = Audit::open(&settings(&path), NOW).map(|_| ());
    assert_eq!(refused, Err(AuditError::Locked { path: path.clone() }));
    drop(first);
    let _second = open(&path);
}

#[test]
fn no_sink_and_a_missing_folder_are_errors() {
    assert_eq!(Audit::open(&AuditSettings::default(), NOW).map(|_| ()), Err(AuditError::NoSink));
    let path = Path::new("/nonexistent/audit.jsonl");
    let expected = AuditError::Open { sink: path.display().to_string(), cause: Errno::NOENT };
    assert_eq!(Audit::open(&settings(path), NOW).map(|_| ()), Err(expected));
}

#[test]
fn a_full_disk_loses_the_decision_and_is_counted() {
    let settings = settings(Path::new("/dev/full"));
    let audit = Audit::open(&settings, NOW).unwrap();
    let id = audit.next_id();
    for failures in 1..3 {
        let expected = AuditError::Write { sink: "/dev/full".to_owned(), cause: Errno::NOSPC };
        assert_eq!(put(&audit, &typical(&id)), Err(expected.clone()));
        assert_eq!(settings.failures.get(), failures);
        let status = SinkStatus {
            sink: "/dev/full".to_owned(),
            mode: "strict",
            recorded: 0,
            failures,
            failing: Some(expected.to_string()),
        };
        assert_eq!(audit.sinks(), [status]);
    }
}

#[test]
fn half_a_line_is_cut_off_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let first = open(&path);
    write(&first);
    drop(first);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{{\"half")).unwrap();
    let audit = open(&path);
    write(&audit);
    assert!(fs::read_to_string(&path).unwrap().starts_with(&whole));
    let lines = lines(&path);
    assert_eq!(kinds(&path), ["opened", "decision", "opened", "decision"]);
    assert_eq!(
        (&lines[2]["cause"], &lines[2]["torn"], &lines[2]["at"]),
        (&"start".into(), &6.into(), &whole.len().into())
    );
    assert_eq!(seqs(&path), [0, 1, 2, 3]);
}

#[test]
fn a_file_without_lines_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let foreign = vec![b'x'; LINE_LIMIT + 1];
    fs::write(&path, &foreign).unwrap();
    assert_eq!(Audit::open(&settings(&path), NOW).map(|_| ()), Err(AuditError::NoTrail { path: path.clone() }));
    assert_eq!(fs::read(&path).unwrap(), foreign);
    fs::write(&path, &foreign[..LINE_LIMIT]).unwrap();
    write(&open(&path));
    assert_eq!(lines(&path)[0]["torn"], LINE_LIMIT);
}

#[test]
fn after_a_rotation_from_outside_records_go_to_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let audit = open(&path);
    write(&audit);
    audit.reopen(NOW).unwrap();
    write(&audit);
    fs::rename(&path, &rotated).unwrap();
    write(&audit);
    fs::write(&path, "half").unwrap();
    audit.reopen(NOW).unwrap();
    write(&audit);
    assert_eq!((seqs(&rotated), seqs(&path)), (vec![0, 1, 2, 3, 4], vec![5, 6]));
    assert_eq!(kinds(&rotated), ["opened", "decision", "decision", "decision", "closed"]);
    let opened = &lines(&path)[0];
    assert_eq!((&opened["cause"], &opened["torn"]), (&"reopened".into(), &4.into()));
}

#[test]
fn a_reopening_that_fails_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let audit = open(&path);
    fs::rename(&path, &rotated).unwrap();
    let other = open(&path);
    assert_eq!(audit.reopen(NOW), Err(AuditError::Locked { path }));
    write(&audit);
    assert_eq!(kinds(&rotated), ["opened", "decision"]);
    drop(other);
}

#[test]
fn lines_of_many_threads_are_whole_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = open(&path);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..200).for_each(|_| write(&audit)));
        }
    });
    let lines = &lines(&path)[1..];
    assert_eq!(seqs(&path), (0..=1600).collect::<Vec<_>>());
    let mut ids: Vec<_> = lines.iter().map(|line| line["decision_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1600);
}

#[test]
fn a_fingerprint_is_stable_in_a_process_and_differs_between_two() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(&folder.path().join("1")), open(&folder.path().join("2")));
    assert_eq!(one.fingerprint(b"t"), one.fingerprint(b"t"));
    assert_eq!(one.fingerprint(b"t").len(), 32);
    assert_ne!(one.fingerprint(b"t"), one.fingerprint(b"u"));
    assert_ne!(one.fingerprint(b"t"), other.fingerprint(b"t"));
    assert_ne!(one.boot, other.boot);
}

/// What a caller may send, in every place where something can stand.
#[derive(Debug)]
struct Hostile {
    texts: Vec<String>,
    bytes: Vec<u8>,
    list: Vec<String>,
    number: i64,
}

fn hostile() -> impl Strategy<Value = Hostile> {
    // Mostly short, some past every limit; characters from all of Unicode, and of escapes and controls in particular.
    let text =
        || prop_oneof![9 => "(\\PC|[\u{0}-\u{1f}\"\\\\\u{7f}-\u{9f}\u{2028}\u{202e}]){0,20}", 1 => "\\PC{250,300}"];
    (vec(text(), 9), vec(any::<u8>(), 0..400), vec(text(), 0..60), any::<i64>())
        .prop_map(|(texts, bytes, list, number)| Hostile { texts, bytes, list, number })
}

/// The line of a record with `hostile` in every field.
fn hostile_line(audit: &Audit, path: &Path, hostile: &Hostile) -> Vec<u8> {
    let mut texts = hostile.texts.iter().map(String::as_str);
    let mut text = || texts.next().unwrap();
    let list: Vec<_> = hostile.list.iter().map(String::as_str).collect();
    let texts: Vec<Read> = hostile.list.iter().cloned().map(Read::Text).collect();
    let mut entries = vec![("number", Read::Long(hostile.number)), ("truth", Read::Bool(true)), ("none", Read::Absent)];
    entries.extend(list.iter().copied().zip(texts.iter().cloned()).take(list.len() / 2));
    entries.push(("all", Read::List(texts)));
    let values: Values = entries.into_iter().map(|(path, value)| (Arc::from(path), value)).collect();
    let id = audit.next_id();
    let record = Record {
        time: UnixTime::from_millis(hostile.number),
        digest: text(),
        reason: text(),
        detail: Some(text()),
        server: Some(text()),
        principal: Some(text()),
        issuer: Some(text()),
        client: Some(text()),
        token: Some(text()),
        method: &hostile.bytes,
        actions: &list,
        resources: &list,
        policies: &list,
        errors: &list,
        values: &values,
        request_id: &hostile.bytes,
        trace_id: Some(text().as_bytes()),
        latency: Latency {
            token: Some(Duration::MAX),
            parse: Some(Duration::MAX),
            policy: Some(Duration::MAX),
            total: Duration::MAX,
        },
        ..typical(&id)
    };
    put(audit, &record).unwrap();
    let text = fs::read(path).unwrap();
    text.split_inclusive(|byte| *byte == b'\n').next_back().unwrap().to_vec()
}

#[track_caller]
fn one_ascii_line(line: &[u8]) -> Value {
    let (last, rest) = line.split_last().unwrap();
    assert_eq!(*last, b'\n');
    assert!(rest.iter().all(|byte| matches!(byte, b' '..=b'~')));
    assert!(line.len() < LINE_LIMIT, "{} bytes", line.len());
    std::str::from_utf8(rest).unwrap().parse().unwrap()
}

/// The text comes back whole, or as a start of it with the mark of a cut.
#[track_caller]
fn comes_back(written: &Value, sent: &str) {
    let written = written.as_str().unwrap();
    if written != sent {
        let (start, mark) = written.rsplit_once("…#").unwrap();
        assert!(sent.starts_with(start) && mark.len() == 16);
        assert!(sent.len() * 6 > STRING_LIMIT, "cut too early: `{sent}`");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_field_are_one_line_of_printable_ascii_that_reads_back(hostile in hostile()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let line = one_ascii_line(&hostile_line(&open(&path), &path, &hostile));
        comes_back(&line["digest"], &hostile.texts[0]);
        comes_back(&line["trace_id"], &hostile.texts[8]);
        comes_back(&line["request_id"], &String::from_utf8_lossy(&hostile.bytes));
        for (written, sent) in line["policies"].as_array().unwrap().iter().zip(&hostile.list) {
            if !written.as_str().unwrap().starts_with("…+") {
                comes_back(written, sent);
            }
        }
    }
}

#[test]
fn the_longest_record_is_below_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    // Each list stops one full string after its limit: the first item brings it to one byte below.
    let first = "x".repeat(STRING_LIMIT);
    let list: Vec<_> = (0..100).map(|n| format!("{first}{n}")).collect();
    let hostile = Hostile { texts: list[..9].to_vec(), bytes: first.repeat(2).into_bytes(), list, number: i64::MIN };
    let line = hostile_line(&open(&path), &path, &hostile);
    one_ascii_line(&line);
    assert!(line.len() > LINE_LIMIT / 2, "the case is not the longest: {} bytes", line.len());
}

/// Every member that a line has is in the published schema, and every required member is in the line.
#[track_caller]
fn fits_the_schema(line: &Value, kind: &str) {
    let schema: Value = include_str!("../../docs/audit-record.schema.json").parse().unwrap();
    let shape = &schema["$defs"][kind];
    let members: BTreeMap<_, _> = line.as_object().unwrap().iter().collect();
    for (name, value) in &members {
        let mut rule = &shape["properties"][name.as_str()];
        assert!(!rule.is_null(), "`{name}` is not in the schema");
        if let Some(target) = rule["$ref"].as_str() {
            rule = schema.pointer(target.trim_start_matches('#')).unwrap();
        }
        let fits = match rule["type"].as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64(),
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            _ => rule["const"] == **value || rule["enum"].as_array().unwrap().contains(value),
        };
        assert!(fits, "`{name}` is {value}, the schema says {rule}");
    }
    let shapes = &schema["$defs"]["value"]["oneOf"];
    for (path, value) in line["values"].as_object().into_iter().flatten() {
        let fits = |shape: &Value| match shape["type"].as_str().unwrap() {
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            "array" => {
                value.as_array().is_some_and(|items| items.iter().all(|item| !item.is_object() && !item.is_array()))
            }
            "object" => value
                .as_object()
                .is_some_and(|mark| mark.len() == 1 && shape["required"][0] == **mark.keys().next().unwrap()),
            other => panic!("{other}"),
        };
        let fitting = shapes.as_array().unwrap().iter().filter(|shape| fits(shape)).count();
        assert_eq!(fitting, 1, "`{path}` is {value}");
    }
    for name in shape["required"].as_array().unwrap() {
        assert!(members.contains_key(&name.as_str().unwrap().to_owned()), "{name} is missing");
    }
}

#[test]
fn every_kind_of_record_fits_the_published_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    fs::write(&path, "half").unwrap();
    let signer = Arc::new(Signer::parse(&pair().0).unwrap());
    let checkpoints = CheckpointSettings { signer, records: 100, interval: Duration::from_secs(1), copy: None };
    let audit = Audit::open(
        &AuditSettings { checkpoints: Some(checkpoints), unauthenticated_rate: Some(1), ..settings(&path) },
        NOW,
    )
    .unwrap();
    let problems = ["unknown key `sever`"];
    let outcome = ReloadOutcome::Refused;
    audit.reload(&Reload { time: NOW, outcome, generation: 3, digest: "4f1c", problems: &problems }).unwrap();
    let id = audit.next_id();
    let values = [
        ("context.arguments.days", Read::Long(7)),
        ("context.arguments.city", Read::Text("Oslo".to_owned())),
        ("context.arguments.on", Read::Presence(true)),
        ("context.arguments.tags", Read::List(vec![Read::Long(1), Read::Text("a".to_owned())])),
        ("context.arguments.none", Read::Absent),
    ];
    let values: Values = values.map(|(path, value)| (Arc::from(path), value)).into_iter().collect();
    put(&audit, &Record { detail: Some("tool is not in the catalogue"), values: &values, ..typical(&id) }).unwrap();
    for _ in 0..3 {
        put(&audit, &Record { principal: None, server: None, ..typical(&id) }).unwrap();
    }
    audit.close(NOW);
    assert_eq!(kinds(&path), ["opened", "reload", "decision", "decision", "flood", "closed", "checkpoint"]);
    for line in lines(&path) {
        fits_the_schema(&line, line["kind"].as_str().unwrap());
    }
    assert_eq!(lines(&path)[4]["denials"], serde_json::json!({"/policy_denied": 2}));
    fits_the_schema(
        &serde_json::json!({"boot": "", "seq": 0, "prev": "", "kind": "lost", "time": "", "count": 1}),
        "lost",
    );
}

/// `cargo test --release --lib audit::tests::cost -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn cost() {
    const ROUNDS: u32 = 1_000_000;
    let id = DecisionId("0123456789abcdef-1234".to_owned());
    let record = typical(&id);
    let mut length = 0;
    let start = std::time::Instant::now();
    for _ in 0..ROUNDS {
        let mut line = Line::with_capacity(TYPICAL_RECORD);
        std::hint::black_box(&record).write(&mut line, "0123456789abcdef0123456789abcdef", None);
        length = line.finish().bytes.len();
    }
    println!("serialise: {:?} for {} bytes", start.elapsed() / ROUNDS, length);
    let folder = tempfile::tempdir().unwrap();
    let audit = open(&folder.path().join("audit.jsonl"));
    let start = std::time::Instant::now();
    for _ in 0..ROUNDS / 4 {
        write(&audit);
    }
    println!("record: {:?}", start.elapsed() / (ROUNDS / 4));
}
