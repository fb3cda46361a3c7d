//! What can go wrong with the trail.

use std::path::PathBuf;

use rustix::io::Errno;
use thiserror::Error;

use crate::audit::otlp::ExportError;

/// Why a record was not written, or the trail not opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuditError {
    /// The sink cannot be opened.
    #[error("cannot open the audit sink `{sink}`: {cause}")]
    Open {
        /// The path, or `stdout`.
        sink: String,
        /// What the system said.
        cause: Errno,
    },
    /// Another process has the file: two writers would make one trail of two.
    #[error("the audit file `{path}` is being written by another process", path = path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file ends in something that is no line of records.
    #[error("the file `{path}` is not an audit file: it does not end in lines", path = path.display())]
    NoTrail {
        /// The file.
        path: PathBuf,
    },
    /// The file is a pipe: requests would wait for whoever reads it, all of them and without end.
    #[error("the audit file `{path}` is a pipe, which requests would wait for; use `stdout`", path = path.display())]
    Pipe {
        /// The file.
        path: PathBuf,
    },
    /// Nowhere to record to.
    #[error("no audit sink is configured")]
    NoSink,
    /// The system gave no random bytes for the id of this process.
    #[error("the system gives no random bytes")]
    Random,
    /// The record was refused whole.
    #[error("cannot write to the audit sink `{sink}`: {cause}")]
    Write {
        /// The path, or `stdout`.
        sink: String,
        /// What the system said.
        cause: Errno,
    },
    /// Only the start of the record was taken.
    #[error("the audit sink `{sink}` took {written} of {length} bytes")]
    Short {
        /// The path, or `stdout`.
        sink: String,
        /// Bytes taken.
        written: usize,
        /// Bytes of the record.
        length: usize,
    },
    /// The record may be lost when the machine stops.
    #[error("cannot flush the audit sink `{sink}` to the disk: {cause}")]
    Sync {
        /// The path.
        sink: String,
        /// What the system said.
        cause: Errno,
    },
    /// The collector has not, or not surely, taken the record.
    #[error("cannot send to the audit sink `{sink}`: {cause}")]
    Export {
        /// The URL.
        sink: String,
        /// What it did.
        cause: ExportError,
    },
    /// No TLS, or no randomness.
    #[error("the http client of the audit sink `{sink}` cannot be made")]
    Client {
        /// The URL.
        sink: String,
    },
    /// The sink does not take records, or not in time.
    #[error("the audit sink `{sink}` does not keep up")]
    Stalled {
        /// The path, `stdout`, or the URL.
        sink: String,
    },
}
