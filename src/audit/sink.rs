//! Where records go: one `write(2)` for each, and no half record left behind.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use crate::audit::AuditError;
use crate::audit::line::LINE_LIMIT;

/// One place that records go to.
#[derive(Debug)]
pub(super) struct Sink {
    target: Target,
    fd: OwnedFd,
    /// The last thing in it is not a line feed, so the next record starts with one.
    torn: bool,
    recorded: u64,
    failures: u64,
    /// Why the last record did not go in.
    failing: Option<AuditError>,
}

#[derive(Debug)]
enum Target {
    File(PathBuf),
    Stdout,
}

/// A sink as `/status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// The path, or `stdout`.
    pub sink: String,
    /// How many records went in since the start.
    pub recorded: u64,
    /// How many did not.
    pub failures: u64,
    /// Why the last one did not; absent while it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
}

/// Bytes of an unfinished line at the end of a file; at most as many as a line can have.
pub(super) type Torn = Option<usize>;

impl Sink {
    /// Opens the file at `path` for this process alone, created for its owner alone.
    ///
    /// # Errors
    /// [`AuditError::Open`], or [`AuditError::Locked`] while another process writes it.
    pub(super) fn file(path: &Path) -> Result<(Self, Torn), AuditError> {
        let fd = open(path)?;
        let torn = claim(&fd, path)?;
        Ok((Self::new(Target::File(path.to_owned()), fd, torn.is_some()), torn))
    }

    /// The process's standard output, past the buffers of the standard library.
    ///
    /// # Errors
    /// [`AuditError::Open`] if it is closed.
    pub(super) fn stdout() -> Result<Self, AuditError> {
        let fd = rustix::io::fcntl_dupfd_cloexec(std::io::stdout().as_fd(), 0)
            .map_err(|cause| AuditError::Open { sink: Target::Stdout.name(), cause })?;
        Ok(Self::new(Target::Stdout, fd, false))
    }

    fn new(target: Target, fd: OwnedFd, torn: bool) -> Self {
        Self { target, fd, torn, recorded: 0, failures: 0, failing: None }
    }

    /// Opens the path again, for it may name another file by now. The old file stays in use if that fails.
    ///
    /// # Errors
    /// As [`Sink::file`].
    pub(super) fn reopen(&mut self) -> Result<Torn, AuditError> {
        let Target::File(path) = &self.target else { return Ok(None) };
        let fd = open(path)?;
        // The lock is on the file as opened: a second opening of the same file would be refused by our own.
        if same_file(&fd, &self.fd).map_err(|cause| failed(path, cause))? {
            return Ok(None);
        }
        let torn = claim(&fd, path)?;
        self.fd = fd;
        self.torn = torn.is_some();
        Ok(torn)
    }

    /// Appends `frame`: a line feed, which is written only after a torn line, and then a line.
    ///
    /// # Errors
    /// [`AuditError::Write`] or [`AuditError::Short`]; then the record counts as not written, and what of it was
    /// written has been taken back where that is possible.
    pub(super) fn append(&mut self, frame: &[u8]) -> Result<(), AuditError> {
        let bytes = if self.torn { frame } else { frame.get(1..).unwrap_or_default() };
        let outcome = match rustix::io::retry_on_intr(|| rustix::io::write(&self.fd, bytes)) {
            Ok(written) if written == bytes.len() => {
                self.torn = false;
                Ok(())
            }
            // A full disk shows as a short write first; to go on with the rest would leave half a line at the error.
            Ok(written) => {
                self.torn |= written > 0 && !self.take_back(written);
                Err(AuditError::Short { sink: self.target.name(), written, length: bytes.len() })
            }
            Err(cause) => Err(AuditError::Write { sink: self.target.name(), cause }),
        };
        self.note(&outcome);
        outcome
    }

    pub(super) fn status(&self) -> SinkStatus {
        SinkStatus {
            sink: self.target.name(),
            recorded: self.recorded,
            failures: self.failures,
            failing: self.failing.as_ref().map(ToString::to_string),
        }
    }

    /// Removes the last `written` bytes. They are ours: the lock is held, and the file is opened for appending.
    fn take_back(&self, written: usize) -> bool {
        let Target::File(_) = self.target else { return false };
        let Ok(stat) = rustix::fs::fstat(&self.fd) else { return false };
        let (Ok(size), Ok(written)) = (u64::try_from(stat.st_size), u64::try_from(written)) else { return false };
        size.checked_sub(written).is_some_and(|end| rustix::fs::ftruncate(&self.fd, end).is_ok())
    }

    /// Counts, and logs where a failure starts and ends: a line for each record would be a flood of its own.
    fn note(&mut self, outcome: &Result<(), AuditError>) {
        match outcome {
            Ok(()) => {
                self.recorded += 1;
                if self.failing.take().is_some() {
                    tracing::info!(sink = self.target.name(), failures = self.failures, "audit sink works again");
                }
            }
            Err(error) => {
                self.failures += 1;
                if self.failing.is_none() {
                    tracing::error!(sink = self.target.name(), %error, "audit sink fails");
                }
                self.failing = Some(error.clone());
            }
        }
    }
}

impl Target {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdout => "stdout".to_owned(),
        }
    }
}

fn open(path: &Path) -> Result<OwnedFd, AuditError> {
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|cause| failed(path, cause))
}

/// Takes the lock and looks at how the file ends.
fn claim(fd: &OwnedFd, path: &Path) -> Result<Torn, AuditError> {
    match rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => torn_tail(fd).map_err(|cause| failed(path, cause)),
        Err(Errno::WOULDBLOCK) => Err(AuditError::Locked { path: path.to_owned() }),
        Err(cause) => Err(failed(path, cause)),
    }
}

fn torn_tail(fd: &OwnedFd) -> Result<Torn, Errno> {
    let size = u64::try_from(rustix::fs::fstat(fd)?.st_size).unwrap_or(0);
    let mut tail = vec![0; LINE_LIMIT.min(usize::try_from(size).unwrap_or(LINE_LIMIT))];
    let start = size.saturating_sub(LINE_LIMIT as u64);
    let read = rustix::io::retry_on_intr(|| rustix::io::pread(fd, tail.as_mut_slice(), start))?;
    tail.truncate(read);
    let torn = tail.iter().rev().take_while(|byte| **byte != b'\n').count();
    Ok((torn > 0).then_some(torn))
}

fn same_file(one: &OwnedFd, other: &OwnedFd) -> Result<bool, Errno> {
    let (one, other) = (rustix::fs::fstat(one)?, rustix::fs::fstat(other)?);
    Ok(one.st_dev == other.st_dev && one.st_ino == other.st_ino)
}

fn failed(path: &Path, cause: Errno) -> AuditError {
    AuditError::Open { sink: path.display().to_string(), cause }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_short_write_to_a_file_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let (mut sink, torn) = Sink::file(&path).unwrap();
        assert_eq!(torn, None);
        sink.append(b"\n{\"a\":1}\n").unwrap();
        rustix::io::write(&sink.fd, b"{\"half").unwrap();
        assert!(sink.take_back(6));
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"a\":1}\n");
        assert!(!sink.take_back(9), "more than the file has");
    }

    #[test]
    fn a_pipe_that_takes_half_a_line_gets_the_next_on_a_line_of_its_own() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let fd = OwnedFd::from(writer);
        rustix::fs::fcntl_setfl(&fd, OFlags::NONBLOCK).unwrap();
        let mut sink = Sink::new(Target::Stdout, fd, false);
        // Writes above PIPE_BUF (4096) may be split, and a pipe holds 64 KiB: the seventh of these does not fit.
        let frame = [b"\n".as_slice(), &[b'x'; 9999], b"\n"].concat();
        let failure = (0..7).find_map(|_| sink.append(&frame).err());
        assert!(matches!(failure, Some(AuditError::Short { length: 10_000, .. })), "{failure:?}");
        assert_eq!(sink.status().failures, 1);

        let mut drained = vec![0; 65536];
        let count = reader.read(&mut drained).unwrap();
        assert_ne!(drained[count - 1], b'\n');
        sink.append(b"\nnext\n").unwrap();
        sink.append(b"\nlast\n").unwrap();
        assert_eq!(sink.status().failing, None);
        drop(sink);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "\nnext\nlast\n");
    }

    #[test]
    fn the_unfinished_line_at_the_end_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        for (index, (content, expected)) in [
            (b"".to_vec(), None),
            (b"a\n".to_vec(), None),
            (b"a\nbc".to_vec(), Some(2)),
            (b"bc".to_vec(), Some(2)),
            ([vec![b'a'; LINE_LIMIT], vec![b'\n']].concat(), None),
            (vec![b'a'; LINE_LIMIT + 1], Some(LINE_LIMIT)),
        ]
        .into_iter()
        .enumerate()
        {
            let path = folder.path().join(index.to_string());
            std::fs::write(&path, content).unwrap();
            assert_eq!(Sink::file(&path).unwrap().1, expected, "case {index}");
        }
    }
}
