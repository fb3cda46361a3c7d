//! Whatever is done to a trail, `verify` finds it.

use super::*;

/// A trail of two files with checkpoints, the copies of these, and the key.
struct Trail {
    files: [Vec<u8>; 2],
    copies: Vec<u8>,
    key: PublicKey,
}

fn trail() -> Trail {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("audit.jsonl"), folder.path().join("checkpoints.jsonl"));
    let (private, public) = pair();
    let signer = Arc::new(Signer::parse(&private).unwrap());
    let checkpoints =
        CheckpointSettings { signer, records: 3, interval: Duration::from_secs(1), copy: Some(copy.clone()) };
    let settings = AuditSettings { checkpoints: Some(checkpoints), ..settings(&path) };
    let moved = folder.path().join("audit.jsonl.1");
    let audit = Audit::open(&settings, NOW).unwrap();
    (0..4).for_each(|_| write(&audit));
    fs::rename(&path, &moved).unwrap();
    audit.reopen(NOW).unwrap();
    (0..2).for_each(|_| write(&audit));
    drop(audit);
    let audit = Audit::open(&settings, NOW).unwrap();
    write(&audit);
    audit.close(NOW);
    let read = |path: &Path| fs::read(path).unwrap();
    Trail { files: [read(&moved), read(&path)], copies: read(&copy), key: PublicKey::parse(&public).unwrap() }
}

fn verify(files: &[Vec<u8>], copies: &[u8], key: Option<&PublicKey>) -> Verified {
    let mut verifier = Verifier::new(key);
    for (index, file) in files.iter().enumerate() {
        verifier.file(&index.to_string(), file.as_slice()).unwrap();
    }
    verifier.copies("copies", copies).unwrap();
    verifier.finish()
}

impl Trail {
    fn found(&self, files: &[Vec<u8>]) -> Verified {
        verify(files, &self.copies, Some(&self.key))
    }

    /// Asserts that the trail with its file `file` in this form is found out.
    #[track_caller]
    fn finds(&self, file: usize, text: Vec<u8>, what: &str) -> Vec<Finding> {
        let mut files = self.files.clone();
        files[file] = text;
        let verified = self.found(&files);
        assert!(verified.faults > 0, "{what} in file {file} is not found");
        verified.findings
    }
}

fn split(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn a_trail_as_it_was_written_is_whole() {
    let trail = trail();
    let verified = trail.found(&trail.files);
    assert_eq!(verified.findings, []);
    assert_eq!((verified.records, verified.range), (16, Some((0, 15))));
    assert_eq!((verified.checkpoints, verified.signed, verified.after), (4, 4, 0));
    // Without the first file, the second says that it is not the beginning.
    let rest = trail.found(&trail.files[1..]);
    assert_eq!((rest.findings, rest.range.unwrap().1), (vec![], 15));
    assert!(rest.range.unwrap().0 > 0);
}

#[test]
fn each_flip_of_each_byte_is_found() {
    let trail = trail();
    for (file, text) in trail.files.iter().enumerate() {
        for at in 0..text.len() {
            // In turn: one of the same class, one of another, what ends a line, and no ASCII.
            let byte = text[at];
            let same = match byte {
                b'0'..=b'8' | b'a'..=b'y' | b'A'..=b'Y' => byte + 1,
                b'9' | b'z' | b'Z' => byte - 1,
                b'.' => b',',
                _ => b'.',
            };
            let mut changed = text.clone();
            changed[at] = [same, b'{', b'\n', byte ^ 0x80][at % 4];
            if changed[at] == byte {
                changed[at] = same;
            }
            trail.finds(file, changed, &format!("byte {at}"));
        }
    }
}

#[test]
fn each_line_that_is_gone_moved_repeated_or_put_in_is_found() {
    let trail = trail();
    for (file, text) in trail.files.iter().enumerate() {
        let lines = split(text);
        for at in 0..lines.len() {
            let mut gone = lines.clone();
            gone.remove(at);
            trail.finds(file, gone.concat(), &format!("line {at} gone"));
            let mut twice = lines.clone();
            twice.insert(at, lines[at].clone());
            trail.finds(file, twice.concat(), &format!("line {at} twice"));
            let mut put_in = lines.clone();
            put_in.insert(at, b"{\"decision\":\"allow\"}\n".to_vec());
            trail.finds(file, put_in.concat(), &format!("line {at} put in"));
            for other in at + 1..lines.len() {
                let mut moved = lines.clone();
                moved.swap(at, other);
                trail.finds(file, moved.concat(), &format!("lines {at} and {other} swapped"));
            }
            trail.finds(file, lines[..at].concat(), &format!("all from line {at} on gone"));
        }
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_found() {
    let trail = trail();
    for (file, text) in trail.files.iter().enumerate() {
        // The last line feed of a trail is the end of its last checkpoint: without it that one is not there.
        for length in 0..text.len() {
            trail.finds(file, text[..length].to_vec(), &format!("cut at {length}"));
        }
    }
    let verified = trail.found(&trail.files[..1]);
    assert_eq!(verified.findings[0].what, Fault::NotInTrail);
}

#[test]
fn it_says_where() {
    let trail = trail();
    let lines = split(&trail.files[0]);
    let mut gone = lines.clone();
    gone.drain(2..4);
    let expected = Finding { file: "0".to_owned(), line: 3, seq: Some(4), what: Fault::Missing(2) };
    assert_eq!(trail.finds(0, gone.concat(), "two lines gone")[0], expected);
    let changed = String::from_utf8(lines[2].clone()).unwrap().replace("policy_denied", "policy_agreed");
    let mut others = lines.clone();
    others[2] = changed.into_bytes();
    let expected = Finding { file: "0".to_owned(), line: 4, seq: Some(3), what: Fault::Changed };
    assert_eq!(trail.finds(0, others.concat(), "a reason changed"), [expected]);
    let beginning = &trail.finds(0, lines[1..].concat(), "no beginning")[0];
    assert_eq!((beginning.line, &beginning.what), (1, &Fault::NoBeginning));
}

/// Whoever can write the file can make a chain that holds, but not sign it.
#[test]
fn a_chain_made_anew_is_found_by_its_signatures() {
    let trail = trail();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let signer = Arc::new(Signer::parse(&pair().0).unwrap());
    for signer in [None, Some(signer)] {
        let checkpoints = signer.map(|signer| CheckpointSettings {
            signer,
            records: 2,
            interval: Duration::from_secs(1),
            copy: None,
        });
        let _ = fs::remove_file(&path);
        let audit = Audit::open(&AuditSettings { checkpoints, ..settings(&path) }, NOW).unwrap();
        (0..4).for_each(|_| write(&audit));
        drop(audit);
        let forged = [fs::read(&path).unwrap()];
        assert_eq!(verify(&forged, b"", None).findings, []);
        assert!(verify(&forged, b"", Some(&trail.key)).findings.iter().any(|found| found.what == Fault::Unsigned));
    }
}

/// What the page on the audit trail says about erasing: the rest of the line goes, and the chain holds.
#[test]
fn personal_parts_can_be_erased() {
    let trail = trail();
    let erased = trail.files.clone().map(|text| {
        let lines = String::from_utf8(text).unwrap();
        let lines = lines.lines().map(|line| match line.split_once(",\"salt\":") {
            Some((kept, _)) => format!("{kept}}}\n"),
            None => format!("{line}\n"),
        });
        lines.collect::<String>().into_bytes()
    });
    let verified = trail.found(&erased);
    assert_eq!((verified.findings, verified.erased), (vec![], 7));
    assert!(!String::from_utf8_lossy(&erased.concat()).contains("ada@example.com"));
}
