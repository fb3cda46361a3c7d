//! One file of records: locked, whole to its last line, and found again when it is moved, deleted or full.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;

use crate::audit::AuditError;
use crate::audit::chain::Chain;
use crate::audit::disk::{Disk, Facts};
use crate::audit::line::LINE_LIMIT;

/// Digits of the number in the name of a rotated file: their order is that of the chain.
const NUMBER_DIGITS: usize = 12;

/// A file that this process alone writes.
#[derive(Debug)]
pub(super) struct File {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    handle: Arc<Handle>,
    id: (u64, u64),
    regular: bool,
    /// Bytes of whole lines.
    length: u64,
    /// There may be half a line behind them.
    dirty: bool,
}

/// The open file itself, which is flushed while others write on.
#[derive(Debug)]
pub(super) struct Handle {
    fd: OwnedFd,
    /// What the system said when the content was to be on the disk. It may forget what it could not write, and report
    /// success the next time, so nothing more goes into this file.
    spoiled: OnceLock<Errno>,
}

impl Handle {
    /// For the system calls.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Notes that it could not be flushed.
    pub(super) fn spoil(&self, cause: Errno) {
        // The first time counts.
        let _ = self.spoiled.set(cause);
    }

    /// Why it could not be flushed, ever.
    pub(super) fn spoiled(&self) -> Option<Errno> {
        self.spoiled.get().copied()
    }
}

/// A file as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    /// Where the chain of its records ends; `None` if it has none.
    pub(super) chain: Option<Chain>,
    /// Bytes of an unfinished line that were cut off.
    pub(super) torn: usize,
}

/// What became of the file while lines were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing.
    Whole,
    /// It has no name any more, and the lines are lost with it.
    Deleted,
    /// Somebody else made it longer or shorter.
    Resized,
    /// Somebody else left half a line at its end: that is ended now, and the lines are to be written again.
    Again,
}

impl File {
    /// Opens the file at `path` for this process alone; an unfinished line at its end is cut off.
    ///
    /// # Errors
    /// [`AuditError::Open`], [`AuditError::Locked`] while another process writes it, [`AuditError::NoTrail`] if it holds
    /// something else, [`AuditError::Pipe`].
    pub(super) fn open(disk: &Arc<dyn Disk>, path: &Path) -> Result<Found, AuditError> {
        let failed = |cause| AuditError::Open { sink: path.display().to_string(), cause };
        let fd = disk.open(path).map_err(failed)?;
        match disk.lock(&fd) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(AuditError::Locked { path: path.to_owned() }),
            Err(cause) => return Err(failed(cause)),
        }
        let facts = disk.facts(&fd).map_err(failed)?;
        if facts.pipe {
            return Err(AuditError::Pipe { path: path.to_owned() });
        }
        let end = ending(disk.as_ref(), &fd, facts.length)
            .map_err(failed)?
            .ok_or_else(|| AuditError::NoTrail { path: path.to_owned() })?;
        let length = facts.length.saturating_sub(u64::try_from(end.torn).unwrap_or(u64::MAX));
        if end.torn > 0 {
            disk.truncate(&fd, length).map_err(failed)?;
        }
        let file = Self {
            disk: disk.clone(),
            path: path.to_owned(),
            handle: Arc::new(Handle { fd, spoiled: OnceLock::new() }),
            id: facts.id,
            regular: facts.regular,
            length,
            dirty: false,
        };
        Ok(Found { file, chain: end.chain, torn: end.torn })
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// Appends whole lines, or nothing.
    ///
    /// # Errors
    /// [`AuditError::Write`] or [`AuditError::Short`]; what was written of them has been taken back, or is before anything
    /// else is written.
    pub(super) fn put(&mut self, lines: &[u8]) -> Result<(), AuditError> {
        let failed = |cause| AuditError::Write { sink: self.path.display().to_string(), cause };
        if let Some(cause) = self.handle.spoiled() {
            return Err(failed(cause));
        }
        if self.dirty {
            self.disk.truncate(&self.handle.fd, self.length).map_err(failed)?;
            self.dirty = false;
        }
        match self.disk.write(&self.handle.fd, lines) {
            Ok(written) if written == lines.len() => {
                self.length += u64::try_from(written).unwrap_or(0);
                Ok(())
            }
            // A full disk shows as a short write first; to go on with the rest would leave half a line at the error.
            Ok(written) => {
                self.dirty = written > 0 && self.disk.truncate(&self.handle.fd, self.length).is_err();
                Err(AuditError::Short { sink: self.name(), written, length: lines.len() })
            }
            Err(cause) => Err(failed(cause)),
        }
    }

    /// Looks at the file after `written` bytes of lines: what went into a file without a name is nowhere.
    pub(super) fn look(&mut self, written: usize) -> Fate {
        match self.disk.facts(&self.handle.fd) {
            Ok(Facts { deleted: true, .. }) => Fate::Deleted,
            // What is behind the whole lines of a dirty file is known, and is cut off before anything else is written.
            Ok(facts) if facts.regular && facts.length != self.length && !self.dirty => {
                self.length = facts.length;
                self.part(written)
            }
            // What cannot be told has not changed: the lines themselves are written.
            Ok(_) | Err(_) => Fate::Whole,
        }
    }

    /// Sees to it that the lines just written do not go on where half a line of somebody else ends.
    fn part(&mut self, written: usize) -> Fate {
        let start = self.length.saturating_sub(u64::try_from(written).unwrap_or(u64::MAX));
        let mut before = [b'\n'];
        if start > 0 && self.disk.read(&self.handle.fd, &mut before, start - 1).is_ok() && before != [b'\n'] {
            let parted =
                self.disk.truncate(&self.handle.fd, start).and_then(|()| self.disk.write(&self.handle.fd, b"\n"));
            self.length = start + u64::from(parted == Ok(1));
            return Fate::Again;
        }
        Fate::Resized
    }

    /// Whether the name still stands for this file.
    pub(super) fn is_named(&self) -> bool {
        self.disk.find(&self.path).is_ok_and(|facts| facts.id == self.id)
    }

    /// That all of it could be flushed so far.
    ///
    /// # Errors
    /// [`AuditError::Sync`].
    pub(super) fn unspoiled(&self) -> Result<(), AuditError> {
        self.handle.spoiled().map_or(Ok(()), |cause| Err(AuditError::Sync { sink: self.name(), cause }))
    }

    /// Puts what is written on the disk.
    ///
    /// # Errors
    /// [`AuditError::Sync`]; then nothing more goes into this file.
    pub(super) fn sync(&self) -> Result<(), AuditError> {
        self.disk.sync(&self.handle.fd).map_err(|cause| {
            self.handle.spoil(cause);
            AuditError::Sync { sink: self.name(), cause }
        })
    }

    /// Moves the file out of the way, to a name that ends in the number of its last record, and opens a new one.
    ///
    /// # Errors
    /// As [`File::open`]; then this file goes on, under whichever name.
    pub(super) fn rotated(&self, last: u64) -> Result<Found, AuditError> {
        if self.regular && self.is_named() {
            let mut to = self.path.clone().into_os_string();
            to.push(format!(".{last:0NUMBER_DIGITS$}"));
            self.disk.rename(&self.path, Path::new(&to)).map_err(|cause| self.failed(cause))?;
        }
        self.reopened()
    }

    /// The file that the name stands for now.
    ///
    /// # Errors
    /// As [`File::open`]; then this file goes on.
    pub(super) fn reopened(&self) -> Result<Found, AuditError> {
        Self::open(&self.disk, &self.path)
    }

    /// Puts on the disk that the file is in its folder.
    ///
    /// # Errors
    /// [`AuditError::Open`].
    pub(super) fn sync_name(&self) -> Result<(), AuditError> {
        self.disk.sync_folder(self.path.parent().unwrap_or(Path::new(""))).map_err(|cause| self.failed(cause))
    }

    fn failed(&self, cause: Errno) -> AuditError {
        AuditError::Open { sink: self.name(), cause }
    }
}

/// Where the chain of the newest file beside `path` ends that was moved away from it: a process may have died before it
/// wrote into the new one, or have ended before the move.
///
/// # Errors
/// [`AuditError::Open`]: with a file that cannot be read, it cannot be told where the chain goes on.
pub(super) fn predecessor(disk: &dyn Disk, path: &Path) -> Result<Option<Chain>, AuditError> {
    let Some(name) = path.file_name() else { return Ok(None) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder that does not tell its names has none.
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut newest: Option<Chain> = None;
    for entry in entries {
        let rest = entry.file_name();
        let rest = rest.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        if rest.is_none_or(|rest| rest.first() != Some(&b'.')) {
            continue;
        }
        let chain = chain_of(disk, &entry.path())
            .map_err(|cause| AuditError::Open { sink: entry.path().display().to_string(), cause })?;
        newest = newest.into_iter().chain(chain).max_by_key(|chain| chain.next);
    }
    Ok(newest)
}

/// Where the chain in a file ends that is not written any more, if there is one in it.
fn chain_of(disk: &dyn Disk, path: &Path) -> Result<Option<Chain>, Errno> {
    let facts = disk.find(path)?;
    if !facts.regular {
        return Ok(None);
    }
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
    let chain = ending(disk, &fd, facts.length)?.and_then(|end| end.chain);
    // What was compressed, or is something else altogether, has no number.
    Ok(chain.filter(|chain| chain.next > 0))
}

struct Ending {
    chain: Option<Chain>,
    torn: usize,
}

/// How a file of `length` bytes ends: `None` if not in lines that are short enough.
fn ending(disk: &dyn Disk, fd: &OwnedFd, length: u64) -> Result<Option<Ending>, Errno> {
    // The last whole line, and behind it one that is not.
    let window = 2 * LINE_LIMIT;
    let mut tail = vec![0; window.min(usize::try_from(length).unwrap_or(window))];
    let mut filled = 0;
    let start = length.saturating_sub(u64::try_from(window).unwrap_or(0));
    while let Some(rest) = tail.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match disk.read(fd, rest, start + u64::try_from(filled).unwrap_or(0))? {
            0 => break,
            read => filled += read,
        }
    }
    tail.truncate(filled);
    let torn = tail.iter().rev().take_while(|byte| **byte != b'\n').count();
    if torn > LINE_LIMIT {
        return Ok(None);
    }
    let whole = tail.get(..tail.len() - torn).unwrap_or_default();
    let last = whole.strip_suffix(b"\n").map(|lines| lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default());
    Ok(Some(Ending { chain: last.map(Chain::after), torn }))
}
