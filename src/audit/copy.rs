//! When a chain is signed, and the second place that its checkpoints go to: what is cut off the end of the first is told by
//! the second.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::checkpoint::{CheckpointSettings, Signer};
use crate::audit::disk::Disk;
use crate::audit::line::Body;
use crate::audit::record::checkpoint;
use crate::context::UnixTime;

/// The checkpoints of one chain.
#[derive(Debug)]
pub(super) struct Checkpoints {
    settings: CheckpointSettings,
    copy: Option<Copy>,
    /// Records since the last one.
    records: u64,
    /// When the last one was written, or the first record after it.
    at: UnixTime,
}

#[derive(Debug)]
struct Copy {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    fd: Option<OwnedFd>,
    /// Half a line may be at its end.
    torn: bool,
    failing: bool,
}

impl Checkpoints {
    /// The checkpoints of a chain, with copies of them if the settings say where.
    pub(super) fn new(settings: CheckpointSettings, disk: &Arc<dyn Disk>, now: UnixTime) -> Self {
        let copy =
            settings.copy.clone().map(|path| Copy { disk: disk.clone(), path, fd: None, torn: true, failing: false });
        Self { settings, copy, records: 0, at: now }
    }

    /// How many more records are to be followed by one.
    pub(super) fn until_full(&self) -> u64 {
        self.settings.records.saturating_sub(self.records).max(1)
    }

    /// Whether there are records without one for too long.
    pub(super) fn is_late(&self, now: UnixTime) -> bool {
        let age = u128::try_from(now.millis().saturating_sub(self.at.millis())).unwrap_or(0);
        self.records > 0 && age >= self.settings.interval.as_millis()
    }

    /// The next one, and who signs it.
    pub(super) fn next(&self, now: UnixTime) -> (Body, &Signer) {
        (checkpoint(now, self.settings.signer.id()), &self.settings.signer)
    }

    /// So many records were written without one.
    pub(super) fn unsigned(&mut self, records: u64, now: UnixTime) {
        if self.records == 0 {
            self.at = now;
        }
        self.records += records;
    }

    /// `line`, the checkpoint, was written.
    pub(super) fn signed(&mut self, line: &[u8], now: UnixTime) {
        (self.records, self.at) = (0, now);
        if let Some(copy) = &mut self.copy {
            copy.put(line);
        }
    }
}

impl Copy {
    /// Appends; that it fails is logged once, and no reason to deny: the chain itself is written.
    fn put(&mut self, line: &[u8]) {
        let outcome = self.try_put(line);
        match outcome {
            Ok(()) if self.failing => tracing::info!(path = %self.path.display(), "checkpoints are copied again"),
            Err(cause) if !self.failing => {
                tracing::error!(path = %self.path.display(), %cause, "checkpoints cannot be copied");
            }
            Ok(()) | Err(_) => {}
        }
        self.failing = outcome.is_err();
        if self.failing {
            (self.fd, self.torn) = (None, true);
        }
    }

    fn try_put(&mut self, line: &[u8]) -> Result<(), rustix::io::Errno> {
        let fd = match self.fd.take() {
            Some(fd) if self.disk.facts(&fd).is_ok_and(|facts| !facts.deleted) => fd,
            Some(_) | None => self.disk.open(&self.path)?,
        };
        // Readers skip an empty line.
        let bytes = if self.torn { [b"\n", line].concat() } else { line.to_vec() };
        let written = self.disk.write(&fd, &bytes)?;
        if written != bytes.len() {
            return Err(rustix::io::Errno::NOSPC);
        }
        (self.fd, self.torn) = (Some(fd), false);
        Ok(())
    }
}
