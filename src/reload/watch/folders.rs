//! Which folders the system is asked about, and which of its events count.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecursiveMode, Watcher as _};

use super::bell::{Bell, Call, Change};
use crate::reload::Folder;

/// Folders above one of the rules' that are watched, so that one that is deleted and made again is found: the folder that
/// holds it, and the folder that holds that.
const ABOVE: usize = 2;

/// What is watched now.
#[derive(Debug)]
pub(super) struct Watched {
    audit_file: Option<PathBuf>,
    folders: Vec<Folder>,
    /// Which folder each path led to, by device and number.
    found: Vec<Option<(u64, u64)>>,
    watcher: Option<notify::RecommendedWatcher>,
}

impl Watched {
    /// Nothing yet, and never the folder of `audit_file`.
    pub(super) fn new(audit_file: Option<PathBuf>) -> Self {
        Self { audit_file, folders: Vec::new(), found: Vec::new(), watcher: None }
    }

    /// Watches `folders`; anew if they are others than before, or at other places, or the watches may be `dead`. Whether
    /// it did. Without a watcher polling alone goes on.
    pub(super) fn arm(&mut self, folders: Vec<Folder>, dead: bool, bell: &Arc<Bell>) -> bool {
        let mut folders: Vec<Folder> = folders.into_iter().map(absolute).collect();
        folders.retain(|folder| !self.has_audit_file(&folder.path, folder.deep));
        let found = folders.iter().map(|folder| identity(&folder.path)).collect();
        if !dead && folders == self.folders && found == self.found {
            return false;
        }
        (self.folders, self.found) = (folders, found);
        // Beside the old one, so that little goes unheard between the two.
        self.watcher = self.watcher(bell);
        true
    }

    fn watcher(&self, bell: &Arc<Bell>) -> Option<notify::RecommendedWatcher> {
        let (folders, bell) = (self.folders.clone(), bell.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| heard(event, &folders, &bell));
        let mut watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::warn!(%error, "no file events; files are found changed at the next poll");
                return None;
            }
        };
        let mut places: BTreeMap<&Path, bool> = BTreeMap::new();
        for folder in &self.folders {
            *places.entry(&folder.path).or_default() |= folder.deep;
            for above in folder.path.ancestors().skip(1).take(ABOVE) {
                places.entry(above).or_default();
            }
        }
        for (place, deep) in places {
            if self.has_audit_file(place, deep) {
                continue;
            }
            let mode = if deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            match watcher.watch(place, mode) {
                Ok(()) => {}
                // It is said louder elsewhere that it is missing, and the folder above tells when it is there again.
                Err(error) if !place.exists() => tracing::debug!(%error, folder = %place.display(), "no such folder"),
                Err(error) => tracing::warn!(%error, folder = %place.display(), "no file events for this folder"),
            }
        }
        Some(watcher)
    }

    /// Whether each record would be an event, by whatever names the two are called.
    fn has_audit_file(&self, folder: &Path, deep: bool) -> bool {
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let Some(holder) = self.audit_file.as_deref().and_then(Path::parent) else { return false };
        let holder = if holder.as_os_str().is_empty() { Path::new(".") } else { holder };
        let (holder, folder) = (real(holder), real(folder));
        if deep { holder.starts_with(folder) } else { holder == folder }
    }
}

fn absolute(folder: Folder) -> Folder {
    Folder { path: std::path::absolute(&folder.path).unwrap_or(folder.path), deep: folder.deep }
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()))
}

/// Rings for an event that may concern the rules.
fn heard(event: notify::Result<Event>, folders: &[Folder], bell: &Bell) {
    let event = match event {
        Ok(event) if !event.need_rescan() && !event.paths.is_empty() => event,
        // An error of the watcher, a full queue say, may hide a change: it counts as one.
        Ok(_) | Err(_) => return bell.call(Call::Files { moved: true }),
    };
    if is_reading(event.kind) || !event.paths.iter().any(|path| concerns(path, folders)) {
        return;
    }
    for path in event.paths.iter().filter(|path| !is_hidden(path)) {
        match event.kind {
            EventKind::Modify(ModifyKind::Data(_)) => bell.note(Change::Written(path)),
            EventKind::Access(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                bell.note(Change::Closed(path));
            }
            EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Other => {}
        }
    }
    let moved = !matches!(event.kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_)));
    bell.call(Call::Files { moved });
}

/// Our own reading would wake us.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

/// Whether `path` is in one of the folders, or is one of those that lead there.
fn concerns(path: &Path, folders: &[Folder]) -> bool {
    folders.iter().any(|folder| {
        let inside = if folder.deep { path.starts_with(&folder.path) } else { path.parent() == Some(&folder.path) };
        inside || folder.path.starts_with(path)
    })
}

/// An editor keeps its swap file open for as long as it runs.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
