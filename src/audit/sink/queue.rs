//! A sink with a queue and a thread that empties it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::audit::AuditError;
use crate::audit::line::Body;
use crate::audit::sink::{Receipt, State, Task};
use crate::audit::writer::Writer;
use crate::context::UnixTime;

/// Records that wait for a slow sink. More of them would only be a longer wait before the same end.
const QUEUE: usize = 4096;

#[derive(Debug)]
pub(super) struct Queue {
    /// `None` once no more can come.
    jobs: Option<SyncSender<Job>>,
    /// Records that found the queue full, and are not told yet.
    dropped: Arc<AtomicU64>,
    /// Closed when the thread has ended. Only its end is received.
    ended: Mutex<Receiver<()>>,
}

enum Job {
    Record(Body, UnixTime, Option<oneshot::Sender<Result<(), AuditError>>>),
    Task(Task, UnixTime),
}

impl Queue {
    pub(super) fn start(mut writer: Writer, state: Arc<State>) -> Self {
        let (jobs, queue) = sync_channel(QUEUE);
        let (end, ended) = sync_channel(0);
        let dropped = Arc::new(AtomicU64::new(0));
        let told = dropped.clone();
        std::thread::spawn(move || {
            for job in queue {
                writer.dropped(told.swap(0, Ordering::Relaxed));
                match job {
                    Job::Record(body, now, waiting) => {
                        let outcome = writer.append(&body, now);
                        state.note(&outcome);
                        state.moved();
                        if let Some(waiting) = waiting {
                            // Nobody may be waiting any more.
                            let _ = waiting.send(outcome);
                        }
                    }
                    Job::Task(task, now) => {
                        let outcome = task.run(&mut writer, now);
                        state.did(task, &outcome);
                    }
                }
            }
            drop(writer);
            drop(end);
        });
        Self { jobs: Some(jobs), dropped, ended: Mutex::new(ended) }
    }

    /// A sink that did not move in time is handed records all the same, but nobody waits for it until it moves again.
    pub(super) fn append(&self, body: &Body, now: UnixTime, counts: bool, state: &Arc<State>) -> Receipt {
        let stalls = state.stalls.load(Ordering::Relaxed);
        let (send, receive) = (counts && !stalls).then(oneshot::channel).unzip();
        let body = Body { bytes: body.bytes.clone(), chained: body.chained };
        let Some(jobs) = &self.jobs else { return Receipt::Refused(state.stalled()) };
        match jobs.try_send(Job::Record(body, now, send)) {
            Ok(()) => match receive {
                Some(receive) => Receipt::Queued(receive, state.clone()),
                None if counts => Receipt::Refused(state.stalled()),
                None => Receipt::Unasked,
            },
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                let error = state.stalled();
                state.note(&Err(error.clone()));
                if counts { Receipt::Refused(error) } else { Receipt::Unasked }
            }
        }
    }

    /// Left out when there is no room: the next one comes soon.
    pub(super) fn run(&self, task: Task, now: UnixTime) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.try_send(Job::Task(task, now));
        }
    }

    /// No more records come: the thread ends when it has written those there are.
    pub(super) fn end(&mut self) -> &Mutex<Receiver<()>> {
        self.jobs = None;
        &self.ended
    }
}
