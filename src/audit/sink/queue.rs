//! The queue of a sink with a thread of its own: what waits in it, and what found no room.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::audit::AuditError;
use crate::audit::line::Body;
use crate::audit::sink::{Receipt, State, Task};
use crate::audit::writer::Writer;
use crate::context::UnixTime;

/// Records that wait for a slow sink. More of them would only be a longer wait before the same end.
pub(super) const QUEUE: usize = 4096;

#[derive(Debug)]
pub(super) struct Queue {
    /// `None` once no more can come. What is dropped with it tells the thread so at once.
    jobs: Option<(UnboundedSender<Job>, oneshot::Sender<()>)>,
    level: Arc<Level>,
    /// Closed when the thread has ended. Only its end is received.
    ended: Mutex<Receiver<()>>,
}

#[derive(Debug, Default)]
struct Level {
    /// Records that were handed over, and are not done with.
    waiting: AtomicUsize,
    /// A tick is on its way: another one would find nothing to do.
    ticking: AtomicBool,
    /// Records that found the queue full, and are not told yet.
    dropped: AtomicU64,
}

/// What the thread is to do.
#[derive(Debug)]
pub(super) enum Job {
    Record(Pending),
    Task(Task, UnixTime),
}

/// A record on its way, and the reply that waits for it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) body: Body,
    pub(super) now: UnixTime,
    waiting: Option<oneshot::Sender<Result<(), AuditError>>>,
}

impl Pending {
    /// A record that no reply waits for.
    #[cfg(test)]
    pub(super) fn unasked(body: Body, now: UnixTime) -> Self {
        Self { body, now, waiting: None }
    }

    /// Tells the reply.
    pub(super) fn answer(self, outcome: Result<(), AuditError>) {
        if let Some(waiting) = self.waiting {
            // Nobody may be waiting any more.
            let _ = waiting.send(outcome);
        }
    }
}

/// The end of the queue that the thread has.
#[derive(Debug)]
pub(super) struct Jobs {
    queue: UnboundedReceiver<Job>,
    level: Arc<Level>,
}

impl Jobs {
    /// The next one, when it is there; `None` once no more can come.
    pub(super) async fn next(&mut self) -> Option<Job> {
        let job = self.queue.recv().await;
        self.taken(job)
    }

    /// The next one, if it is there.
    pub(super) fn try_next(&mut self) -> Option<Job> {
        let job = self.queue.try_recv().ok();
        self.taken(job)
    }

    fn blocking_next(&mut self) -> Option<Job> {
        let job = self.queue.blocking_recv();
        self.taken(job)
    }

    fn taken(&self, job: Option<Job>) -> Option<Job> {
        if let Some(Job::Task(Task::Tick, _)) = job {
            self.level.ticking.store(false, Ordering::Relaxed);
        }
        job
    }

    /// How many were dropped since it was last asked.
    pub(super) fn dropped(&self) -> u64 {
        self.level.dropped.swap(0, Ordering::Relaxed)
    }

    /// So many records have found their end.
    pub(super) fn done(&self, records: usize) {
        self.level.waiting.fetch_sub(records, Ordering::Relaxed);
    }

    /// Records that have not.
    pub(super) fn waiting(&self) -> usize {
        self.level.waiting.load(Ordering::Relaxed)
    }
}

impl Queue {
    /// A queue whose jobs `work` does, in a thread of its own. Its second argument resolves, to an error, once no more can come.
    pub(super) fn start(work: impl FnOnce(Jobs, oneshot::Receiver<()>) + Send + 'static) -> Self {
        let (jobs, queue) = unbounded_channel();
        let (alive, ending) = oneshot::channel();
        let (end, ended) = sync_channel(0);
        let level = Arc::new(Level::default());
        let mine = Jobs { queue, level: level.clone() };
        std::thread::spawn(move || {
            work(mine, ending);
            drop(end);
        });
        Self { jobs: Some((jobs, alive)), level, ended: Mutex::new(ended) }
    }

    /// A queue of what `writer` is to write, one by one.
    pub(super) fn writing(mut writer: Writer, state: Arc<State>) -> Self {
        Self::start(move |mut jobs, _| {
            while let Some(job) = jobs.blocking_next() {
                writer.missed(jobs.dropped());
                match job {
                    Job::Record(record) => {
                        let (_, outcome) = writer.append(std::slice::from_ref(&record.body), record.now);
                        state.note(&outcome);
                        state.moved();
                        record.answer(outcome);
                        jobs.done(1);
                    }
                    Job::Task(task, now) => {
                        let outcome = task.run(&mut writer, now);
                        state.did(task, &outcome);
                        state.moved();
                    }
                }
            }
        })
    }

    /// A sink that did not move in time is handed records all the same, but nobody waits for it until it moves again.
    pub(super) fn append(&self, body: Body, now: UnixTime, counts: bool, state: &Arc<State>) -> Receipt {
        let stalls = state.stalls.load(Ordering::Relaxed);
        let Some((jobs, _)) = &self.jobs else { return Receipt::Refused(state.stalled()) };
        if !self.level.enter() {
            return self.refuse(counts, state);
        }
        let (waiting, receive) = (counts && !stalls).then(oneshot::channel).unzip();
        if jobs.send(Job::Record(Pending { body, now, waiting })).is_err() {
            return self.refuse(counts, state);
        }
        match receive {
            Some(receive) => Receipt::Queued(receive, state.clone()),
            None if counts => Receipt::Refused(state.stalled()),
            None => Receipt::Unasked,
        }
    }

    fn refuse(&self, counts: bool, state: &State) -> Receipt {
        self.level.dropped.fetch_add(1, Ordering::Relaxed);
        let error = state.stalled();
        state.note(&Err(error.clone()));
        if counts { Receipt::Refused(error) } else { Receipt::Unasked }
    }

    /// Whether there was room for the record.
    pub(super) fn offer(&self, body: &Body, now: UnixTime) -> bool {
        let record = Pending { body: body.clone(), now, waiting: None };
        self.jobs.as_ref().is_some_and(|(jobs, _)| self.level.enter() && jobs.send(Job::Record(record)).is_ok())
    }

    /// A record is missing here.
    pub(super) fn missed(&self) {
        self.level.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands over a task.
    pub(super) fn run(&self, task: Task, now: UnixTime) {
        let Some((jobs, _)) = &self.jobs else { return };
        if task != Task::Tick || !self.level.ticking.swap(true, Ordering::Relaxed) {
            // A thread that has ended has nothing to do.
            let _ = jobs.send(Job::Task(task, now));
        }
    }

    /// No more records come: the thread ends when it has written those there are.
    pub(super) fn end(&mut self) -> &Mutex<Receiver<()>> {
        self.jobs = None;
        &self.ended
    }
}

impl Level {
    /// Whether there was room for one more.
    fn enter(&self) -> bool {
        let more = |waiting| (waiting < QUEUE).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}
