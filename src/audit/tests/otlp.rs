//! A collector that does each thing a collector can do, a fake on a socket: what was allowed is there all the same, the chain
//! holds, and what is missing is counted.

mod fake;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::task::Poll;
use std::time::Instant;

use super::faults::FakeDisk;
use super::*;
use crate::audit::record::{Cause, Opened};
use fake::{Fake, Says};

const PATIENCE: Duration = Duration::from_secs(20);

/// Records that wait at the most.
const QUEUE: u64 = 4096;

fn otlp(fake: &Fake, mode: Mode) -> AuditSettings {
    AuditSettings { otlp: Some(settings_for(&fake.url(), mode)), ..AuditSettings::default() }
}

fn settings_for(url: &str, mode: Mode) -> OtlpSettings {
    OtlpSettings { endpoint: url.parse().unwrap(), mode, access: OtlpAccess::default() }
}

/// What callers were told.
struct Told {
    audit: Audit,
    runtime: tokio::runtime::Runtime,
    acknowledged: Vec<String>,
}

impl Told {
    fn new(settings: &AuditSettings) -> Self {
        Self::on(FakeDisk::default(), settings)
    }

    fn on(disk: FakeDisk, settings: &AuditSettings) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(disk);
        Self { audit: Audit::open_on(&disk, settings, NOW).unwrap(), runtime, acknowledged: Vec::new() }
    }

    fn decide(&mut self) -> Result<(), AuditError> {
        self.decide_many(1, || {}).remove(0)
    }

    /// Decisions at one moment, and what happens once they wait.
    fn decide_many(&mut self, count: usize, then: impl FnOnce()) -> Vec<Result<(), AuditError>> {
        let ids: Vec<DecisionId> = (0..count).map(|_| self.audit.next_id()).collect();
        let records: Vec<Record<'_>> = ids.iter().map(typical).collect();
        let all = records.iter().map(|record| self.audit.record(record, ()));
        let mut all = Box::pin(join_all(all));
        let outcomes = self.runtime.block_on(async {
            let early = std::future::poll_fn(|context| Poll::Ready(all.as_mut().poll(context))).await;
            then();
            match early {
                Poll::Ready(outcomes) => outcomes,
                Poll::Pending => all.await,
            }
        });
        let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.map(Recorded::into_inner)).collect();
        for (id, outcome) in ids.iter().zip(&outcomes) {
            if outcome.is_ok() {
                self.acknowledged.push(id.to_string());
            }
        }
        outcomes
    }

    /// Until the sink takes records again.
    #[track_caller]
    fn until_it_works(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.decide().is_err() {
            assert!(Instant::now() < deadline, "it never works again");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The end, in order; then everything acknowledged is in the store. Returns what `verify` finds there.
    #[track_caller]
    fn end(self, fake: &Fake) -> Vec<Fault> {
        self.audit.close(NOW);
        let status = self.audit.sinks().pop().unwrap();
        drop(self.audit);
        let store = fake.store();
        let kinds: Vec<String> = store
            .values()
            .filter(|line| line["kind"] != "checkpoint")
            .map(|line| line["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds.last().map(String::as_str), Some("closed"), "{status:?}");
        for id in &self.acknowledged {
            assert!(store.values().any(|line| line["decision_id"] == *id), "{id} is missing: {status:?}");
        }
        faults(&fake.text())
    }
}

fn faults(text: &str) -> Vec<Fault> {
    let mut verifier = Verifier::new(None);
    verifier.file("collector", text.as_bytes()).unwrap();
    verifier.finish().findings.into_iter().map(|finding| finding.what).collect()
}

/// The sum of what `lost` records tell.
fn lost(store: &BTreeMap<u64, Value>) -> u64 {
    let lost = store.values().filter(|line| line["kind"] == "lost");
    lost.map(|line| line["count"].as_u64().unwrap()).sum()
}

fn refused(fake: &Fake, cause: ExportError) -> Result<(), AuditError> {
    Err(AuditError::Export { sink: fake.url(), cause })
}

fn stalled(fake: &Fake) -> Result<(), AuditError> {
    Err(AuditError::Stalled { sink: fake.url() })
}

/// What a collector does, what a record that meets it is told, how many are missing then, and what `verify` finds.
type Case = (Vec<Says>, Option<ExportError>, u64, Vec<Fault>);

#[test]
fn whatever_a_collector_answers_nothing_acknowledged_is_missing() {
    let rejected = |count, message: &str| ExportError::Rejected { count, message: message.to_owned() };
    let status = |code: u16| Says::Status(code, "");
    let cases: Vec<Case> = vec![
        (vec![Says::Takes], None, 0, vec![]),
        (vec![Says::Empty("204 No Content")], None, 0, vec![]),
        (vec![Says::rejects(0, "slow down")], None, 0, vec![]),
        // To be sent again.
        (vec![status(503), status(503)], None, 0, vec![]),
        (vec![Says::Status(429, "retry-after: 0\r\n"), status(502), status(504)], None, 0, vec![]),
        (vec![Says::Status(503, "retry-after: Wed, 25 Nov 2026 10:00:00 GMT\r\n")], None, 0, vec![]),
        (vec![Says::Breaks], None, 0, vec![]),
        (vec![Says::TakesAndBreaks], None, 0, vec![]),
        (vec![Says::TakesAndBreaks, status(503), Says::TakesAndBreaks], None, 0, vec![]),
        // Not to be sent again, and not there: the number is free.
        (vec![status(400)], Some(ExportError::Status(400)), 1, vec![]),
        (vec![status(401)], Some(ExportError::Status(401)), 1, vec![]),
        (vec![status(302)], Some(ExportError::Status(302)), 1, vec![]),
        (vec![Says::rejects(1, "no")], Some(rejected(1, "no")), 1, vec![]),
        (vec![Says::rejects(i64::MAX, "")], Some(rejected(i64::MAX.unsigned_abs(), "")), 1, vec![]),
        (vec![Says::rejects(-1, "")], Some(rejected(u64::MAX, "")), 1, vec![]),
        // Not to be sent again, and nobody knows.
        (vec![status(500)], Some(ExportError::Status(500)), 1, vec![Fault::Missing(1)]),
        (vec![status(501)], Some(ExportError::Status(501)), 1, vec![Fault::Missing(1)]),
        (vec![Says::Empty("200 OK\r\ncontent-type: text/html")], None, 0, vec![]),
        (vec![Says::html()], Some(ExportError::Answer), 1, vec![Fault::Missing(1)]),
        (vec![Says::protobuf(b"\x0a\xff".to_vec())], Some(ExportError::Answer), 1, vec![Fault::Missing(1)]),
        // It was sent before: it may be there after all.
        (vec![Says::TakesAndBreaks, status(400)], Some(ExportError::Status(400)), 1, vec![]),
        (vec![Says::Breaks, status(400)], Some(ExportError::Status(400)), 1, vec![Fault::Missing(1)]),
    ];
    for (script, error, failures, findings) in cases {
        let what = format!("{script:?}");
        let fake = Fake::start();
        let settings = otlp(&fake, Mode::Strict);
        let mut told = Told::new(&settings);
        told.decide().unwrap();
        fake.will(script);
        let expected = error.map_or(Ok(()), |cause| refused(&fake, cause));
        assert_eq!(told.decide(), expected, "{what}");
        let status = told.audit.sinks().remove(0);
        assert_eq!(status.failing, expected.err().map(|error| error.to_string()), "{what}");
        assert_eq!((status.recorded, status.failures), (2 - failures, failures), "{what}");
        assert!(fake.is_over(), "{what}: not all of it was asked for");
        told.decide().unwrap();
        assert_eq!(told.audit.sinks()[0].failing, None, "{what}");
        assert_eq!(told.end(&fake), findings, "{what}");
        assert_eq!((settings.failures.get(), lost(&fake.store())), (failures, failures), "{what}");
    }
}

/// The bytes of an answer that are read.
#[test]
fn an_answer_is_read_up_to_its_limit() {
    for (length, expected) in [(64 * 1024, None), (64 * 1024 + 1, Some(ExportError::Answer))] {
        let fake = Fake::start();
        let mut told = Told::new(&otlp(&fake, Mode::Strict));
        fake.will(vec![Says::rejects(0, "").padded_to(length)]);
        assert_eq!(told.decide(), expected.map_or(Ok(()), |cause| refused(&fake, cause)), "{length}");
    }
}

#[test]
fn of_a_batch_that_was_taken_in_part_nobody_is_told_that_it_was() {
    let fake = Fake::start();
    let settings = otlp(&fake, Mode::Strict);
    let mut told = Told::new(&settings);
    fake.will(vec![Says::Holds]);
    // Nobody waits for it: what comes meanwhile is one batch.
    drop(told.audit.append(decision(), NOW));
    fake.until_asked(1);
    fake.will(vec![Says::RejectsLast(2, "x".repeat(300))]);
    let message = "x".repeat(256);
    let outcomes = told.decide_many(5, || fake.release());
    let expected = refused(&fake, ExportError::Rejected { count: 2, message });
    assert_eq!(outcomes, vec![expected; 5]);
    let status = told.audit.sinks().remove(0);
    assert_eq!((status.recorded, status.failures), (4, 2));
    told.decide().unwrap();
    assert_eq!(fake.asked(), 3);
    assert_eq!(told.end(&fake), [Fault::Missing(2)]);
    assert_eq!((settings.failures.get(), lost(&fake.store())), (2, 2));
}

fn decision() -> Body {
    let mut line = Line::default();
    line.text("kind", "decision");
    line.finish()
}

#[test]
fn a_collector_that_stalls_denies_once_it_is_known_and_works_again_when_it_moves() {
    let fake = Fake::start();
    let mut told = Told::new(&otlp(&fake, Mode::Strict));
    told.decide().unwrap();
    fake.will(vec![Says::Holds]);
    assert_eq!(told.decide(), stalled(&fake));
    // Known: these do not wait, or the test would.
    assert_eq!(told.decide_many(100, || {}), vec![stalled(&fake); 100]);
    fake.release();
    told.until_it_works();
    let status = told.audit.sinks().remove(0);
    assert_eq!((status.failures, status.failing), (0, None));
    assert_eq!(told.end(&fake), []);
    assert_eq!(fake.lines().len(), fake.store().len(), "nothing is there twice");
}

#[test]
fn a_collector_that_is_gone_denies_and_works_again_when_it_is_back() {
    let fake = Fake::start();
    let mut told = Told::new(&otlp(&fake, Mode::Strict));
    told.decide().unwrap();
    let address = fake.stop();
    assert_eq!(told.decide(), stalled(&fake));
    let cause = ExportError::Connect("Connection refused (os error 111)".to_owned());
    let failing = AuditError::Export { sink: fake.url(), cause };
    assert_eq!(told.audit.sinks()[0].failing, Some(failing.to_string()));
    fake.serve(TcpListener::bind(address).unwrap());
    told.until_it_works();
    assert_eq!(told.audit.sinks()[0].failures, 0);
    assert_eq!(told.end(&fake), []);
}

#[test]
fn best_effort_never_waits_and_tells_to_the_last_one_what_it_dropped() {
    const DROPPED: u64 = 100;
    let fake = Fake::start();
    let settings = otlp(&fake, Mode::BestEffort);
    let told = Told::new(&settings);
    fake.will(vec![Says::Holds]);
    let append = || told.runtime.block_on(told.audit.sinks[0].append(decision(), NOW).outcome());
    for number in 0..QUEUE + DROPPED {
        assert_eq!(append(), None);
        assert_eq!(settings.failures.get(), number.saturating_sub(QUEUE - 1), "{number}");
    }
    fake.release();
    let deadline = Instant::now() + PATIENCE;
    while told.audit.sinks()[0].recorded < QUEUE {
        assert!(Instant::now() < deadline, "{:?}", told.audit.sinks());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(told.end(&fake), []);
    let store = fake.store();
    let decisions = u64::try_from(store.values().filter(|line| line["kind"] == "decision").count()).unwrap();
    assert_eq!((decisions, lost(&store)), (QUEUE, DROPPED));
}

/// What is pending of a reply that nobody waits for any more is recorded all the same.
#[test]
fn a_caller_that_gives_up_leaves_its_record() {
    let fake = Fake::start();
    let mut told = Told::new(&otlp(&fake, Mode::Strict));
    told.decide().unwrap();
    fake.will(vec![Says::Holds]);
    {
        let _timers = told.runtime.enter();
        let id = told.audit.next_id();
        let record = typical(&id);
        let mut pending = Box::pin(told.audit.record(&record, ()));
        assert!(pending.as_mut().now_or_never().is_none());
    }
    fake.release();
    told.decide().unwrap();
    assert_eq!(told.end(&fake), []);
    assert_eq!(fake.store().values().filter(|line| line["kind"] == "decision").count(), 3);
}

#[test]
fn the_end_does_not_wait_for_a_collector_that_is_gone() {
    let fake = Fake::start();
    let told = Told::new(&otlp(&fake, Mode::Strict));
    fake.stop();
    drop(told.audit.append(decision(), NOW));
    told.audit.close(NOW);
    // It would never end.
    drop(told);
    assert_eq!(fake.lines().len(), 0);
}

/// Each sink has a chain and a mode of its own; one that counts is enough, and one that does not is not.
#[test]
fn several_sinks_each_count_by_their_own_mode() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (full, file_mode, otlp_mode, says, allowed)) in [
        (false, Mode::Strict, Mode::Strict, 400, true),
        (false, Mode::Strict, Mode::BestEffort, 400, true),
        (true, Mode::Strict, Mode::Strict, 200, true),
        (true, Mode::Strict, Mode::BestEffort, 200, false),
        (true, Mode::Strict, Mode::Strict, 400, false),
        (false, Mode::Durable, Mode::Strict, 400, true),
        (true, Mode::BestEffort, Mode::Strict, 400, false),
        (true, Mode::BestEffort, Mode::BestEffort, 400, true),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(number.to_string());
        let disk = FakeDisk::default();
        *disk.full.lock().unwrap() = full;
        let fake = Fake::start();
        let file = FileSettings { path: path.clone(), mode: file_mode, rotation: Rotation::default() };
        let settings = AuditSettings { file: Some(file), ..otlp(&fake, otlp_mode) };
        let mut told = Told::on(disk, &settings);
        if says != 200 {
            fake.will(vec![Says::Status(says, "")]);
        }
        assert_eq!(told.decide().is_ok(), allowed, "{number}");
        fake.until_asked(1);
        let sinks = told.audit.sinks();
        assert_eq!((sinks[0].mode, sinks[1].mode), (file_mode.as_str(), otlp_mode.as_str()));
        let acknowledged = told.acknowledged.clone();
        told.audit.close(NOW);
        drop(told);
        assert_eq!(faults(&fake.text()), [], "{number}");
        let recorded = |line: &Value| acknowledged.iter().any(|id| line["decision_id"] == *id);
        let there = fake.store().values().any(recorded);
        assert_eq!(there, says == 200 && !acknowledged.is_empty(), "{number}");
        if !full {
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(faults(&text), [], "{number}");
            assert!(lines(&path).iter().any(recorded), "{number}");
        }
    }
}

#[test]
fn what_a_collector_has_is_signed_and_the_second_place_is_that_of_its_chain() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let (private, public) = pair();
    let checkpoints = CheckpointSettings {
        signer: Arc::new(Signer::parse(&private).unwrap()),
        records: 4,
        interval: Duration::from_secs(1),
        copy: Some(copy.clone()),
    };
    let fake = Fake::start();
    let mut told = Told::new(&AuditSettings { checkpoints: Some(checkpoints), ..otlp(&fake, Mode::Strict) });
    for _ in 0..6 {
        told.decide().unwrap();
    }
    // A batch of nothing but a signature.
    told.audit.tick(UnixTime::from_seconds(NOW.seconds() + 2));
    fake.until_asked(7);
    told.decide().unwrap();
    assert_eq!(told.end(&fake), []);
    let key = PublicKey::parse(&public).unwrap();
    let mut verifier = Verifier::new(Some(&key));
    verifier.file("collector", fake.text().as_bytes()).unwrap();
    verifier.copies("copy", fs::read(&copy).unwrap().as_slice()).unwrap();
    let verified = verifier.finish();
    // After the fourth line, for the time, and at the end.
    assert_eq!((verified.findings, verified.signed, verified.after), (vec![], 3, 0));
    assert_eq!(fs::read_to_string(&copy).unwrap().trim().lines().count(), 3);
}

#[test]
fn a_log_record_is_the_line_and_what_it_is_found_by() {
    let fake = Fake::start();
    let mut told = Told::new(&otlp(&fake, Mode::Strict));
    told.decide().unwrap();
    let boot = told.audit.boot.to_string();
    let request = fake.requests().remove(0);
    let logs = &request.resource_logs[0];
    assert_eq!(
        fake::pairs(&logs.resource.as_ref().unwrap().attributes),
        [
            ("service.name", "toolgate".to_owned()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", boot.clone()),
        ]
    );
    let records = &logs.scope_logs[0].log_records;
    let [opened, decision] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(opened.event_name, "toolgate.audit.opened");
    assert_eq!(
        fake::pairs(&opened.attributes),
        [("toolgate.audit.kind", "opened".to_owned()), ("toolgate.audit.seq", "0".to_owned())]
    );
    let line = fake.lines().remove(1);
    assert!(line.starts_with(&format!("{{\"boot\":\"{boot}\",\"seq\":1,")) && line.ends_with('}'), "{line}");
    assert_eq!(fake::plain(decision.body.as_ref()), line);
    assert_eq!(decision.event_name, "toolgate.audit.decision");
    assert_eq!((decision.severity_number, decision.severity_text.as_str()), (9, "INFO"));
    assert_eq!(
        (decision.time_unix_nano, decision.observed_time_unix_nano),
        (1_700_000_000_000_000_000, 1_700_000_000_000_000_000)
    );
    assert_eq!(hex(&decision.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        fake::pairs(&decision.attributes),
        [
            ("toolgate.audit.kind", "decision".to_owned()),
            ("toolgate.audit.seq", "1".to_owned()),
            ("toolgate.decision", "deny".to_owned()),
            ("toolgate.reason", "policy_denied".to_owned()),
            ("toolgate.server", "weather".to_owned()),
            ("toolgate.decision_id", format!("{boot}-0")),
        ]
    );
    assert_eq!(fake.heads()[0].0, "POST /v1/logs HTTP/1.1");
    assert_eq!(fake.heads()[0].1["content-type"], "application/x-protobuf");
}

/// Whatever a caller writes as its trace id, and whatever the clock says.
#[test]
fn what_is_no_trace_id_and_no_such_time_is_left_out() {
    let fake = Fake::start();
    let told = Told::new(&otlp(&fake, Mode::Strict));
    let odd =
        ["", "4bf92f3577b34da6a3ce929d0e0e473", "+bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"];
    for trace_id in odd {
        let id = told.audit.next_id();
        let time = UnixTime::from_seconds(-1);
        let record = Record { trace_id: Some(trace_id.as_bytes()), time, ..typical(&id) };
        told.runtime.block_on(told.audit.record(&record, ())).unwrap().into_inner();
        let request = fake.requests().pop().unwrap();
        let record = request.resource_logs[0].scope_logs[0].log_records.last().unwrap().clone();
        assert_eq!((record.trace_id, record.time_unix_nano), (vec![], 0), "{trace_id}");
        assert!(!fake::plain(record.body.as_ref()).is_empty());
    }
}

#[test]
fn headers_of_a_file_go_with_each_request() {
    let fake = Fake::start();
    let mut settings = settings_for(&fake.url(), Mode::Strict);
    settings.access.headers = OtlpHeaders::parse("authorization: Bearer made-up\nx-tenant: blue\n").unwrap();
    let mut told = Told::new(&AuditSettings { otlp: Some(settings), ..AuditSettings::default() });
    told.decide().unwrap();
    told.decide().unwrap();
    for (_, headers) in fake.heads() {
        assert_eq!((headers["authorization"].as_str(), headers["x-tenant"].as_str()), ("Bearer made-up", "blue"));
    }
}

/// What is told again after a batch of which nobody knows.
#[test]
fn a_chain_goes_on_behind_lines_that_may_be_there() {
    let mut ledger = Ledger::new("0123456789abcdef".into(), Chain::START, 0);
    let body = decision();
    let first = ledger.draft([&body], false, NOW, 0);
    let text = String::from_utf8(first.frame.clone()).unwrap();
    assert_eq!(first.lines().count(), 2);
    ledger.doubt(first, 1, NOW);
    assert_eq!((ledger.opened, ledger.lost), (Some(Opened { cause: Cause::Start, torn: 0 }), 1));
    let second = ledger.draft([&body], false, NOW, 0);
    let both = text + std::str::from_utf8(&second.frame).unwrap();
    assert_eq!(faults(&both), []);
    assert_eq!(second.lines().count(), 3);
    ledger.settle(second, NOW);
    assert_eq!((ledger.opened, ledger.lost, ledger.last()), (None, 0, 4));
}
