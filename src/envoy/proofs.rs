//! The DPoP proofs that came lately, so that none is used twice (RFC 9449 §11.1).
//!
//! What is remembered is of this process: two replicas do not know of each other's proofs, and a restart forgets; see
//! `docs/configuration.md`.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use crate::context::UnixTime;
use crate::decision::Use;
use crate::token::{PROOF_SECONDS, ProofId};

/// The most proofs of one period. Two periods of this many take about 200 MB, and stand for 3,500 requests with proofs a
/// second; beyond, requests with proofs are denied, since a forgotten proof could be used again.
pub const MAX_PROOFS: usize = 1 << 21;

/// How long a proof is remembered at least, in seconds: from the earliest moment that its `iat` lets it be used to the
/// last.
const PERIOD_SECONDS: i64 = 2 * PROOF_SECONDS + 1;

/// The proofs of the present period and of the one before.
#[derive(Debug)]
pub struct Proofs {
    seen: Mutex<Seen>,
    max: usize,
    requests: RandomState,
}

#[derive(Debug, Default)]
struct Seen {
    /// When the present period began; a clock that is set back ends none.
    since: i64,
    /// Each with a hash of the request that it came with.
    present: HashMap<ProofId, u64>,
    past: HashMap<ProofId, u64>,
}

impl Default for Proofs {
    fn default() -> Self {
        Self::new(MAX_PROOFS)
    }
}

impl Proofs {
    /// Remembers `max` proofs a period.
    pub fn new(max: usize) -> Self {
        Self { seen: Mutex::default(), max, requests: RandomState::new() }
    }

    /// Remembers `proof`, which came with the request that the proxy calls `request`. One that comes again with the same
    /// request is the proxy's own second try; a request without a name is never the same.
    pub fn first_use(&self, proof: ProofId, request: &[u8], now: UnixTime) -> Use {
        let request = if request.is_empty() { None } else { Some(self.requests.hash_one(request)) };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.turn(now.seconds());
        if let Some(before) = seen.present.get(&proof).or_else(|| seen.past.get(&proof)) {
            return if request == Some(*before) { Use::First } else { Use::Again };
        }
        if seen.present.len() >= self.max {
            return Use::Untold;
        }
        seen.present.insert(proof, request.unwrap_or_default());
        Use::First
    }
}

impl Seen {
    fn turn(&mut self, now: i64) {
        if now < self.since.saturating_sub(PERIOD_SECONDS) {
            // The clock was ahead and was set right: a period that began in its future would not end for as long.
            self.since = now;
        }
        if now.saturating_sub(self.since) < PERIOD_SECONDS {
            return;
        }
        let past = std::mem::take(&mut self.present);
        // After more than two periods nothing of what was seen can still be used.
        self.past = if now.saturating_sub(self.since) < 2 * PERIOD_SECONDS { past } else { HashMap::new() };
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(NOW + seconds)
    }

    fn proof(number: u8) -> ProofId {
        ProofId::new([number; 16])
    }

    #[test]
    fn a_proof_is_used_once_but_for_the_proxy_s_own_second_try() {
        let proofs = Proofs::default();
        for (number, request, expected) in [
            (1, "a", Use::First),
            (1, "a", Use::First),
            (1, "b", Use::Again),
            (1, "", Use::Again),
            (1, "a", Use::First),
            (2, "b", Use::First),
            (3, "", Use::First),
            (3, "", Use::Again),
        ] {
            assert_eq!(proofs.first_use(proof(number), request.as_bytes(), at(0)), expected, "{number} {request:?}");
        }
    }

    /// A proof whose `iat` is as far ahead as may be can be used for two windows.
    #[test]
    fn a_proof_is_remembered_for_as_long_as_it_can_be_used() {
        for begun in [0, 1, PROOF_SECONDS, 2 * PROOF_SECONDS] {
            for later in [0, 1, PROOF_SECONDS, 2 * PROOF_SECONDS] {
                let proofs = Proofs::default();
                proofs.first_use(proof(1), b"a", at(0));
                assert_eq!(proofs.first_use(proof(2), b"b", at(begun)), Use::First);
                // Others come in the meantime, so that periods turn.
                for between in (begun..begun + later).step_by(60) {
                    proofs.first_use(proof(3), b"c", at(between));
                }
                let again = proofs.first_use(proof(2), b"d", at(begun + later));
                assert_eq!(again, Use::Again, "first at {begun}, again {later} later");
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_back_forgets_nothing() {
        let proofs = Proofs::default();
        proofs.first_use(proof(1), b"a", at(0));
        assert_eq!(proofs.first_use(proof(1), b"b", at(-3600)), Use::Again);
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_moment_does_not_stop_the_periods() {
        let proofs = Proofs::new(1);
        assert_eq!(proofs.first_use(proof(1), b"a", at(86_400)), Use::First);
        assert_eq!(proofs.first_use(proof(2), b"b", at(0)), Use::Untold);
        assert_eq!(proofs.first_use(proof(2), b"b", at(PERIOD_SECONDS)), Use::First);
    }

    #[test]
    fn in_the_end_proofs_are_forgotten() {
        let proofs = Proofs::default();
        proofs.first_use(proof(1), b"a", at(0));
        assert_eq!(proofs.first_use(proof(1), b"b", at(2 * PERIOD_SECONDS)), Use::First);
    }

    #[test]
    fn what_cannot_be_remembered_is_not_let_in() {
        let proofs = Proofs::new(2);
        assert_eq!(proofs.first_use(proof(1), b"a", at(0)), Use::First);
        assert_eq!(proofs.first_use(proof(2), b"b", at(0)), Use::First);
        assert_eq!(proofs.first_use(proof(3), b"c", at(0)), Use::Untold);
        assert_eq!(proofs.first_use(proof(2), b"d", at(0)), Use::Again);
        assert_eq!(proofs.first_use(proof(2), b"b", at(0)), Use::First);
        assert_eq!(proofs.first_use(proof(3), b"c", at(PERIOD_SECONDS)), Use::First);
        assert_eq!(proofs.first_use(proof(2), b"d", at(PERIOD_SECONDS)), Use::Again);
    }
}
