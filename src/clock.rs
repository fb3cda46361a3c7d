//! The one clock. Whatever decides is handed a [`UnixTime`]; only this file asks the system for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::context::UnixTime;

/// Where the time comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's wall clock: tokens carry wall-clock times.
    #[default]
    System,
    /// Milliseconds since the epoch that somebody else sets: a test, or a replay.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The present moment.
    pub fn now(&self) -> UnixTime {
        match self {
            Self::System => system(),
            Self::Set(millis) => UnixTime::from_millis(millis.load(Ordering::Relaxed)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the injected clock")]
fn system() -> UnixTime {
    // A clock before 1970 is broken; at the epoch every token is not valid yet, and everything is denied.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
