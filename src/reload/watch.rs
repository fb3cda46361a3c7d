//! When to look at the files again.
//!
//! Polling is the truth: a watch dies with the file it watches, misses changes on network file systems, and drops events
//! when its queue is full. Events only make the next look come sooner.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::reload::{Live, Trigger};

/// How often the files are read without any event.
const POLL: Duration = Duration::from_secs(2);

/// How long after an event the files are read: editors and mounts change several files in a row.
const SETTLE: Duration = Duration::from_millis(100);

/// Looks at the files of `live` for as long as the process runs: after every poll interval, soon after a change in one of
/// `folders`, and at once when `signal` is notified.
///
/// A folder in which the audit file lies too is left to polling: each record would be an event, and an event costs more
/// than the record.
pub async fn watch(live: Arc<Live>, mut folders: Vec<PathBuf>, audit_file: Option<PathBuf>, signal: Arc<Notify>) {
    folders.retain(|folder| !audit_file.as_deref().is_some_and(|file| lies_in(file, folder)));
    let changed = Arc::new(Notify::new());
    let _watcher = watcher(&folders, changed.clone());
    loop {
        let trigger = tokio::select! {
            () = signal.notified() => Trigger::Signal,
            () = tokio::time::sleep(POLL) => Trigger::Files,
            () = changed.notified() => {
                tokio::time::sleep(SETTLE).await;
                Trigger::Files
            }
        };
        let live = live.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || live.reload(trigger)).await {
            tracing::error!(%error, "a reload ended in a panic; the rules stay as they are");
        }
    }
}

/// A watcher over `folders`; without one, polling alone goes on.
fn watcher(folders: &[PathBuf], changed: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error of the watcher, a full queue say, may hide a change: it counts as one. Reading is no change, or our
        // own reading would wake us.
        if event.is_err() || event.is_ok_and(|event| event.need_rescan() || !is_reading(event.kind)) {
            changed.notify_one();
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "no file events; files are looked at every {} s", POLL.as_secs());
            return None;
        }
    };
    for folder in folders {
        if let Err(error) = watcher.watch(folder, RecursiveMode::Recursive) {
            tracing::warn!(%error, folder = %folder.display(), "no file events for this folder");
        }
    }
    Some(watcher)
}

fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

/// Whether `file` is somewhere below `folder`, by whatever names the two are called.
fn lies_in(file: &Path, folder: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    real(file).starts_with(real(folder))
}
