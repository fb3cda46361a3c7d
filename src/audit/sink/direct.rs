//! A sink that is written in the thread of the request, and flushed in one of its own for many requests at once.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::audit::AuditError;
use crate::audit::disk::Disk;
use crate::audit::line::Body;
use crate::audit::sink::{Flushed, Receipt, State, Task};
use crate::audit::writer::Writer;
use crate::context::UnixTime;

#[derive(Debug)]
pub(super) struct Direct {
    guarded: Mutex<Guarded>,
    work: Condvar,
}

#[derive(Debug)]
struct Guarded {
    writer: Writer,
    /// Those who wait for the next flush; `None` if nobody ever does.
    batch: Option<watch::Sender<Flushed>>,
    waiting: bool,
    ended: bool,
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
        let guarded = Mutex::new(Guarded { writer, batch, waiting: false, ended: false });
        let direct = Arc::new(Self { guarded, work: Condvar::new() });
        let ended = durable.then(|| {
            let (flushing, disk, state) = (direct.clone(), disk.clone(), state.clone());
            let (end, ended) = sync_channel(0);
            std::thread::spawn(move || {
                flushing.flush(disk.as_ref(), &state);
                drop(flushing);
                drop(end);
            });
            ended
        });
        (direct, ended)
    }

    pub(super) fn run(&self, task: Task, now: UnixTime) -> Result<(), AuditError> {
        task.run(&mut self.lock().writer, now)
    }

    /// No more records come.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.work.notify_all();
    }

    pub(super) fn append(&self, body: &Body, now: UnixTime, state: &Arc<State>) -> Receipt {
        let mut guarded = self.lock();
        let outcome = guarded.writer.append(body, now);
        state.note(&outcome);
        match (outcome, &guarded.batch) {
            (Err(error), _) => Receipt::Refused(error),
            (Ok(()), None) => Receipt::Taken,
            (Ok(()), Some(batch)) => {
                let receipt = Receipt::Flushing(batch.subscribe(), state.clone());
                guarded.waiting = true;
                drop(guarded);
                self.work.notify_one();
                receipt
            }
        }
    }

    /// Whether the record was taken; if not, it is not missing yet.
    pub(super) fn offer(&self, body: &Body, now: UnixTime, state: &State) -> bool {
        let mut guarded = self.lock();
        let outcome = guarded.writer.offer(body, now);
        guarded.waiting |= outcome.is_ok() && guarded.batch.is_some();
        drop(guarded);
        self.work.notify_one();
        match &outcome {
            Ok(()) => state.note(&outcome),
            Err(error) => state.fails(error),
        }
        outcome.is_ok()
    }

    /// A record is missing here.
    pub(super) fn missed(&self) {
        self.lock().writer.missed(1);
    }

    /// Flushes whatever was written, for all who wait for it, until nobody can come any more.
    fn flush(&self, disk: &dyn Disk, state: &State) {
        loop {
            let mut guarded = self.lock();
            while !guarded.waiting && !guarded.ended {
                guarded = self.work.wait(guarded).unwrap_or_else(PoisonError::into_inner);
            }
            if !guarded.waiting {
                return;
            }
            guarded.waiting = false;
            let batch = guarded.batch.replace(watch::channel(None).0);
            let file = guarded.writer.unflushed_file();
            drop(guarded);
            let outcome = match file {
                Ok(Some(file)) => disk.sync(&file).map_err(|cause| {
                    self.lock().writer.not_flushed(&file, cause);
                    AuditError::Sync { sink: state.name.clone(), cause }
                }),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            state.moved();
            if outcome.is_err() {
                state.note(&outcome);
            }
            if let Some(batch) = batch {
                batch.send_replace(Some(outcome));
            }
        }
    }

    /// A panic while the lock was held leaves at worst half a line, which the next record cuts off.
    fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
