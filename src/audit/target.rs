//! What lines are written to: a file, or standard output.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;

use crate::audit::AuditError;
use crate::audit::file::{Fate, File};

/// A place for lines.
#[derive(Debug)]
pub(super) enum Target {
    /// A file of this process alone.
    File(File),
    /// Standard output.
    Stream {
        fd: OwnedFd,
        /// The last thing in it is not a line feed.
        torn: bool,
    },
}

impl Target {
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(file) => file.name(),
            Self::Stream { .. } => "stdout".to_owned(),
        }
    }

    /// Writes whole lines; what became of the place meanwhile.
    ///
    /// # Errors
    /// [`AuditError`].
    pub(super) fn put(&mut self, lines: &[u8]) -> Result<Fate, AuditError> {
        match self {
            Self::File(file) => {
                file.put(lines)?;
                Ok(file.look(lines.len()))
            }
            Self::Stream { fd, torn } => {
                let outcome = if *torn { pour(fd, b"\n").and_then(|()| pour(fd, lines)) } else { pour(fd, lines) };
                *torn = outcome.is_err();
                outcome.map(|()| Fate::Whole).map_err(|cause| AuditError::Write { sink: self.name(), cause })
            }
        }
    }
}

/// Writes all of it, however long the reader takes: there is no taking back, and a thread of its own waits here.
fn pour(fd: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes)) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            // Whoever started the process may have made it so; a short rest is as good as being woken.
            Err(Errno::AGAIN) => std::thread::sleep(RETRY),
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

/// Between two tries at an output that does not wait.
const RETRY: Duration = Duration::from_millis(1);
