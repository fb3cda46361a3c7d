//! Denials of callers that nobody knows, past a rate: counted exactly, and recorded as sums. Else whoever has no token could
//! fill the disk, and with it deny everybody.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::audit::line::{Body, Line};
use crate::audit::record::{Record, Verdict};
use crate::context::UnixTime;

/// Sums in one record: with the longest names, they fit.
const SUMS: usize = 32;

/// Seconds by which no request is late: then the clock was set back.
const CLOCK_SET_BACK: i64 = 60;

/// Which denials are only counted.
#[derive(Debug)]
pub(super) struct Flood {
    /// Denials that are recorded one by one in each second; `None` for all.
    rate: Option<u64>,
    second: Mutex<Second>,
}

#[derive(Debug, Default)]
struct Second {
    /// Since the epoch.
    number: i64,
    recorded: u64,
    sums: Vec<Sum>,
}

/// So many denials of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sum {
    server: String,
    reason: String,
    count: u64,
}

impl Flood {
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate, second: Mutex::default() }
    }

    /// Counts the record, if it is one of too many; then it is not to be written.
    pub(super) fn absorbs(&self, record: &Record<'_>) -> bool {
        let Some(rate) = self.rate.filter(|_| record.decision == Verdict::Deny && record.principal.is_none()) else {
            return false;
        };
        let mut second = self.lock();
        // What took longer comes with an older time, and begins no second of its own.
        let age = second.number.saturating_sub(record.time.seconds());
        if !(0..=CLOCK_SET_BACK).contains(&age) {
            (second.number, second.recorded) = (record.time.seconds(), 0);
        }
        if second.recorded < rate {
            second.recorded += 1;
            return false;
        }
        second.add(record.server.unwrap_or_default(), record.reason, 1);
        true
    }

    /// Hands what was counted to `write`, as records, and keeps what that does not take.
    pub(super) fn settle(&self, now: UnixTime, mut write: impl FnMut(&Body) -> bool) {
        let sums = std::mem::take(&mut self.lock().sums);
        for some in sums.chunks(SUMS) {
            if !write(&body(some, now)) {
                let mut second = self.lock();
                some.iter().for_each(|sum| second.add(&sum.server, &sum.reason, sum.count));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Second> {
        self.second.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Second {
    fn add(&mut self, server: &str, reason: &str, count: u64) {
        match self.sums.iter_mut().find(|sum| sum.server == server && sum.reason == reason) {
            Some(sum) => sum.count += count,
            None => self.sums.push(Sum { server: server.to_owned(), reason: reason.to_owned(), count }),
        }
    }
}

/// The record: `<server>/<reason>` and how many.
fn body(sums: &[Sum], now: UnixTime) -> Body {
    let mut line = Line::default();
    line.text("kind", "flood");
    line.time("time", now);
    line.object("denials", |line| {
        for sum in sums {
            line.word(&format!("{}/{}", sum.server, sum.reason), sum.count);
        }
    });
    line.finish()
}
