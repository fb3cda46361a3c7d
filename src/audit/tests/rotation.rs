//! Files that are put aside, moved, deleted, cut and full.

use super::faults::{FakeDisk, trail_files, whole};
use super::*;

fn rotating(path: &Path, rotation: Rotation) -> AuditSettings {
    AuditSettings {
        file: Some(FileSettings { path: path.to_owned(), mode: Mode::Strict, rotation }),
        ..AuditSettings::default()
    }
}

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(NOW.seconds() + seconds)
}

#[test]
fn a_full_file_is_put_aside_under_the_number_of_its_last_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = Audit::open(&rotating(&path, Rotation { size: Some(3_000), age: None }), NOW).unwrap();
    (0..300).for_each(|_| write(&audit));
    drop(audit);
    let files = trail_files(&path);
    assert!(files.len() >= 100, "{}", files.len());
    for file in &files[..files.len() - 1] {
        let (seqs, kinds) = (seqs(file), kinds(file));
        assert!(file.to_str().unwrap().ends_with(&format!(".jsonl.{:012}", seqs.last().unwrap())), "{file:?}");
        assert_eq!((kinds[0].as_str(), kinds.last().unwrap().as_str()), ("opened", "closed"));
        assert!(fs::metadata(file).unwrap().len() <= 3_300, "{file:?}");
    }
    assert_eq!(whole(&path, "rotated").len(), 300);
}

#[test]
fn an_old_file_is_put_aside_and_an_empty_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let rotation = Rotation { size: None, age: Some(Duration::from_secs(60)) };
    let audit = Audit::open(&rotating(&path, rotation), NOW).unwrap();
    audit.tick(at(60));
    write(&audit);
    audit.tick(at(59));
    assert_eq!(trail_files(&path).len(), 1);
    audit.tick(at(60));
    audit.tick(at(121));
    assert_eq!((trail_files(&path).len(), fs::read(&path).unwrap().len()), (1, 0));
    write(&audit);
    assert_eq!(lines(&path)[0]["cause"], "rotated");
    whole(&path, "rotated");
}

/// What a process leaves that dies between putting a file aside and writing into the next.
#[test]
fn the_chain_goes_on_behind_a_file_that_was_put_aside_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = open(&path);
    write(&audit);
    drop(audit);
    for (number, leftover) in [None, Some("")].into_iter().enumerate() {
        fs::rename(&path, folder.path().join(format!("audit.jsonl.{number}"))).unwrap();
        fs::write(folder.path().join("audit.jsonl.gz"), [0x1f, 0x8b, 8]).unwrap();
        if let Some(text) = leftover {
            fs::write(&path, text).unwrap();
        }
        write(&open(&path));
        fs::remove_file(folder.path().join("audit.jsonl.gz")).unwrap();
        assert_eq!(whole(&path, "restarted").len(), number + 2);
    }
}

#[test]
fn a_file_that_is_moved_or_deleted_is_followed_by_another_at_once_or_soon() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let audit = open(&path);
    write(&audit);
    fs::rename(&path, &moved).unwrap();
    write(&audit);
    audit.tick(NOW);
    write(&audit);
    assert_eq!((lines(&moved).len(), &lines(&path)[0]["cause"]), (4, &"reopened".into()));
    assert_eq!(whole(&path, "moved").len(), 3);

    fs::remove_file(&path).unwrap();
    write(&audit);
    let lines = lines(&path);
    assert_eq!((lines.len(), &lines[0]["cause"]), (2, &"deleted".into()));
    // The chain goes on behind what was deleted, so that is missed.
    assert_eq!(lines[0]["seq"], 6);
    let mut verifier = Verifier::new(None);
    verifier.file("1", fs::read(&moved).unwrap().as_slice()).unwrap();
    verifier.file("2", fs::read(&path).unwrap().as_slice()).unwrap();
    let findings = verifier.finish().findings;
    assert_eq!(findings, [Finding { file: "2".to_owned(), line: 1, seq: Some(6), what: Fault::Missing(2) }]);
}

#[test]
fn a_file_that_somebody_else_cuts_or_writes_is_told_and_no_record_is_glued_to_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = open(&path);
    write(&audit);
    fs::write(&path, "").unwrap();
    write(&audit);
    write(&audit);
    assert_eq!(kinds(&path), ["decision", "opened", "decision"]);
    assert_eq!(lines(&path)[1]["cause"], "resized");

    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("half");
    fs::write(&path, &text).unwrap();
    write(&audit);
    let after = fs::read_to_string(&path).unwrap();
    let (before, record) = after.split_once("half\n").unwrap();
    assert_eq!(before, text.strip_suffix("half").unwrap());
    assert!(record.contains("\"decision_id\"") && record.ends_with("}\n"), "{record}");
}

#[test]
fn a_full_disk_denies_and_recovers_by_itself_with_the_loss_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let fake = Arc::new(FakeDisk::default());
    let disk: Arc<dyn Disk> = fake.clone();
    let audit = Audit::open_on(&disk, &settings(&path), NOW).unwrap();
    write(&audit);
    let before = fs::read(&path).unwrap();
    *fake.full.lock().unwrap() = true;
    for _ in 0..3 {
        let refused = put(&audit, &typical(&audit.next_id()));
        assert!(matches!(refused, Err(AuditError::Short { .. })), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), before, "half a record");
    }
    audit.tick(NOW);
    *fake.full.lock().unwrap() = false;
    write(&audit);
    assert_eq!(kinds(&path), ["opened", "decision", "lost", "decision"]);
    assert_eq!(lines(&path)[2]["count"], 3);
    assert_eq!(audit.sinks()[0].failing, None);
    whole(&path, "full");
}
