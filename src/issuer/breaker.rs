use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open the circuit. One or two are a connection that broke; so many are an endpoint that is ill,
/// and each further call only makes a caller wait for its timeout.
pub(super) const OPENS_AFTER: u32 = 5;

/// How long an endpoint is left alone before one call finds out how it is.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Whether an endpoint is asked at all. Reads no clock.
#[derive(Debug)]
pub(super) struct Breaker {
    pause: Duration,
    /// In a row.
    failures: u32,
    /// Since when nobody asks.
    opened: Option<Instant>,
    /// Whether the one call that finds out is under way.
    probing: bool,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// The endpoint does its work.
    Well,
    /// It does not.
    Ill,
    /// The call says nothing about the next one: it was given up, or the token may have made the answer what it was.
    Unknown,
}

/// What an admitted call is to the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// One of many.
    Regular,
    /// The one that finds out.
    Probe,
}

impl Breaker {
    /// A closed circuit, which opens for `pause`.
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, failures: 0, opened: None, probing: false }
    }

    /// Whether a call may be made now. Each that may ends in [`Breaker::ended`].
    pub(super) fn admits(&mut self, now: Instant) -> Option<Turn> {
        let Some(opened) = self.opened else { return Some(Turn::Regular) };
        if self.probing || now < opened + self.pause {
            return None;
        }
        self.probing = true;
        Some(Turn::Probe)
    }

    /// A call that was admitted has ended; whether the circuit opened or closed by it.
    pub(super) fn ended(&mut self, turn: Turn, health: Health, now: Instant) -> bool {
        let was_open = self.is_open();
        self.probing &= turn != Turn::Probe;
        match health {
            Health::Well => (self.failures, self.opened) = (0, None),
            // What was under way when it opened says nothing new.
            Health::Ill if was_open && turn == Turn::Regular => {}
            Health::Ill => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= OPENS_AFTER {
                    self.opened = Some(now);
                }
            }
            Health::Unknown => {}
        }
        was_open != self.is_open()
    }

    /// Whether the endpoint is left alone now. It is not when the pause is over: without a caller nobody would ever find out.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.opened.is_some_and(|opened| now < opened + self.pause)
    }

    /// Whether the last calls failed, and none has succeeded since.
    pub(super) fn is_open(&self) -> bool {
        self.opened.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(PAUSE);
        for number in 1..=OPENS_AFTER {
            assert_eq!(breaker.admits(now), Some(Turn::Regular));
            assert_eq!(breaker.ended(Turn::Regular, Health::Ill, now), number == OPENS_AFTER, "{number}");
        }
        breaker
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let (mut breaker, now) = (Breaker::new(PAUSE), Instant::now());
        for _ in 0..3 {
            for _ in 1..OPENS_AFTER {
                assert!(!breaker.ended(Turn::Regular, Health::Ill, now));
            }
            assert!(!breaker.ended(Turn::Regular, Health::Well, now));
        }
        for _ in 0..2 * OPENS_AFTER {
            assert!(!breaker.ended(Turn::Regular, Health::Unknown, now));
        }
        assert!(!breaker.is_open() && breaker.admits(now).is_some());
    }

    #[test]
    fn after_a_pause_one_call_finds_out() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.admits(start + PAUSE - Duration::from_millis(1)), None);
        assert!(breaker.rests(start + PAUSE - Duration::from_millis(1)) && !breaker.rests(start + PAUSE));
        let first = start + PAUSE;
        assert_eq!((breaker.admits(first), breaker.admits(first)), (Some(Turn::Probe), None), "one, and no second");
        assert!(!breaker.ended(Turn::Regular, Health::Ill, first));
        assert_eq!(breaker.admits(first), None, "a late failure of another call is not the probe's");
        assert!(!breaker.ended(Turn::Probe, Health::Ill, first));
        assert_eq!(breaker.admits(first + PAUSE - Duration::from_millis(1)), None);
        let second = first + PAUSE;
        assert_eq!(breaker.admits(second), Some(Turn::Probe));
        assert!(!breaker.ended(Turn::Probe, Health::Unknown, second));
        assert_eq!(breaker.admits(second), Some(Turn::Probe), "nothing was found out");
        assert!(breaker.ended(Turn::Probe, Health::Well, second));
        assert_eq!((breaker.admits(second), breaker.admits(second)), (Some(Turn::Regular), Some(Turn::Regular)));
    }

    #[test]
    fn a_recovered_endpoint_has_all_its_chances_again() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.admits(start + PAUSE), Some(Turn::Probe));
        assert!(breaker.ended(Turn::Probe, Health::Well, start + PAUSE));
        for _ in 1..OPENS_AFTER {
            assert!(!breaker.ended(Turn::Regular, Health::Ill, start + PAUSE));
        }
        assert!(breaker.ended(Turn::Regular, Health::Ill, start + PAUSE));
    }
}
