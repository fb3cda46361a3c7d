//! What a reply waits for: a disk, a pipe, nothing.

use std::io::Read as _;
use std::sync::mpsc::channel;

use super::faults::{FakeDisk, whole};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// A sink with a queue, and the pipe that it writes to.
fn piped(mode: Mode) -> (Sink, std::io::PipeReader, Counter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let failures = Counter::default();
    let disk: Arc<dyn Disk> = Arc::new(System);
    let writer = Writer::stream(writer.into(), "0123456789abcdef".into(), NOW);
    (Sink::new(writer, mode, true, &disk, &failures), reader, failures)
}

#[test]
fn a_durable_record_is_on_the_disk_before_its_reply() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let rotation = Rotation { size: Some(4_000), age: None };
    let file = FileSettings { path: path.clone(), mode: Mode::Durable, rotation };
    let audit = Audit::open(&AuditSettings { file: Some(file), ..AuditSettings::default() }, NOW).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let id = audit.next_id();
        let record = typical(&id);
        let many = (0..200).map(|_| audit.record(&record, ()));
        for outcome in join_all(many).await {
            outcome.unwrap().into_inner();
        }
    });
    assert_eq!(audit.sinks()[0].recorded, 200);
    drop(audit);
    assert_eq!(whole(&path, "durable").len(), 200);
    // The lock went with it.
    drop(open(&path));
}

#[test]
fn a_stalled_output_denies_once_it_is_known_and_works_again_when_it_is_read() {
    let (sink, mut reader, failures) = piped(Mode::Strict);
    let runtime = runtime();
    assert_eq!(runtime.block_on(sink.append(body(), NOW).outcome()), Some(Ok(())));
    // A pipe holds 64 KiB; nobody reads.
    let stalled = AuditError::Stalled { sink: "stdout".to_owned() };
    let mut refused = 0;
    for _ in 0..6_000 {
        match runtime.block_on(sink.append(body(), NOW).outcome()) {
            Some(Ok(())) => assert_eq!(refused, 0),
            outcome => {
                assert_eq!(outcome, Some(Err(stalled.clone())));
                refused += 1;
            }
        }
    }
    assert!(refused > 5_000, "{refused}");
    assert!(!sink.works() && sink.status().failing == Some(stalled.to_string()));
    assert!(failures.get() > 0, "the queue was never full");
    let (send, text) = channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        send.send(text).unwrap();
    });
    let deadline = std::time::Instant::now() + PATIENCE;
    while runtime.block_on(sink.append(body(), NOW).outcome()) != Some(Ok(())) {
        assert!(std::time::Instant::now() < deadline, "it never works again");
        std::thread::yield_now();
    }
    assert!(sink.works());
    drop(sink);
    let text = text.recv_timeout(PATIENCE).unwrap();
    let mut verifier = Verifier::new(None);
    verifier.file("stdout", text.as_bytes()).unwrap();
    assert_eq!(verifier.finish().findings, []);
    // What the queue had no room for is told, to the last one.
    let lost: u64 = text
        .lines()
        .filter_map(|line| line.parse::<Value>().ok().filter(|line| line["kind"] == "lost"))
        .map(|line| line["count"].as_u64().unwrap())
        .sum();
    assert_eq!(lost, failures.get());
}

#[test]
fn best_effort_never_waits_and_tells_what_it_dropped() {
    let (sink, mut reader, failures) = piped(Mode::BestEffort);
    let runtime = runtime();
    for _ in 0..10_000 {
        assert_eq!(runtime.block_on(sink.append(body(), NOW).outcome()), None);
    }
    let dropped = failures.get();
    assert!(dropped > 1_000, "{dropped}");
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    drop(sink);
    let text = reading.join().unwrap();
    let decisions = text.matches("\"kind\":\"decision\"").count();
    assert_eq!(u64::try_from(decisions).unwrap() + dropped, 10_000);
}

#[test]
fn one_sink_that_counts_is_enough_and_the_other_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let disk: Arc<dyn Disk> = Arc::new(System);
    for full_first in [true, false] {
        let settings = settings(Path::new("/dev/full"));
        let mut audit = Audit::open(&settings, NOW).unwrap();
        let writer = Writer::file(&disk, &path, audit.boot.clone(), NOW).unwrap();
        let place = usize::from(full_first);
        audit.sinks.insert(place, Sink::new(writer, Mode::Strict, false, &disk, &settings.failures));
        write(&audit);
        write(&audit);
        assert_eq!(settings.failures.get(), 2);
        // One that does not count is not enough.
        let writer = Writer::file(&disk, &folder.path().join("other"), audit.boot.clone(), NOW).unwrap();
        audit.sinks[place] = Sink::new(writer, Mode::BestEffort, false, &disk, &settings.failures);
        assert!(put(&audit, &typical(&audit.next_id())).is_err());
        // But it is, where no other is wanted.
        audit.sinks.remove(1 - place);
        write(&audit);
    }
    assert_eq!(whole(&path, "two sinks").len(), 4);
}

#[test]
fn a_flush_that_fails_denies_those_who_wait_and_its_file_is_written_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let fake = Arc::new(FakeDisk::default());
    let disk: Arc<dyn Disk> = fake.clone();
    let file = FileSettings { path: path.clone(), mode: Mode::Durable, rotation: Rotation::default() };
    let audit = Audit::open_on(&disk, &AuditSettings { file: Some(file), ..AuditSettings::default() }, NOW).unwrap();
    let runtime = runtime();
    let decide = || runtime.block_on(audit.record(&typical(&audit.next_id()), ())).map(Recorded::into_inner);
    decide().unwrap();
    *fake.unflushable.lock().unwrap() = true;
    let refused = AuditError::Sync { sink: path.display().to_string(), cause: Errno::IO };
    assert_eq!(decide(), Err(refused));
    *fake.unflushable.lock().unwrap() = false;
    decide().unwrap();
    assert_eq!(lines(&path)[0]["cause"], "failed");
    drop(audit);
    assert_eq!(whole(&path, "unflushed").len(), 3);
}

/// Nobody sends requests to a process that is not ready: it has to find out by itself that it is again.
#[test]
fn a_trail_that_takes_no_records_finds_out_that_it_does_again() {
    let full = |fake: &FakeDisk, is: bool| *fake.full.lock().unwrap() = is;
    let unflushable = |fake: &FakeDisk, is: bool| *fake.unflushable.lock().unwrap() = is;
    type Trouble<'a> = &'a dyn Fn(&FakeDisk, bool);
    let troubles: [(Mode, Trouble<'_>); 3] =
        [(Mode::Strict, &full), (Mode::Durable, &full), (Mode::Durable, &unflushable)];
    for (mode, trouble) in troubles {
        let folder = tempfile::tempdir().unwrap();
        let fake = Arc::new(FakeDisk::default());
        let disk: Arc<dyn Disk> = fake.clone();
        let path = folder.path().join("audit.jsonl");
        let file = FileSettings { path, mode, rotation: Rotation::default() };
        let audit =
            Audit::open_on(&disk, &AuditSettings { file: Some(file), ..AuditSettings::default() }, NOW).unwrap();
        assert!(audit.takes_records());
        trouble(&fake, true);
        let decided = runtime().block_on(audit.record(&typical(&audit.next_id()), ()));
        assert!(decided.is_err() && !audit.takes_records());
        if *fake.full.lock().unwrap() {
            audit.tick(NOW);
            assert!(!audit.takes_records(), "it was looked at, and is as full as before");
        }
        trouble(&fake, false);
        audit.tick(NOW);
        assert!(audit.takes_records());
        assert_eq!(audit.sinks()[0].failing, None);
        runtime().block_on(audit.record(&typical(&audit.next_id()), ())).map(Recorded::into_inner).unwrap();
    }
    // What nobody waits for is no reason not to be asked.
    let (sink, reader, _failures) = piped(Mode::BestEffort);
    drop(reader);
    let mut audit =
        Audit::open(&AuditSettings { stdout: Some(Mode::BestEffort), ..AuditSettings::default() }, NOW).unwrap();
    audit.sinks = vec![sink];
    write(&audit);
    let deadline = std::time::Instant::now() + PATIENCE;
    while audit.sinks()[0].failing.is_none() {
        assert!(std::time::Instant::now() < deadline, "a closed pipe takes records");
        std::thread::yield_now();
    }
    assert!(audit.takes_records());
}

/// What is pending of a reply that nobody waits for any more is recorded all the same.
#[test]
fn a_caller_that_gives_up_leaves_its_record() {
    let (sink, mut reader, _) = piped(Mode::Strict);
    drop(sink.append(body(), NOW));
    drop(sink);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn denials_of_the_unknown_are_summed_up_past_the_rate_and_all_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&AuditSettings { unauthenticated_rate: Some(10), ..settings(&path) }, NOW).unwrap();
    let id = audit.next_id();
    let unknown = |reason, server| Record { principal: None, reason, server, ..typical(&id) };
    let second = UnixTime::from_seconds(NOW.seconds() + 1);
    for time in [NOW, second] {
        for _ in 0..1_000 {
            put(&audit, &Record { time, ..unknown("token_missing", Some("weather")) }).unwrap();
            put(&audit, &Record { time, ..unknown("no_route", None) }).unwrap();
        }
        for _ in 0..50 {
            put(&audit, &Record { time, ..typical(&id) }).unwrap();
            put(&audit, &Record { time, decision: Verdict::Allow, ..unknown("allow", None) }).unwrap();
        }
        audit.tick(time);
    }
    let lines = lines(&path);
    let count = |what: &dyn Fn(&Value) -> bool| lines.iter().filter(|line| what(line)).count();
    assert_eq!(count(&|line| line["reason"] == "policy_denied"), 100);
    assert_eq!(count(&|line| line["decision"] == "allow"), 100);
    let sums: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "flood").collect();
    assert_eq!(sums.len(), 2);
    let mut total = count(&|line| line["reason"] == "token_missing") + count(&|line| line["reason"] == "no_route");
    assert_eq!(total, 20);
    for sum in sums {
        let of = |name: &str| usize::try_from(sum["denials"][name].as_u64().unwrap()).unwrap();
        assert_eq!((of("weather/token_missing"), of("/no_route")), (995, 995));
        total += of("weather/token_missing") + of("/no_route");
    }
    assert_eq!(total, 4_000);
}

/// Requests that wait for an issuer come with the time at which they began.
#[test]
fn denials_that_come_late_begin_no_second_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&AuditSettings { unauthenticated_rate: Some(10), ..settings(&path) }, NOW).unwrap();
    let id = audit.next_id();
    let unknown =
        |seconds| Record { principal: None, time: UnixTime::from_seconds(NOW.seconds() + seconds), ..typical(&id) };
    let recorded = || lines(&path).iter().filter(|line| line["kind"] == "decision").count();
    for _ in 0..50 {
        put(&audit, &unknown(1)).unwrap();
        put(&audit, &unknown(0)).unwrap();
    }
    assert_eq!(recorded(), 10);
    // A clock that was set back does.
    put(&audit, &unknown(-59)).unwrap();
    assert_eq!(recorded(), 10);
    put(&audit, &unknown(-60)).unwrap();
    assert_eq!(recorded(), 11);
}

#[test]
fn sums_that_could_not_be_recorded_are_recorded_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let fake = Arc::new(FakeDisk::default());
    let disk: Arc<dyn Disk> = fake.clone();
    let settings = AuditSettings { unauthenticated_rate: Some(1), ..settings(&path) };
    let audit = Audit::open_on(&disk, &settings, NOW).unwrap();
    let id = audit.next_id();
    let unknown = Record { principal: None, ..typical(&id) };
    (0..5).for_each(|_| put(&audit, &unknown).unwrap());
    *fake.full.lock().unwrap() = true;
    audit.tick(NOW);
    *fake.full.lock().unwrap() = false;
    put(&audit, &unknown).unwrap();
    audit.close(NOW);
    assert_eq!(summed(&fs::read_to_string(&path).unwrap()), 5);
    // They were kept, so nothing is missing.
    assert_eq!(kinds(&path), ["opened", "decision", "flood", "closed"]);
    assert_eq!(audit.sinks()[0].failures, 0);
}

/// All denials in the sums of a trail.
fn summed(trail: &str) -> u64 {
    let lines = trail.lines().map(|line| line.parse::<Value>().unwrap()).filter(|line| line["kind"] == "flood");
    lines.map(|line| line["denials"]["weather/policy_denied"].as_u64().unwrap()).sum()
}

/// What is in the queue of an output that stalls is written one day: it is not to be handed over again.
#[test]
fn sums_are_recorded_once_however_long_an_output_stalls() {
    let folder = tempfile::tempdir().unwrap();
    let settings = AuditSettings { unauthenticated_rate: Some(1), ..settings(&folder.path().join("unused")) };
    let mut audit = Audit::open(&settings, NOW).unwrap();
    let (sink, mut reader, _) = piped(Mode::Strict);
    audit.sinks = vec![sink];
    let id = audit.next_id();
    let known = typical(&id);
    let unknown = Record { principal: None, ..known };
    let runtime = runtime();
    runtime.block_on(audit.record(&unknown, ())).unwrap().into_inner();
    // Nobody reads, and the first that waits in vain makes it known.
    while runtime.block_on(audit.record(&known, ())).is_ok() {}
    for _ in 0..20 {
        runtime.block_on(audit.record(&unknown, ())).unwrap().into_inner();
        audit.tick(NOW);
    }
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    audit.close(NOW);
    drop(audit);
    assert_eq!(summed(&reading.join().unwrap()), 20);
}

#[test]
fn sums_that_one_sink_takes_are_missing_in_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let fake = Arc::new(FakeDisk::default());
    let disk: Arc<dyn Disk> = fake.clone();
    let settings = AuditSettings { unauthenticated_rate: Some(1), ..settings(&path) };
    let mut audit = Audit::open_on(&disk, &settings, NOW).unwrap();
    let (sink, mut reader, failures) = piped(Mode::Strict);
    audit.sinks.push(sink);
    let id = audit.next_id();
    let unknown = Record { principal: None, ..typical(&id) };
    let runtime = runtime();
    (0..5).for_each(|_| runtime.block_on(audit.record(&unknown, ())).unwrap().into_inner());
    *fake.full.lock().unwrap() = true;
    audit.tick(NOW);
    *fake.full.lock().unwrap() = false;
    audit.close(NOW);
    assert_eq!((audit.sinks()[0].failures, failures.get()), (1, 0));
    drop(audit);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(summed(&text), 4);
    let found = lines(&path);
    assert_eq!(kinds(&path), ["opened", "decision", "lost", "closed"]);
    assert_eq!(found[2]["count"], 1);
}

#[test]
fn a_pipe_is_no_file_of_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    assert_eq!(Audit::open(&settings(&path), NOW).err(), Some(AuditError::Pipe { path }));
}
