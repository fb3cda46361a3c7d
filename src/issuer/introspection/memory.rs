use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::TokenKey;
use crate::context::UnixTime;
use crate::token::{Principal, TokenError};

/// Bytes that remembered principals may take, roughly, for one issuer.
const CAPACITY: u64 = 16 * 1024 * 1024;

/// Bytes of an entry beside the answer's own, roughly.
const OVERHEAD: usize = 1024;

/// Tokens that do not count and are remembered. They are kept apart, so that garbage never takes the place of a good one.
const NEGATIVES: u64 = 10_000;

/// The longest that a token is remembered as one that does not count: enough against a client that tries again and again,
/// and no time to wait for a token that its issuer did not know yet everywhere.
pub(in crate::issuer) const MAX_NEGATIVE: Duration = Duration::from_secs(5);

/// What an issuer said of a token that is active.
#[derive(Debug)]
pub struct Active {
    /// Whose it is.
    pub principal: Arc<Principal>,
    /// When the answer no longer counts.
    until: UnixTime,
    length: usize,
}

impl Active {
    /// Bytes of the answer.
    pub fn length(&self) -> usize {
        self.length
    }
}

/// The answers of one issuer, for a while.
pub(super) struct Memory {
    active: Cache<TokenKey, Arc<Active>>,
    invalid: Cache<TokenKey, (TokenError, UnixTime)>,
    keep: Duration,
}

impl Memory {
    /// An answer counts for `keep` at most. The caches' own clock ends it too, lest somebody sets ours back.
    pub(super) fn new(keep: Duration) -> Self {
        let weigh = |_: &TokenKey, active: &Arc<Active>| {
            u32::try_from(active.length.saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
        };
        Self {
            active: Cache::builder().max_capacity(CAPACITY).weigher(weigh).time_to_live(keep).build(),
            invalid: Cache::builder().max_capacity(NEGATIVES).time_to_live(keep.min(MAX_NEGATIVE)).build(),
            keep,
        }
    }

    pub(super) fn get(&self, key: &TokenKey, now: UnixTime) -> Option<Result<Arc<Active>, TokenError>> {
        if let Some(active) = self.active.get(key).filter(|active| now < active.until) {
            return Some(Ok(active));
        }
        self.invalid.get(key).filter(|(_, until)| now < *until).map(|(error, _)| Err(error))
    }

    /// Remembers what an answer of `length` bytes said at `now`: a principal no longer than its token lives.
    pub(super) fn keep(
        &self,
        key: TokenKey,
        said: Result<Principal, TokenError>,
        length: usize,
        now: UnixTime,
    ) -> Result<Arc<Active>, TokenError> {
        match said {
            Ok(principal) => {
                let until = principal.expires_at().min(after(now, self.keep));
                let active = Arc::new(Active { principal: Arc::new(principal), until, length });
                self.invalid.invalidate(&key);
                if now < until {
                    self.active.insert(key, Arc::clone(&active));
                }
                Ok(active)
            }
            Err(error) => {
                let until = after(now, self.keep.min(MAX_NEGATIVE));
                self.active.invalidate(&key);
                if now < until {
                    self.invalid.insert(key, (error.clone(), until));
                }
                Err(error)
            }
        }
    }
}

fn after(now: UnixTime, time: Duration) -> UnixTime {
    UnixTime::from_millis(now.millis().saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Algorithm, IssuerRules, introspected};

    const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

    fn key(number: u64) -> TokenKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn garbage_never_takes_the_place_of_a_good_token() {
        let rules = IssuerRules {
            name: "corp".to_owned(),
            issuer: "https://id.example.com".to_owned(),
            algorithms: vec![Algorithm::ES256],
            token_types: Vec::new(),
            groups: None,
            scope_claim: "/scope".to_owned(),
            claims: Vec::new(),
        };
        let answer = br#"{"active":true,"aud":"a","client_id":"c","iat":1800000000,"exp":1800000900}"#;
        let memory = Memory::new(Duration::from_secs(30));
        let good = introspected(answer, &rules, NOW).unwrap();
        memory.keep(key(0), good, answer.len(), NOW).unwrap();
        for number in 1..=3 * NEGATIVES {
            memory.keep(key(number), Err(TokenError::Inactive), 16, NOW).unwrap_err();
        }
        assert!(matches!(memory.get(&key(0), NOW), Some(Ok(_))));
        memory.invalid.run_pending_tasks();
        assert_eq!(memory.invalid.entry_count(), NEGATIVES, "and garbage takes no more than its own room");
    }
}
