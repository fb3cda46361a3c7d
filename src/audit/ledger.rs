//! The lines of one chain before they are anywhere: records, what is to be told before them, and signatures.

use std::sync::Arc;

use crate::audit::chain::Chain;
use crate::audit::copy::Checkpoints;
use crate::audit::line::Body;
use crate::audit::record::{Cause, Opened, lost};
use crate::context::UnixTime;

/// Where a chain ends, and what its next line tells.
#[derive(Debug)]
pub(super) struct Ledger {
    boot: Arc<str>,
    chain: Chain,
    /// What is to be told before the next record.
    pub(super) opened: Option<Opened>,
    /// Records that are missing here and not told yet.
    pub(super) lost: u64,
    pub(super) checkpoints: Option<Checkpoints>,
    /// The memory of the last draft, for the next.
    buffer: Vec<u8>,
}

/// Lines that are not written yet, and where the chain ends behind them.
#[derive(Debug)]
pub(super) struct Draft {
    /// The lines, each with its line feed.
    pub(super) frame: Vec<u8>,
    chain: Chain,
    /// Where in `frame` the checkpoint starts, if there is one.
    signed: Option<usize>,
}

impl Draft {
    /// The lines, each without its line feed.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.frame.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    }
}

impl Ledger {
    /// The chain that goes on behind `chain`, with `torn` bytes cut off what was there.
    pub(super) fn new(boot: Arc<str>, chain: Chain, torn: usize) -> Self {
        let opened = Some(Opened { cause: Cause::Start, torn });
        Self { boot, chain, opened, lost: 0, checkpoints: None, buffer: Vec::new() }
    }

    /// The number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.chain.next.saturating_sub(1)
    }

    /// Whether nothing was ever written by this process.
    pub(super) fn is_unused(&self) -> bool {
        self.opened.is_some_and(|opened| opened.cause == Cause::Start)
    }

    /// How many more records are to be followed by a checkpoint.
    pub(super) fn until_full(&self) -> u64 {
        self.checkpoints.as_ref().map_or(u64::MAX, Checkpoints::until_full)
    }

    /// Whether there are records without a checkpoint for too long.
    pub(super) fn is_late(&self, now: UnixTime) -> bool {
        self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.is_late(now))
    }

    /// The lines of `bodies` and what goes with them; `at` is their place in the file.
    pub(super) fn draft<'b>(
        &mut self,
        bodies: impl IntoIterator<Item = &'b Body>,
        sign: bool,
        now: UnixTime,
        at: u64,
    ) -> Draft {
        let mut draft = Draft { frame: std::mem::take(&mut self.buffer), chain: self.chain, signed: None };
        draft.frame.clear();
        let told = [self.opened.map(|opened| opened.body(now, at)), (self.lost > 0).then(|| lost(now, self.lost))];
        for body in told.iter().flatten() {
            draft.chain.extend(&mut draft.frame, &self.boot, body, None);
        }
        for body in bodies {
            draft.chain.extend(&mut draft.frame, &self.boot, body, None);
        }
        if let Some(checkpoints) = self.checkpoints.as_ref().filter(|_| sign) {
            draft.signed = Some(draft.frame.len());
            let (body, signer) = checkpoints.next(now);
            draft.chain.extend(&mut draft.frame, &self.boot, &body, Some(signer));
        }
        draft
    }

    /// The lines are written: the chain ends behind them.
    pub(super) fn settle(&mut self, draft: Draft, now: UnixTime) {
        let Draft { frame, chain, signed } = draft;
        if let Some(checkpoints) = &mut self.checkpoints {
            match signed {
                Some(start) => checkpoints.signed(frame.get(start..).unwrap_or_default(), now),
                None => checkpoints.unsigned(chain.next - self.chain.next, now),
            }
        }
        self.chain = chain;
        self.opened = None;
        self.lost = 0;
        self.buffer = frame;
    }

    /// Nobody knows which of the lines are there: their numbers are given, what they told is told again, and `missing` records
    /// with it.
    pub(super) fn doubt(&mut self, draft: Draft, missing: u64, now: UnixTime) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.unsigned(draft.chain.next - self.chain.next, now);
        }
        self.chain = draft.chain;
        self.lost += missing;
        self.buffer = draft.frame;
    }

    /// The lines are nowhere, and their numbers are free.
    pub(super) fn abandon(&mut self, draft: Draft) {
        self.buffer = draft.frame;
    }
}
