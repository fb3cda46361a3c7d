//! One place that lines are written to, as they are put together by the [`Ledger`] of its chain.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use crate::audit::AuditError;
use crate::audit::chain::{Chain, LINK_LIMIT};
use crate::audit::copy::Checkpoints;
use crate::audit::disk::Disk;
use crate::audit::file::{Fate, File, Found, Handle, predecessor};
use crate::audit::ledger::Ledger;
use crate::audit::line::Body;
use crate::audit::record::{Cause, Opened, closed};
use crate::audit::target::Target;
use crate::context::UnixTime;

/// When a file is put aside for a new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Before it has more bytes than this.
    pub size: Option<u64>,
    /// When it has been written for so long.
    pub age: Option<Duration>,
}

/// How long a file that could not be put aside goes on before that is tried again: each try leaves a record.
const ROTATION_PAUSE_MS: i64 = 1_000;

/// How often a record is written again after a file was deleted under it, or left unended by somebody else.
const ATTEMPTS: usize = 3;

/// A place, and the chain in it.
#[derive(Debug)]
pub(super) struct Writer {
    target: Target,
    ledger: Ledger,
    rotation: Rotation,
    /// Since when the file is written, and until when it is not put aside.
    since: UnixTime,
    paused_until: UnixTime,
    /// Replies wait for the disk.
    durable: bool,
    /// Records were written since the last flush began.
    fresh: bool,
    /// A file that was put aside could not be flushed: what waits for it has failed.
    unflushed: Option<AuditError>,
}

impl Writer {
    /// The writer of the file at `path`.
    ///
    /// # Errors
    /// As [`File::open`].
    pub(super) fn file(disk: &Arc<dyn Disk>, path: &Path, boot: Arc<str>, now: UnixTime) -> Result<Self, AuditError> {
        let Found { file, chain, torn } = File::open(disk, path)?;
        let chain = match chain {
            Some(chain) => chain,
            None => predecessor(disk.as_ref(), path)?.unwrap_or(Chain::START),
        };
        Ok(Self::new(Target::File(file), chain, boot, torn, now))
    }

    /// The writer of the process's standard output, past the buffers of the standard library.
    ///
    /// # Errors
    /// [`AuditError::Open`] if it is closed.
    pub(super) fn stdout(boot: Arc<str>, now: UnixTime) -> Result<Self, AuditError> {
        let fd = rustix::io::fcntl_dupfd_cloexec(std::io::stdout().as_fd(), 0)
            .map_err(|cause| AuditError::Open { sink: "stdout".to_owned(), cause })?;
        Ok(Self::stream(fd, boot, now))
    }

    pub(super) fn stream(fd: OwnedFd, boot: Arc<str>, now: UnixTime) -> Self {
        Self::new(Target::Stream { fd, torn: false }, Chain::START, boot, 0, now)
    }

    fn new(target: Target, chain: Chain, boot: Arc<str>, torn: usize, now: UnixTime) -> Self {
        Self {
            target,
            ledger: Ledger::new(boot, chain, torn),
            rotation: Rotation::default(),
            since: now,
            paused_until: now,
            durable: false,
            fresh: false,
            unflushed: None,
        }
    }

    pub(super) fn with(mut self, rotation: Rotation, checkpoints: Option<Checkpoints>, durable: bool) -> Self {
        (self.rotation, self.ledger.checkpoints, self.durable) = (rotation, checkpoints, durable);
        self
    }

    pub(super) fn name(&self) -> String {
        self.target.name()
    }

    /// Writes records, with as few calls as the limits of the file and of a checkpoint allow, and before them what is to be
    /// told. Says how many it took, which are the first ones.
    ///
    /// # Errors
    /// [`AuditError`] of the first that it did not take; that one and those behind it are missing here, which the next one tells.
    pub(super) fn append(&mut self, bodies: &[Body], now: UnixTime) -> (usize, Result<(), AuditError>) {
        let mut taken = 0;
        while let Some(rest) = bodies.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.offer(rest, now) {
                Ok(count) => taken += count,
                Err(error) => {
                    self.missed(count(rest.len()));
                    return (taken, Err(error));
                }
            }
        }
        (taken, Ok(()))
    }

    /// The first of the records, as many as go in one call: how many that were. None of them is missing if they cannot be
    /// written now.
    ///
    /// # Errors
    /// [`AuditError`].
    pub(super) fn offer(&mut self, bodies: &[Body], now: UnixTime) -> Result<usize, AuditError> {
        let Some(first) = bodies.first() else { return Ok(0) };
        self.make_room(first, now);
        let some = bodies.get(..self.fitting(bodies)).unwrap_or(bodies);
        self.write(some, self.ledger.until_full() <= count(some.len()), now)?;
        self.fresh = true;
        Ok(some.len())
    }

    /// Puts on the disk that the file is there: it may be new.
    ///
    /// # Errors
    /// [`AuditError::Open`].
    pub(super) fn sync_name(&self) -> Result<(), AuditError> {
        match &self.target {
            Target::File(file) => file.sync_name(),
            Target::Stream { .. } => Ok(()),
        }
    }

    /// Notes that so many records did not get here.
    pub(super) fn missed(&mut self, records: u64) {
        self.ledger.lost += records;
    }

    /// Does what time asks for, a few times each second: finds the file again, puts it aside, signs, tells of losses.
    ///
    /// # Errors
    /// [`AuditError`] of the first thing that fails.
    pub(super) fn tick(&mut self, now: UnixTime) -> Result<(), AuditError> {
        if let Target::File(file) = &mut self.target {
            if file.unspoiled().is_err() {
                self.rotate(Cause::Failed, now)?;
            } else if !file.is_named() {
                let cause = if file.look(0) == Fate::Deleted { Cause::Deleted } else { Cause::Reopened };
                self.reopen(cause, now)?;
            } else if self.is_old(now) {
                self.rotate(Cause::Rotated, now)?;
            }
        }
        let due = self.ledger.is_late(now);
        if due || self.ledger.lost > 0 { self.write(&[], due, now) } else { Ok(()) }
    }

    /// Opens the file by its name, if that stands for another by now.
    ///
    /// # Errors
    /// [`AuditError`]; then records go where they went before.
    pub(super) fn find_again(&mut self, now: UnixTime) -> Result<(), AuditError> {
        match &self.target {
            Target::File(file) if !file.is_named() => self.reopen(Cause::Reopened, now),
            Target::File(_) | Target::Stream { .. } => Ok(()),
        }
    }

    /// Writes the last record, unless there was no other.
    ///
    /// # Errors
    /// [`AuditError`].
    pub(super) fn close(&mut self, now: UnixTime) -> Result<(), AuditError> {
        if self.ledger.is_unused() {
            return Ok(());
        }
        self.write(&[closed(now)], true, now)?;
        match &self.target {
            Target::File(file) if self.durable => file.sync(),
            Target::File(_) | Target::Stream { .. } => Ok(()),
        }
    }

    /// The file that is to be flushed for all records up to here, or what was not flushed of them.
    pub(super) fn unflushed_file(&mut self) -> Result<Option<Arc<Handle>>, AuditError> {
        self.fresh = false;
        match (self.unflushed.take(), &self.target) {
            (Some(error), _) => Err(error),
            // An empty file that could not be flushed could not be put aside either: its number is that of the one before.
            (None, Target::File(file)) if file.length() == 0 => Ok(None),
            (None, Target::File(file)) => Ok(Some(file.handle().clone())),
            (None, Target::Stream { .. }) => Ok(None),
        }
    }

    /// What a flush has come to, given what the system says of it. The system tells each failure once, to whoever asks first,
    /// and not of which records: so no flush of a file succeeds once one has failed, whoever was told. Where the file has been
    /// put aside meanwhile, what was written since the flush began may have been in it.
    ///
    /// # Errors
    /// [`AuditError::Sync`].
    pub(super) fn flushed(&mut self, flushed: &Handle, said: Result<(), Errno>) -> Result<(), AuditError> {
        if let Err(cause) = said {
            flushed.spoil(cause);
        }
        let Some(cause) = flushed.spoiled() else { return Ok(()) };
        let error = AuditError::Sync { sink: self.name(), cause };
        if said.is_err() && self.fresh {
            self.unflushed.get_or_insert(error.clone());
        }
        Err(error)
    }

    fn is_old(&self, now: UnixTime) -> bool {
        let age = now.millis().saturating_sub(self.since.millis());
        self.length() > 0
            && self.rotation.age.is_some_and(|limit| u128::try_from(age).is_ok_and(|age| age >= limit.as_millis()))
    }

    fn length(&self) -> u64 {
        match &self.target {
            Target::File(file) => file.length(),
            Target::Stream { .. } => 0,
        }
    }

    /// Puts a full or spoiled file aside. That it cannot be is no reason not to write into it.
    fn make_room(&mut self, body: &Body, now: UnixTime) {
        let Target::File(file) = &self.target else { return };
        let after = file.length().saturating_add(line_of(body));
        let cause = match (file.handle().spoiled(), self.rotation.size) {
            (Some(_), _) => Cause::Failed,
            (None, Some(limit)) if after > limit && file.length() > 0 => Cause::Rotated,
            (None, _) => return,
        };
        if now < self.paused_until {
            return;
        }
        if let Err(error) = self.rotate(cause, now) {
            self.paused_until = UnixTime::from_millis(now.millis().saturating_add(ROTATION_PAUSE_MS));
            tracing::warn!(sink = self.name(), %error, "the audit file cannot be put aside; it goes on");
        }
    }

    /// How many of the records go in one call: up to the next checkpoint, and to the end of the file; one in any case.
    fn fitting(&self, bodies: &[Body]) -> usize {
        let limit = self.rotation.size.unwrap_or(u64::MAX);
        let mut length = self.length();
        let until = usize::try_from(self.ledger.until_full()).unwrap_or(usize::MAX);
        let fits = bodies.iter().take(until).take_while(|body| {
            length = length.saturating_add(line_of(body));
            length <= limit
        });
        fits.count().max(1)
    }

    fn rotate(&mut self, cause: Cause, now: UnixTime) -> Result<(), AuditError> {
        if cause != Cause::Failed {
            self.write(&[closed(now)], true, now)?;
        }
        let Target::File(file) = &self.target else { return Ok(()) };
        let found = file.rotated(self.ledger.last())?;
        self.replace(found, cause, now)
    }

    fn reopen(&mut self, cause: Cause, now: UnixTime) -> Result<(), AuditError> {
        let Target::File(file) = &self.target else { return Ok(()) };
        let found = file.reopened()?;
        if cause == Cause::Reopened {
            // What fails here is told by the records that follow: the chain goes on.
            let _ = self.put_only(&closed(now), now);
        }
        self.replace(found, cause, now)
    }

    fn replace(&mut self, found: Found, cause: Cause, now: UnixTime) -> Result<(), AuditError> {
        let Found { file: new, torn, .. } = found;
        if self.durable {
            new.sync_name()?;
            let flushed = match &self.target {
                Target::File(_) if cause == Cause::Deleted => {
                    Err(AuditError::Sync { sink: self.name(), cause: Errno::NOENT })
                }
                Target::File(old) => old.unspoiled().and_then(|()| old.sync()),
                Target::Stream { .. } => Ok(()),
            };
            // Those whose flush is under way are told by it.
            self.unflushed = flushed.err().filter(|_| self.fresh).or(self.unflushed.take());
        }
        self.target = Target::File(new);
        self.ledger.opened = Some(Opened { cause, torn });
        self.since = now;
        Ok(())
    }

    /// Writes `bodies` and what goes with them; again where the file was taken from under it.
    fn write(&mut self, bodies: &[Body], sign: bool, now: UnixTime) -> Result<(), AuditError> {
        for _ in 0..ATTEMPTS {
            let draft = self.ledger.draft(bodies, sign, now, self.length());
            match self.target.put(&draft.frame) {
                Ok(Fate::Deleted) => {
                    self.ledger.abandon(draft);
                    self.reopen(Cause::Deleted, now)?;
                }
                Ok(Fate::Again) => self.ledger.abandon(draft),
                Ok(fate @ (Fate::Whole | Fate::Resized)) => {
                    self.ledger.settle(draft, now);
                    if fate == Fate::Resized {
                        tracing::error!(sink = self.name(), "somebody else writes the audit file or cuts it");
                        self.ledger.opened = Some(Opened { cause: Cause::Resized, torn: 0 });
                    }
                    return Ok(());
                }
                Err(error) => {
                    self.ledger.abandon(draft);
                    return Err(error);
                }
            }
        }
        Err(AuditError::Write { sink: self.name(), cause: Errno::NOENT })
    }

    /// Writes into the file as it is, whatever becomes of it.
    fn put_only(&mut self, body: &Body, now: UnixTime) -> Result<(), AuditError> {
        let draft = self.ledger.draft([body], true, now, self.length());
        self.target.put(&draft.frame)?;
        self.ledger.settle(draft, now);
        Ok(())
    }
}

/// Most bytes of the line of a record.
fn line_of(body: &Body) -> u64 {
    count(body.bytes.len().saturating_add(LINK_LIMIT))
}

pub(super) fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
