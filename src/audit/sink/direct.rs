//! A sink that requests write themselves: those that run at the same time are gathered, and the first of them to go on writes
//! all their records at once. For `durable` a thread flushes what was written, again for many requests at once.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use crate::audit::AuditError;
use crate::audit::disk::Disk;
use crate::audit::line::Body;
use crate::audit::sink::{Flushed, PATIENCE, State, Task};
use crate::audit::writer::Writer;
use crate::context::UnixTime;

#[derive(Debug)]
pub(super) struct Direct {
    state: Arc<State>,
    /// Locked for no longer than it takes to add a record: it never waits for a disk.
    gathered: Mutex<Gathered>,
    guarded: Mutex<Guarded>,
    work: Condvar,
}

/// Records that are not written yet, in the order in which they will be.
#[derive(Debug)]
struct Gathered {
    bodies: Vec<Body>,
    /// When the last of them came.
    now: UnixTime,
    written: Arc<OnceLock<Written>>,
}

/// What became of records that were gathered.
#[derive(Debug)]
struct Written {
    /// How many of them were taken: the first ones.
    taken: usize,
    /// Why not the others.
    outcome: Result<(), AuditError>,
    /// The next flush, if a reply waits for it.
    flushed: Option<watch::Receiver<Flushed>>,
}

#[derive(Debug)]
struct Guarded {
    writer: Writer,
    /// Those who wait for the next flush; `None` if nobody ever does.
    batch: Option<watch::Sender<Flushed>>,
    /// How many they are.
    waiting: usize,
    ended: bool,
}

/// The place of one record among those that it was gathered with.
#[derive(Debug)]
pub(in crate::audit) struct Place {
    direct: Arc<Direct>,
    number: usize,
    written: Arc<OnceLock<Written>>,
}

impl Direct {
    /// With the end of the thread that flushes, if it is `durable`.
    pub(super) fn start(
        writer: Writer,
        durable: bool,
        disk: &Arc<dyn Disk>,
        state: &Arc<State>,
    ) -> (Arc<Self>, Option<Receiver<()>>) {
        let batch = durable.then(|| watch::channel(None).0);
        let gathered = Gathered { bodies: Vec::new(), now: UnixTime::from_millis(0), written: Arc::default() };
        let direct = Arc::new(Self {
            state: state.clone(),
            gathered: Mutex::new(gathered),
            guarded: Mutex::new(Guarded { writer, batch, waiting: 0, ended: false }),
            work: Condvar::new(),
        });
        let ended = durable.then(|| {
            let (flushing, disk) = (direct.clone(), disk.clone());
            let (end, ended) = sync_channel(0);
            std::thread::spawn(move || {
                flushing.flush(disk.as_ref());
                drop(flushing);
                drop(end);
            });
            ended
        });
        (direct, ended)
    }

    pub(super) fn run(&self, task: Task, now: UnixTime) -> Result<(), AuditError> {
        self.write();
        task.run(&mut self.lock().writer, now)
    }

    /// No more records come.
    pub(super) fn end(&self) {
        self.write();
        self.lock().ended = true;
        self.work.notify_all();
    }

    /// Adds a record to those that are written next.
    pub(super) fn append(self: &Arc<Self>, body: Body, now: UnixTime) -> Place {
        let mut gathered = self.gathered();
        let number = gathered.bodies.len();
        gathered.bodies.push(body);
        gathered.now = now;
        Place { direct: self.clone(), number, written: gathered.written.clone() }
    }

    /// Writes what is gathered. A record is so before its reply, whoever does it: who has been given up by then has left its
    /// record to the next, and at the latest to the next tick.
    fn write(&self) {
        let mut guarded = self.lock();
        let next = Arc::default();
        let (bodies, now, written) = {
            let mut gathered = self.gathered();
            let written = std::mem::replace(&mut gathered.written, next);
            (std::mem::take(&mut gathered.bodies), gathered.now, written)
        };
        if bodies.is_empty() {
            return;
        }
        let (taken, outcome) = guarded.writer.append(&bodies, now);
        self.state.wrote(taken, bodies.len() - taken, &outcome);
        let flushed = guarded.batch.as_ref().filter(|_| taken > 0).map(watch::Sender::subscribe);
        let flushing = flushed.is_some();
        guarded.waiting += if flushing { taken } else { 0 };
        // Under the lock: who finds nothing here is not overtaken while it waits for its turn to write.
        let _ = written.set(Written { taken, outcome, flushed });
        drop(guarded);
        if flushing {
            self.work.notify_one();
        }
    }

    /// Whether the record was taken; if not, it is not missing yet.
    pub(super) fn offer(&self, body: &Body, now: UnixTime) -> bool {
        self.write();
        let mut guarded = self.lock();
        let outcome = guarded.writer.offer(std::slice::from_ref(body), now).map(|_| ());
        guarded.waiting += usize::from(outcome.is_ok() && guarded.batch.is_some());
        drop(guarded);
        self.work.notify_one();
        match &outcome {
            Ok(()) => self.state.note(&outcome),
            Err(error) => self.state.fails(error),
        }
        outcome.is_ok()
    }

    /// A record is missing here.
    pub(super) fn missed(&self) {
        self.lock().writer.missed(1);
    }

    /// Flushes whatever was written, for all who wait for it, until nobody can come any more.
    fn flush(&self, disk: &dyn Disk) {
        loop {
            let mut guarded = self.lock();
            while guarded.waiting == 0 && !guarded.ended {
                guarded = self.work.wait(guarded).unwrap_or_else(PoisonError::into_inner);
            }
            if guarded.waiting == 0 {
                return;
            }
            let waiting = std::mem::take(&mut guarded.waiting);
            let batch = guarded.batch.replace(watch::channel(None).0);
            let file = guarded.writer.unflushed_file();
            drop(guarded);
            let outcome = match file {
                Ok(Some(file)) => {
                    let said = disk.sync(file.fd());
                    self.lock().writer.flushed(&file, said)
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            self.state.moved();
            if outcome.is_err() {
                self.state.wrote(0, waiting, &outcome);
            }
            if let Some(batch) = batch {
                batch.send_replace(Some(outcome));
            }
        }
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic while the lock was held leaves at worst half a line, which the next record cuts off.
    fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// What became of the record, which is written now if it was not yet; with the flush that a reply waits for.
    fn written(&self) -> Result<Option<watch::Receiver<Flushed>>, AuditError> {
        if self.written.get().is_none() {
            self.direct.write();
        }
        match self.written.get() {
            Some(written) if self.number < written.taken => Ok(written.flushed.clone()),
            Some(Written { outcome: Err(error), .. }) => Err(error.clone()),
            // Only a panic while it was written leaves nothing.
            Some(_) | None => Err(self.direct.state.stalled()),
        }
    }

    /// As [`Receipt::sent`](super::Receipt::sent).
    pub(super) fn sent(&self) -> Result<(), AuditError> {
        self.written().map(|_| ())
    }

    /// Waits until the record is where the mode wants it, and lets the requests that can run go first, to be written with it.
    pub(super) async fn outcome(self) -> Result<(), AuditError> {
        tokio::task::yield_now().await;
        let Some(mut flushed) = self.written()? else { return Ok(()) };
        let state = &self.direct.state;
        match tokio::time::timeout(PATIENCE, flushed.wait_for(Option::is_some)).await {
            Ok(Ok(flushed)) => flushed.clone().unwrap_or_else(|| Err(state.stalled())),
            Ok(Err(_)) | Err(_) => Err(state.stall()),
        }
    }
}
