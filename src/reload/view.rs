//! One look at the files, of which it is known whether they held still.
//!
//! A folder is opened once, and every file in it through that handle, so that a folder put in its place is not read by
//! half. At the end everything is asked again: whether each path still leads to the same folder, each Kubernetes link
//! `..data` to the same data, each file to the same file of the same age. That finds what changed during the look, as far
//! as the system's clock tells two changes apart; what it does not find differs in the next look.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

/// Bytes of one file. The largest useful one is a catalogue or a policy file of a few megabytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Folders in folders: deep enough for any layout, and an end to a link that leads back.
const MAX_FOLDER_DEPTH: usize = 16;

/// The link that a Kubernetes volume swaps, and everything in it with it.
const KUBERNETES_LINK: &str = "..data";

/// What was looked at, and how it was found.
#[derive(Debug, Default)]
pub(super) struct View {
    folders: BTreeMap<PathBuf, Pinned>,
    /// Files and listed folders: in which pinned folder, under which name there.
    seen: Vec<(PathBuf, PathBuf, Stamp)>,
}

/// A folder that stays open, whatever its path leads to later.
#[derive(Debug)]
struct Pinned {
    handle: OwnedFd,
    stamp: Stamp,
    data: Option<CString>,
}

/// What tells one state of a file from another.
#[derive(Debug)]
struct Stamp(Stat);

impl Stamp {
    fn is_same_object(&self, other: &Stat) -> bool {
        (self.0.st_dev, self.0.st_ino) == (other.st_dev, other.st_ino)
    }

    fn is_same_state(&self, other: &Stat) -> bool {
        let state = |it: &Stat| (it.st_size, it.st_mtime, it.st_mtime_nsec, it.st_ctime, it.st_ctime_nsec);
        self.is_same_object(other) && state(&self.0) == state(other)
    }
}

impl View {
    /// The text of the file `name` in `folder`; or why it cannot be had.
    pub(super) fn read(&mut self, folder: &Path, name: &Path) -> Result<String, String> {
        // Not blocking: a FIFO would wait for its writer, for ever.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = self.pin(folder).and_then(|pinned| Ok(openat(&pinned.handle, name, flags, Mode::empty())?));
        let file = opened.map_err(|error| error.to_string())?;
        let stat = fstat(&file).map_err(|error| io::Error::from(error).to_string())?;
        self.seen.push((folder.to_path_buf(), name.to_path_buf(), Stamp(stat)));
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err("it is not a file".to_owned());
        }
        let mut text = String::new();
        // One more byte than may be there, so that a file that grows is found too long and not cut.
        let mut file = std::fs::File::from(file).take(MAX_FILE + 1);
        file.read_to_string(&mut text).map_err(|error| error.to_string())?;
        if file.limit() == 0 {
            return Err(format!("it is larger than {MAX_FILE} bytes"));
        }
        Ok(text)
    }

    /// The names of all files below `folder` with one of `extensions`, in order. What starts with a dot is left out:
    /// Kubernetes mounts the files twice, once below `..data`, and editors leave `.file.swp`.
    pub(super) fn list(&mut self, folder: &Path, extensions: &[&str]) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        self.walk(folder, Path::new("."), extensions, MAX_FOLDER_DEPTH, &mut found)?;
        found.sort();
        Ok(found)
    }

    fn walk(
        &mut self,
        folder: &Path,
        below: &Path,
        extensions: &[&str],
        depth: usize,
        found: &mut Vec<PathBuf>,
    ) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let listed = openat(&self.pin(folder)?.handle, below, flags, Mode::empty())?;
        self.seen.push((folder.to_path_buf(), below.to_path_buf(), Stamp(fstat(&listed)?)));
        for entry in Dir::new(listed)? {
            let entry = entry?;
            let name = Path::new(OsStr::from_bytes(entry.file_name().to_bytes()));
            if name.as_os_str().as_bytes().starts_with(b".") {
                continue;
            }
            let path = below.strip_prefix(".").unwrap_or(below).join(name);
            let wanted = name.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension));
            let kind = entry.file_type();
            let told = kind != FileType::Symlink && kind != FileType::Unknown;
            let kind = if told { Ok(kind) } else { self.kind(folder, &path) };
            match kind {
                Ok(FileType::Directory) if depth == 0 => return Err(io::Error::other("folders nest too deep")),
                Ok(FileType::Directory) => self.walk(folder, &path, extensions, depth - 1, found)?,
                // What cannot be asked for its kind cannot be read either, and that is told with its name.
                Ok(_) | Err(_) if wanted => found.push(path),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn kind(&mut self, folder: &Path, name: &Path) -> io::Result<FileType> {
        let stat = statat(&self.pin(folder)?.handle, name, AtFlags::empty())?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    fn pin(&mut self, folder: &Path) -> io::Result<&Pinned> {
        if !self.folders.contains_key(folder) {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
            let handle = openat(CWD, folder, flags, Mode::empty())?;
            let stamp = Stamp(fstat(&handle)?);
            let data = kubernetes_data(&handle);
            self.folders.insert(folder.to_path_buf(), Pinned { handle, stamp, data });
        }
        self.folders.get(folder).ok_or_else(|| Errno::NOENT.into())
    }

    /// Whether anything that was looked at is no longer as it was.
    pub(super) fn has_changed(&self) -> bool {
        let moved = |path: &PathBuf, pinned: &Pinned| {
            let now = statat(CWD, path, AtFlags::empty());
            !now.is_ok_and(|now| pinned.stamp.is_same_object(&now)) || kubernetes_data(&pinned.handle) != pinned.data
        };
        let changed = |folder: &PathBuf, name: &PathBuf, stamp: &Stamp| {
            let Some(pinned) = self.folders.get(folder) else { return true };
            let now = statat(&pinned.handle, name, AtFlags::empty());
            !now.is_ok_and(|now| stamp.is_same_state(&now))
        };
        self.folders.iter().any(|(path, pinned)| moved(path, pinned))
            || self.seen.iter().any(|(folder, name, stamp)| changed(folder, name, stamp))
    }
}

/// Where the link of a Kubernetes volume leads, if the folder is one.
fn kubernetes_data(folder: &OwnedFd) -> Option<CString> {
    readlinkat(folder, KUBERNETES_LINK, Vec::new()).ok()
}
