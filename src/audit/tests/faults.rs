//! Every system call fails once, in each way it can: what was answered is on record all the same, and the chain holds.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Mutex;

use super::*;
use crate::audit::disk::Facts;

/// A disk that is the system's, but for what a test says.
#[derive(Debug, Default)]
pub(super) struct FakeDisk {
    /// Calls until the one that fails; `None` for none.
    until: Mutex<Option<u64>>,
    how: Option<How>,
    /// Whether writes take nothing, as on a full disk.
    pub(super) full: Mutex<bool>,
    /// How many writes until then, if it is known.
    pub(super) full_after: Mutex<Option<u64>>,
    written: Mutex<u64>,
    /// Whether nothing can be flushed.
    pub(super) unflushable: Mutex<bool>,
    /// Whether nothing can be cut off.
    pub(super) uncuttable: Mutex<bool>,
    /// What happens at the next flush, and what the system says of it.
    pub(super) flush: Mutex<Option<Flush>>,
    /// How many times the names in a folder were flushed.
    pub(super) folders: Mutex<u64>,
    /// How long the file was that was flushed last.
    pub(super) flushed: Mutex<u64>,
}

/// What a test does in the place of a flush.
pub(super) struct Flush(pub(super) Box<dyn FnOnce() -> Result<(), Errno> + Send>);

impl fmt::Debug for Flush {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Flush")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Fails(Errno),
    /// A write takes half; every other call fails.
    Halves,
}

impl FakeDisk {
    fn failing(call: u64, how: How) -> Self {
        Self { until: Mutex::new(Some(call)), how: Some(how), ..Self::default() }
    }

    /// How many writes there were.
    pub(super) fn writes(&self) -> u64 {
        *self.written.lock().unwrap()
    }

    fn is_full(&self) -> bool {
        let mut after = self.full_after.lock().unwrap();
        let is_full = *self.full.lock().unwrap() || *after == Some(0);
        *after = after.map(|writes| writes.saturating_sub(1));
        is_full
    }

    /// Whether the call that was to fail came.
    fn has_failed(&self) -> bool {
        self.until.lock().unwrap().is_none()
    }

    fn next(&self) -> Option<How> {
        let mut until = self.until.lock().unwrap();
        match *until {
            Some(0) => {
                *until = None;
                self.how
            }
            Some(calls) => {
                *until = Some(calls - 1);
                None
            }
            None => None,
        }
    }

    fn call(&self) -> Result<(), Errno> {
        match self.next() {
            Some(How::Fails(cause)) => Err(cause),
            Some(How::Halves) => Err(Errno::IO),
            None => Ok(()),
        }
    }
}

impl Disk for FakeDisk {
    fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.call()?;
        System.open(path)
    }

    fn lock(&self, fd: &OwnedFd) -> Result<(), Errno> {
        self.call()?;
        System.lock(fd)
    }

    fn read(&self, fd: &OwnedFd, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
        self.call()?;
        System.read(fd, buffer, at)
    }

    fn write(&self, fd: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
        *self.written.lock().unwrap() += 1;
        if self.is_full() {
            // A real one takes what still fits before it takes nothing.
            return System.write(fd, &bytes[..bytes.len() / 3]);
        }
        match self.next() {
            Some(How::Fails(cause)) => Err(cause),
            Some(How::Halves) => System.write(fd, &bytes[..bytes.len() / 2]),
            None => System.write(fd, bytes),
        }
    }

    fn truncate(&self, fd: &OwnedFd, length: u64) -> Result<(), Errno> {
        self.call()?;
        if *self.uncuttable.lock().unwrap() {
            return Err(Errno::IO);
        }
        System.truncate(fd, length)
    }

    fn sync(&self, fd: &OwnedFd) -> Result<(), Errno> {
        self.call()?;
        if *self.unflushable.lock().unwrap() {
            return Err(Errno::IO);
        }
        let next = self.flush.lock().unwrap().take();
        next.map_or(Ok(()), |Flush(next)| next())?;
        let length = System.facts(fd)?.length;
        System.sync(fd)?;
        *self.flushed.lock().unwrap() = length;
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), Errno> {
        self.call()?;
        *self.folders.lock().unwrap() += 1;
        System.sync_folder(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Errno> {
        self.call()?;
        System.rename(from, to)
    }

    fn facts(&self, fd: &OwnedFd) -> Result<Facts, Errno> {
        self.call()?;
        System.facts(fd)
    }

    fn find(&self, path: &Path) -> Result<Facts, Errno> {
        self.call()?;
        System.find(path)
    }
}

/// A trail in one file, on a disk of a test's own.
pub(super) fn trail(
    disk: &Arc<FakeDisk>,
    path: &Path,
    mode: Mode,
    rotation: Rotation,
    checkpoints: Option<CheckpointSettings>,
) -> Audit {
    let disk: Arc<dyn Disk> = disk.clone();
    let file = Some(FileSettings { path: path.to_owned(), mode, rotation });
    Audit::open_on(&disk, &AuditSettings { file, checkpoints, ..AuditSettings::default() }, NOW).unwrap()
}

/// A checkpoint after every four records.
pub(super) fn fours() -> Option<CheckpointSettings> {
    let signer = Arc::new(Signer::parse(&pair().0).unwrap());
    Some(CheckpointSettings { signer, records: 4, interval: Duration::from_secs(60), copy: None })
}

/// The files of the trail at `path` that hold records, in the order of the chain.
pub(super) fn trail_files(path: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(u64, PathBuf)> = files
        .filter(|file| file.to_str().unwrap().starts_with(path.to_str().unwrap()))
        .filter_map(|file| {
            let first: Value = fs::read_to_string(&file).unwrap().lines().next()?.parse().unwrap();
            Some((first["seq"].as_u64().unwrap(), file))
        })
        .collect();
    files.sort();
    files.into_iter().map(|(_, file)| file).collect()
}

/// The chain holds over all files, and the decisions in them.
#[track_caller]
pub(super) fn whole(path: &Path, what: &str) -> Vec<String> {
    let mut verifier = Verifier::new(None);
    let mut ids = Vec::new();
    for file in trail_files(path) {
        let text = fs::read(&file).unwrap();
        verifier.file(file.to_str().unwrap(), text.as_slice()).unwrap();
        for line in String::from_utf8(text).unwrap().split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: Value = line.parse().unwrap();
            ids.extend(line["decision_id"].as_str().map(str::to_owned));
        }
    }
    let verified = verifier.finish();
    assert_eq!(verified.findings, [], "{what}: {:?}", trail_files(path));
    ids
}

/// Decisions, `together` at a time, of which those that were recorded are remembered.
async fn decide(audit: &Audit, count: usize, together: usize, acknowledged: &mut Vec<String>) {
    let ids: Vec<DecisionId> = (0..count).map(|_| audit.next_id()).collect();
    for some in ids.chunks(together) {
        let records: Vec<Record<'_>> = some.iter().map(typical).collect();
        let outcomes = join_all(records.iter().map(|record| audit.record(record, ()))).await;
        let recorded = some.iter().zip(outcomes).filter_map(|(id, outcome)| outcome.ok().map(|_| id.to_string()));
        acknowledged.extend(recorded);
    }
}

/// What happens to a trail in its life: records, an idle while, a rotation of its own and one from outside, a deleted file,
/// an end.
async fn life(disk: Arc<dyn Disk>, settings: &AuditSettings, path: &Path, together: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let Ok(audit) = Audit::open_on(&disk, settings, NOW) else { return acknowledged };
    decide(&audit, 3, together, &mut acknowledged).await;
    audit.tick(UnixTime::from_seconds(NOW.seconds() + 2));
    // Two records are more than a file may hold.
    decide(&audit, 3, together, &mut acknowledged).await;
    if path.exists() {
        let mut moved = path.as_os_str().to_owned();
        moved.push(format!(".{:012}", 500));
        fs::rename(path, moved).unwrap();
    }
    let _ = audit.reopen(NOW);
    decide(&audit, 1, together, &mut acknowledged).await;
    audit.tick(UnixTime::from_seconds(NOW.seconds() + 4));
    decide(&audit, 1, together, &mut acknowledged).await;
    audit.close(NOW);
    acknowledged
}

#[test]
fn whichever_call_fails_nothing_acknowledged_is_missing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let signer = Arc::new(Signer::parse(&pair().0).unwrap());
    for (mode, how, together) in [
        (Mode::Strict, How::Halves, 1),
        (Mode::Strict, How::Halves, 3),
        (Mode::Strict, How::Fails(Errno::NOSPC), 1),
        (Mode::Strict, How::Fails(Errno::NOSPC), 3),
        (Mode::Strict, How::Fails(Errno::ROFS), 1),
        (Mode::Durable, How::Fails(Errno::IO), 1),
        (Mode::Durable, How::Fails(Errno::IO), 3),
        (Mode::Durable, How::Halves, 1),
        (Mode::Durable, How::Halves, 3),
    ] {
        let mut call = 0;
        loop {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("audit.jsonl");
            let rotation = Rotation { size: Some(3_000), age: None };
            let checkpoints =
                CheckpointSettings { signer: signer.clone(), records: 4, interval: Duration::from_secs(1), copy: None };
            let settings = AuditSettings {
                file: Some(FileSettings { path: path.clone(), mode, rotation }),
                checkpoints: Some(checkpoints),
                ..AuditSettings::default()
            };
            let disk = Arc::new(FakeDisk::failing(call, how));
            let mut acknowledged = runtime.block_on(life(disk.clone(), &settings, &path, together));
            // The next process finds whatever this one left.
            let audit = Audit::open(&settings, NOW).unwrap();
            runtime.block_on(decide(&audit, 1, together, &mut acknowledged));
            drop(audit);
            let what = format!("{mode:?}, {how:?}, {together} together, call {call}");
            let recorded = whole(&path, &what);
            for id in &acknowledged {
                assert!(recorded.contains(id), "{what}: {id} is missing");
            }
            // At most one thing fails, so at most the records of one attempt are not acknowledged.
            assert!(
                acknowledged.len() >= 9 - together || (acknowledged.len() == 1 && call < 10),
                "{what}: {acknowledged:?}"
            );
            if !disk.has_failed() {
                assert_eq!(acknowledged.len(), 9, "{what}");
                break;
            }
            call += 1;
        }
        assert!(call > 30 / together.min(2) as u64, "{mode:?} makes {call} calls: the life is no life");
    }
}
