//! The system calls beneath a file of records. Tests put another in the place of the system, which fails where they say.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// Device and number: two names are of one file if these are the same.
    pub(super) id: (u64, u64),
    /// Its length in bytes.
    pub(super) length: u64,
    /// No name is left.
    pub(super) deleted: bool,
    /// A file on a disk, not a device.
    pub(super) regular: bool,
    /// What somebody else has to read, or writing to it waits.
    pub(super) pipe: bool,
}

/// One call each; what the call says is what is returned.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file for appending, and makes it for its owner alone.
    fn open(&self, path: &Path) -> Result<OwnedFd, Errno>;
    /// Takes the lock, or says [`Errno::WOULDBLOCK`].
    fn lock(&self, fd: &OwnedFd) -> Result<(), Errno>;
    /// Reads at a place; how much there was.
    fn read(&self, fd: &OwnedFd, buffer: &mut [u8], at: u64) -> Result<usize, Errno>;
    /// Appends; how much was taken.
    fn write(&self, fd: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno>;
    /// Cuts off what lies behind `length`.
    fn truncate(&self, fd: &OwnedFd, length: u64) -> Result<(), Errno>;
    /// Waits until the content is on the disk.
    fn sync(&self, fd: &OwnedFd) -> Result<(), Errno>;
    /// Waits until the names in the folder are on the disk.
    fn sync_folder(&self, folder: &Path) -> Result<(), Errno>;
    /// Gives a file a new name, unless there is something of that name.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), Errno>;
    /// What an open file is.
    fn facts(&self, fd: &OwnedFd) -> Result<Facts, Errno>;
    /// What a name stands for.
    fn find(&self, path: &Path) -> Result<Facts, Errno>;
}

/// The system itself.
#[derive(Debug)]
pub(super) struct System;

impl Disk for System {
    fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
    }

    fn lock(&self, fd: &OwnedFd) -> Result<(), Errno> {
        rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive)
    }

    fn read(&self, fd: &OwnedFd, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| rustix::io::pread(fd, &mut *buffer, at))
    }

    fn write(&self, fd: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))
    }

    fn truncate(&self, fd: &OwnedFd, length: u64) -> Result<(), Errno> {
        rustix::fs::ftruncate(fd, length)
    }

    fn sync(&self, fd: &OwnedFd) -> Result<(), Errno> {
        rustix::fs::fdatasync(fd)
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), Errno> {
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() };
        let fd = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::fs::fsync(fd)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Errno> {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system can do this; the name holds a number that is used once.
            Err(Errno::INVAL | Errno::NOSYS) if self.find(to) == Err(Errno::NOENT) => rustix::fs::rename(from, to),
            renamed => renamed,
        }
    }

    fn facts(&self, fd: &OwnedFd) -> Result<Facts, Errno> {
        rustix::fs::fstat(fd).map(|stat| facts(&stat))
    }

    fn find(&self, path: &Path) -> Result<Facts, Errno> {
        rustix::fs::stat(path).map(|stat| facts(&stat))
    }
}

fn facts(stat: &rustix::fs::Stat) -> Facts {
    Facts {
        id: (stat.st_dev, stat.st_ino),
        length: u64::try_from(stat.st_size).unwrap_or(0),
        deleted: stat.st_nlink == 0,
        regular: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
        pipe: FileType::from_raw_mode(stat.st_mode) == FileType::Fifo,
    }
}
