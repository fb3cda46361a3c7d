//! Records of requests that run at the same time are written at once, and are still records one by one.

use super::faults::{FakeDisk, fours, trail, trail_files, whole};
use super::*;
use crate::audit::chain::LINK_LIMIT;

/// A trail as most are.
fn strict(disk: &Arc<FakeDisk>, path: &Path, rotation: Rotation, checkpoints: Option<CheckpointSettings>) -> Audit {
    trail(disk, path, Mode::Strict, rotation, checkpoints)
}

/// Decisions of one turn, and what came of each.
fn together(audit: &Audit, count: usize) -> Vec<(DecisionId, Result<(), AuditError>)> {
    let ids: Vec<DecisionId> = (0..count).map(|_| audit.next_id()).collect();
    let records: Vec<Record<'_>> = ids.iter().map(typical).collect();
    let outcomes = settled(join_all(records.iter().map(|record| audit.record(record, ()))));
    drop(records);
    ids.into_iter().zip(outcomes.into_iter().map(|outcome| outcome.map(Recorded::into_inner))).collect()
}

#[test]
fn records_of_one_turn_are_one_write_in_the_order_in_which_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let disk = Arc::new(FakeDisk::default());
    let audit = strict(&disk, &path, Rotation::default(), None);
    let before = disk.writes();
    let told = together(&audit, 25);
    assert_eq!(disk.writes() - before, 1);
    assert!(told.iter().all(|(_, outcome)| outcome.is_ok()));
    assert_eq!(audit.sinks()[0].recorded, 25);
    let ids: Vec<String> = told.iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(whole(&path, "together"), ids);
}

/// As many go in one write as until the next checkpoint, and as the file has room for.
#[test]
fn a_write_of_many_goes_past_no_checkpoint_and_no_end_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = strict(&Arc::default(), &path, Rotation::default(), fours());
    together(&audit, 10);
    let kinds = kinds(&path);
    let parts: Vec<usize> = kinds.split(|kind| kind == "checkpoint").map(<[String]>::len).collect();
    // The first four and the record of the beginning; two wait for theirs.
    assert_eq!(parts, [5, 4, 2]);
    drop(audit);

    let path = folder.path().join("sized.jsonl");
    let limit = 5_000;
    let audit = strict(&Arc::default(), &path, Rotation { size: Some(limit), age: None }, None);
    // The second turn, and each after it, begins in a file that has something in it.
    let told: Vec<_> = (0..10).flat_map(|_| together(&audit, 3)).collect();
    drop(audit);
    let files = trail_files(&path);
    assert!(files.len() > 5, "{files:?}");
    // The record of a file's beginning and that of its end are not counted beforehand.
    let (ends, most) = (2 * (LINK_LIMIT + 128), 1_200);
    for file in &files[..files.len() - 1] {
        let length = usize::try_from(fs::metadata(file).unwrap().len()).unwrap();
        assert!((5_000 - most..=5_000 + ends).contains(&length), "{file:?}: {length}");
    }
    assert_eq!(whole(&path, "sized"), told.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>());
}

/// The one whose write fails is told so, and those behind it; those before it are not.
#[test]
fn each_is_told_what_became_of_its_own_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let disk = Arc::new(FakeDisk::default());
    let audit = strict(&disk, &path, Rotation::default(), fours());
    *disk.full_after.lock().unwrap() = Some(1);
    let told = together(&audit, 10);
    let taken: Vec<bool> = told.iter().map(|(_, outcome)| outcome.is_ok()).collect();
    assert_eq!(taken, [[true; 4].as_slice(), &[false; 6]].concat());
    assert_eq!((audit.sinks()[0].recorded, audit.sinks()[0].failures), (4, 6));
    *disk.full_after.lock().unwrap() = None;
    audit.close(NOW);
    assert_eq!(whole(&path, "full"), told[..4].iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>());
    let lost: Vec<Value> = lines(&path).into_iter().filter(|line| line["kind"] == "lost").collect();
    assert_eq!((lost.len(), &lost[0]["count"]), (1, &Value::from(6)));
}

/// A request that is given up after its decision has left its record: with the next one, a tick, or the end it is written, and with
/// the trail itself.
#[test]
fn what_was_given_up_is_recorded_with_the_next() {
    type Next = fn(&Audit);
    let nexts: [(&str, Next); 4] = [
        ("decision", write),
        ("tick", |audit| audit.tick(NOW)),
        ("reopen", |audit| audit.reopen(NOW).unwrap()),
        ("end", |audit| audit.close(NOW)),
    ];
    for (what, next) in nexts {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let audit = open(&path);
        let id = audit.next_id();
        assert!(audit.record(&typical(&id), ()).now_or_never().is_none());
        assert_eq!(lines(&path).len(), 0, "{what}");
        next(&audit);
        assert_eq!(whole(&path, what)[0], id.as_str(), "{what}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = open(&path);
    assert!(audit.record(&typical(&audit.next_id()), ()).now_or_never().is_none());
    drop(audit);
    assert_eq!(whole(&path, "dropped").len(), 1);
}

/// A file that is deleted between two turns takes nothing with it of the second.
#[test]
fn a_turn_whose_file_was_deleted_is_in_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = strict(&Arc::default(), &path, Rotation::default(), None);
    together(&audit, 5);
    fs::remove_file(&path).unwrap();
    let told = together(&audit, 5);
    assert!(told.iter().all(|(_, outcome)| outcome.is_ok()));
    assert_eq!(lines(&path)[0]["cause"], "deleted");
    assert_eq!(kinds(&path).iter().filter(|kind| *kind == "decision").count(), 5);
    assert_eq!(lines(&path).last().unwrap()["decision_id"], told[4].0.as_str());
}

/// What was refused and could not be cut off is not ours, whoever moves the file meanwhile.
#[test]
fn whole_lines_of_a_refused_turn_are_cut_off_before_the_file_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let disk = Arc::new(FakeDisk::default());
    let audit = strict(&disk, &path, Rotation::default(), None);
    together(&audit, 1);
    (*disk.full.lock().unwrap(), *disk.uncuttable.lock().unwrap()) = (true, true);
    assert!(together(&audit, 9).iter().all(|(_, outcome)| outcome.is_err()));
    assert!(fs::read_to_string(&path).unwrap().lines().count() > 3, "a third of them is there");
    (*disk.full.lock().unwrap(), *disk.uncuttable.lock().unwrap()) = (false, false);
    fs::rename(&path, folder.path().join("audit.jsonl.moved")).unwrap();
    audit.tick(NOW);
    together(&audit, 1);
    drop(audit);
    assert_eq!(whole(&path, "moved").len(), 2);
}

/// Many threads and turns: nothing is written twice, nothing is missing, the chain holds, and who is told that it is recorded
/// finds it.
#[test]
fn records_of_many_threads_are_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Arc::new(open(&path));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let mut acknowledged = runtime.block_on(async {
        let deciding = (0..30).map(|task| {
            let (audit, path) = (audit.clone(), path.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for turn in 0..12 {
                    let id = audit.next_id();
                    let record = typical(&id);
                    let recording = audit.record(&record, ());
                    // Some give up.
                    if (task + turn) % 7 == 0 {
                        assert!(recording.now_or_never().is_none());
                    } else {
                        recording.await.unwrap().into_inner();
                        let there = fs::read_to_string(&path).unwrap();
                        assert!(there.contains(&format!("\"{id}\"")), "{id} is not there when it is said to be");
                    }
                    acknowledged.push(id.to_string());
                }
                acknowledged
            })
        });
        let all: Vec<Vec<String>> = join_all(deciding).await.into_iter().map(Result::unwrap).collect();
        all.concat()
    });
    drop(audit);
    let mut recorded = whole(&path, "threads");
    acknowledged.sort();
    recorded.sort();
    assert_eq!(recorded, acknowledged);
}

/// With no sink that takes it, an attempt to load is not on record, and that is told.
#[test]
fn a_reload_that_cannot_be_recorded_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let audit = strict(&disk, &folder.path().join("audit.jsonl"), Rotation::default(), None);
    let record =
        Reload { time: NOW, outcome: ReloadOutcome::Loaded, generation: 2, digest: "4f1c2d0e9b7a6f58", problems: &[] };
    for (full, recorded) in [(true, false), (false, true)] {
        *disk.full.lock().unwrap() = full;
        assert_eq!(audit.reload(&record).is_ok(), recorded, "full: {full}");
    }
}
