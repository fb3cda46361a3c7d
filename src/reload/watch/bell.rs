//! What file events, signals and the end have in common: they wake the one thread that looks. However many come while it
//! is at something, they are one call.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Pace;

/// Files known at a time to be written to. Whoever writes to more of them has to make do with the quiet after the last
/// event.
const MAX_WRITING: usize = 1024;

/// Why the thread is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// It is not: it is to end.
    End,
    /// Somebody asked for it.
    Signal,
    /// Something changed; with `moved`, a watch may be dead.
    Files {
        /// Whether anything was made, removed or renamed, or an event is missing.
        moved: bool,
    },
    /// Time passed.
    Poll,
}

/// What became of a file, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// Somebody wrote to it, and may go on.
    Written(&'a Path),
    /// Whoever wrote to it has closed it, or it is gone.
    Closed(&'a Path),
}

/// Rung by events, heard by one thread.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<Rung>,
    sound: Condvar,
}

#[derive(Debug, Default)]
struct Rung {
    end: bool,
    signal: bool,
    files: Option<Files>,
    last_event: Option<Instant>,
    writing: HashSet<PathBuf>,
}

#[derive(Debug)]
struct Files {
    moved: bool,
}

impl Bell {
    /// Wakes the thread.
    pub(super) fn call(&self, call: Call) {
        let mut rung = self.lock();
        match call {
            Call::End => rung.end = true,
            Call::Signal => rung.signal = true,
            Call::Files { moved } => rung.changed(moved),
            Call::Poll => {}
        }
        self.sound.notify_all();
    }

    /// Notes a change, without waking anybody: an event comes with it.
    pub(super) fn note(&self, change: Change<'_>) {
        let mut rung = self.lock();
        match change {
            Change::Written(path) if rung.writing.len() < MAX_WRITING => drop(rung.writing.insert(path.to_path_buf())),
            Change::Written(_) => {}
            Change::Closed(path) => drop(rung.writing.remove(path)),
        }
    }

    /// Waits for a call; for files also until they are quiet.
    pub(super) fn wait(&self, pace: &Pace) -> Call {
        let until = Instant::now() + pace.poll;
        let mut rung = self.lock();
        loop {
            if rung.end {
                return Call::End;
            }
            if std::mem::take(&mut rung.signal) {
                return Call::Signal;
            }
            if rung.files.is_some() {
                drop(rung);
                self.calm(pace);
                rung = self.lock();
                let moved = rung.files.take().is_some_and(|files| files.moved);
                return Call::Files { moved };
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Call::Poll;
            }
            rung = self.sleep(rung, left);
        }
    }

    /// Waits until no event came for a while and nobody is known to be writing; not longer than the pace allows.
    pub(super) fn calm(&self, pace: &Pace) {
        let began = Instant::now();
        let mut rung = self.lock();
        while !rung.end {
            let last = rung.last_event.map_or(began, |last| last.max(began));
            let quiet = pace.quiet.saturating_sub(last.elapsed());
            let left = pace.at_most.saturating_sub(began.elapsed());
            if left.is_zero() {
                // Whoever did not close a file by now may never do, or the event that says so was lost.
                rung.writing.clear();
                return;
            }
            if quiet.is_zero() && rung.writing.is_empty() {
                return;
            }
            let pause = if quiet.is_zero() { left } else { quiet.min(left) };
            rung = self.sleep(rung, pause);
        }
    }

    fn sleep<'a>(&self, rung: MutexGuard<'a, Rung>, pause: Duration) -> MutexGuard<'a, Rung> {
        self.sound.wait_timeout(rung, pause).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Rung> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rung {
    fn changed(&mut self, moved: bool) {
        let moved = moved || self.files.as_ref().is_some_and(|files| files.moved);
        self.files = Some(Files { moved });
        self.last_event = Some(Instant::now());
    }
}
