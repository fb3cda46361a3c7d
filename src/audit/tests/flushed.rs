//! `durable`: a reply waits until its record was flushed, and is told if it was not. The system tells each failure once.

use std::sync::mpsc::channel;

use super::faults::{FakeDisk, Flush, fours, trail};
use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn durable(disk: &Arc<FakeDisk>, path: &Path, checkpoints: Option<CheckpointSettings>) -> Audit {
    trail(disk, path, Mode::Durable, Rotation::default(), checkpoints)
}

/// What writes such a file, which is put aside after a minute.
fn writer(disk: &Arc<FakeDisk>, path: &Path) -> Writer {
    let disk: Arc<dyn Disk> = disk.clone();
    let writer = Writer::file(&disk, path, "0123456789abcdef".into(), NOW).unwrap();
    writer.with(Rotation { size: None, age: Some(Duration::from_secs(60)) }, None, true)
}

fn write(writer: &mut Writer) {
    writer.append(&[body()], NOW).1.unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

async fn decide(audit: &Audit) -> (DecisionId, Result<(), AuditError>) {
    let id = audit.next_id();
    let recording = audit.record(&typical(&id), ());
    let outcome = recording.await.map(Recorded::into_inner);
    (id, outcome)
}

#[test]
fn what_is_acknowledged_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let disk = Arc::new(FakeDisk::default());
    let audit = durable(&disk, &path, None);
    runtime().block_on(async {
        let deciding = (0..8).map(|_| async {
            for _ in 0..10 {
                let (id, outcome) = decide(&audit).await;
                outcome.unwrap();
                let flushed = usize::try_from(*disk.flushed.lock().unwrap()).unwrap();
                let there = fs::read_to_string(&path).unwrap();
                assert!(
                    there.get(..flushed).unwrap().contains(&format!("\"{id}\"")),
                    "{id} is not among {flushed} bytes"
                );
            }
        });
        join_all(deciding).await;
    });
}

/// Of many at once only the first go into the file: they wait for the disk as others do.
#[test]
fn those_of_a_turn_that_were_written_wait_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    for (unflushable, taken) in [(true, 0), (false, 4)] {
        let audit = durable(&disk, &folder.path().join(format!("{taken}.jsonl")), fours());
        *disk.unflushable.lock().unwrap() = unflushable;
        *disk.full_after.lock().unwrap() = Some(1);
        let told = runtime().block_on(join_all((0..10).map(|_| decide(&audit))));
        assert_eq!(told.iter().filter(|(_, outcome)| outcome.is_ok()).count(), taken);
        assert_eq!(audit.sinks()[0].failures, if unflushable { 10 } else { 6 });
        (*disk.full_after.lock().unwrap(), *disk.unflushable.lock().unwrap()) = (None, false);
    }
}

/// The pages of a record may be those that the system gave up in a flush that began before it was written: nothing says so of
/// the flush that it waits for itself.
#[test]
fn a_record_that_was_written_during_a_flush_that_fails_is_not_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let audit = durable(&disk, &folder.path().join("audit.jsonl"), None);
    let (entered, entering) = channel();
    let (go, going) = channel();
    *disk.flush.lock().unwrap() = Some(Flush(Box::new(move || {
        entered.send(()).unwrap();
        going.recv_timeout(PATIENCE).unwrap();
        Err(Errno::IO)
    })));
    let runtime = runtime();
    runtime.block_on(async {
        let first = decide(&audit);
        let second = async {
            tokio::task::spawn_blocking(move || entering.recv_timeout(PATIENCE).unwrap()).await.unwrap();
            let id = audit.next_id();
            let mut recording = pin!(audit.record(&typical(&id), ()));
            // It is gathered, and then written: now it waits for the disk.
            for _ in 0..2 {
                assert!(recording.as_mut().now_or_never().is_none());
            }
            go.send(()).unwrap();
            recording.await.map(Recorded::into_inner)
        };
        let ((_, first), second) = tokio::join!(first, second);
        assert!(first.is_err() && second.is_err(), "{first:?}, {second:?}");
        audit.tick(NOW);
        decide(&audit).await.1.unwrap();
    });
}

/// The same where the file was put aside before anybody could be told. The system told the one who waited, or the rotation.
#[test]
fn a_file_that_could_not_be_flushed_is_not_put_aside_in_silence() {
    let later = UnixTime::from_seconds(NOW.seconds() + 60);
    for (rotation_is_told, rotated_first, what) in
        [(false, false, "failed, then rotated"), (false, true, "rotated, then failed"), (true, true, "rotation failed")]
    {
        let folder = tempfile::tempdir().unwrap();
        let fake = Arc::new(FakeDisk::default());
        let mut writer = writer(&fake, &folder.path().join("audit.jsonl"));
        write(&mut writer);
        let flushing = writer.unflushed_file().unwrap().unwrap();
        // While the disk is at it, another record is written.
        write(&mut writer);
        let said = if rotation_is_told { Ok(()) } else { Err(Errno::IO) };
        if rotated_first {
            *fake.flush.lock().unwrap() = rotation_is_told.then(|| Flush(Box::new(|| Err(Errno::IO))));
            writer.tick(later).unwrap();
        }
        assert!(writer.flushed(&flushing, said).is_err(), "{what}: those who waited");
        if !rotated_first {
            write(&mut writer);
        }
        assert!(writer.unflushed_file().is_err(), "{what}: those who came meanwhile");
        write(&mut writer);
        assert!(writer.unflushed_file().is_ok(), "{what}: those who came later");
    }
}

/// What is in a file without a name is on no disk, though a flush of the next file succeeds.
#[test]
fn a_record_whose_file_was_deleted_before_its_flush_is_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut writer = writer(&Arc::default(), &path);
    for (unflushed, nowhere) in [(true, true), (false, false)] {
        write(&mut writer);
        if !unflushed {
            assert!(writer.unflushed_file().unwrap().is_some());
        }
        fs::remove_file(&path).unwrap();
        write(&mut writer);
        assert_eq!(writer.unflushed_file().is_err(), nowhere, "unflushed: {unflushed}");
    }
}

/// The number in the name of a file that was put aside is that of its last record, so the next one, while it is empty, would
/// have the same. It is not flushed, so that it cannot fail to be.
#[test]
fn an_empty_file_is_not_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&Arc::default(), &folder.path().join("audit.jsonl"));
    write(&mut writer);
    writer.tick(UnixTime::from_seconds(NOW.seconds() + 60)).unwrap();
    assert!(writer.unflushed_file().unwrap().is_none());
    write(&mut writer);
    assert!(writer.unflushed_file().unwrap().is_some());
}

/// That a file ends is no record that anybody waits for.
#[test]
fn nobody_is_denied_because_the_end_of_a_file_was_not_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Arc::new(FakeDisk::default());
    let mut writer = writer(&fake, &folder.path().join("audit.jsonl"));
    write(&mut writer);
    let flushing = writer.unflushed_file().unwrap().unwrap();
    assert!(writer.flushed(&flushing, Ok(())).is_ok());
    *fake.flush.lock().unwrap() = Some(Flush(Box::new(|| Err(Errno::IO))));
    writer.tick(UnixTime::from_seconds(NOW.seconds() + 60)).unwrap();
    assert!(fake.flush.lock().unwrap().is_none(), "the file that is put aside is flushed");
    write(&mut writer);
    assert!(writer.unflushed_file().is_ok());
}

/// A new file is one only once its folder says so.
#[test]
fn the_name_of_a_new_file_is_flushed_before_anything_rests_on_it() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, folders) in [(Mode::Durable, 1), (Mode::Strict, 0)] {
        let fake = Arc::new(FakeDisk::default());
        let disk: Arc<dyn Disk> = fake.clone();
        let path = folder.path().join(mode.as_str());
        let file = Some(FileSettings { path, mode, rotation: Rotation::default() });
        drop(Audit::open_on(&disk, &AuditSettings { file, ..AuditSettings::default() }, NOW).unwrap());
        assert_eq!(*fake.folders.lock().unwrap(), folders, "{mode:?}");
    }
}
