//! When to look at the files again: one thread that looks, and builds what it finds.
//!
//! Polling is the truth: a watch dies with the file it watches, misses changes on network file systems, and drops events
//! when its queue is full. Events only make the next look come sooner.

mod bell;
mod folders;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::reload::{Live, Trigger};

use self::bell::{Bell, Call};
use self::folders::Watched;

/// How long what is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From one look to the next without any event.
    pub poll: Duration,
    /// Without an event before a change counts as complete: editors and mounts change several files in a row.
    pub quiet: Duration,
    /// For that quiet, at most: then is looked all the same.
    pub at_most: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let quiet = Duration::from_millis(100);
        Self { poll: Duration::from_secs(2), quiet, at_most: Duration::from_secs(1) }
    }
}

/// A running watch. It ends when the last clone is gone, after the look that it is at.
#[derive(Debug, Clone)]
pub struct Watch(Arc<Ending>);

impl Watch {
    /// Has the files looked at now, those too that were refused before.
    pub fn look_now(&self) {
        self.0.0.call(Call::Signal);
    }
}

#[derive(Debug)]
struct Ending(Arc<Bell>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.call(Call::End);
    }
}

/// Looks at the files of `live` on a thread of its own: at once, after every poll interval, soon after a change in one of
/// its folders, and when it is told to. Inside a runtime, so that issuers can fetch keys.
///
/// A folder in which `audit_file` lies too is left to polling: each record would be an event, and an event costs more
/// than the record.
///
/// # Errors
/// [`io::Error`] if there can be no thread.
pub fn watch(live: Arc<Live>, audit_file: Option<PathBuf>, pace: Pace) -> io::Result<Watch> {
    let bell = Arc::new(Bell::default());
    let watch = Watch(Arc::new(Ending(bell.clone())));
    let runtime = Handle::try_current().ok();
    let run = move || {
        let _runtime = runtime.as_ref().map(Handle::enter);
        yield_to_requests();
        run(&live, &bell, audit_file, &pace);
    };
    std::thread::Builder::new().name("reload".to_owned()).spawn(run)?;
    Ok(watch)
}

fn run(live: &Live, bell: &Arc<Bell>, audit_file: Option<PathBuf>, pace: &Pace) {
    let mut watched = Watched::new(audit_file);
    let mut call = Call::Files { moved: true };
    loop {
        let trigger = match call {
            Call::End => return,
            Call::Signal => Trigger::Signal,
            Call::Files { .. } | Call::Poll => Trigger::Files,
        };
        // Armed before the look: what changes after it is an event, what changed before it is found.
        watched.arm(live.folders(), call == Call::Files { moved: true }, bell);
        let look = || live.reload_when_still(trigger, &|| bell.calm(pace));
        if catch_unwind(AssertUnwindSafe(look)).is_err() {
            tracing::error!("a reload ended in a panic; the rules stay as they are");
        }
        // Other folders may have changed before they were watched.
        let others = watched.arm(live.folders(), false, bell);
        call = if others { Call::Files { moved: false } } else { bell.wait(pace) };
    }
}

/// Where cores are short, requests come first: on Linux a priority is that of one thread. Enough is left to build within
/// a fraction of a second.
fn yield_to_requests() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 5) {
        tracing::debug!(%error, "the reload has the priority of a request");
    }
}
