//! What each set of rules says, worked out without toolgate, and whether that is what was answered.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use toolgate::reload::Gathered;

use crate::cli::support::{Files, PATIENCE};

pub(super) const CITIES: [&str; 4] = ["Oslo", "Rome", "Lima", "Bonn"];

/// Asked for: from one to so many days.
pub(super) const DAYS: usize = 8;

/// One set of rules, in the terms in which it is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set {
    /// Makes it another set than all others.
    pub(super) number: usize,
    /// In one file: forecasts up to so many days, and not for this city (number); without the file nothing is permitted.
    pub(super) rules: Option<(usize, Option<usize>)>,
    /// In the other file: not for exactly so many days. 0 without the file.
    pub(super) day: usize,
}

/// The question number `case`.
pub(super) fn case(case: usize) -> (&'static str, usize) {
    (CITIES[case % CITIES.len()], case / CITIES.len() % DAYS + 1)
}

impl Set {
    fn allows(&self, number: usize) -> bool {
        let (city, days) = case(number);
        let Some((limit, closed)) = self.rules else { return false };
        days <= limit && closed.is_none_or(|closed| CITIES[closed] != city) && days != self.day
    }

    /// The text of the file with the rules.
    pub(super) fn rules(&self) -> Option<String> {
        let action = "action == Action::\"weather:get_forecast\"";
        self.rules.map(|(limit, closed)| {
            let permit = format!(
                "// {}\n@id(\"forecast\")\npermit (principal in Scope::\"weather:read\", {action}, resource)\n\
                 unless {{ context.arguments has days && context.arguments.days > {limit} }};\n",
                self.number
            );
            let forbid = closed.map(|closed| {
                let city = CITIES[closed];
                format!("@id(\"closed\")\nforbid (principal, {action}, resource)\nwhen {{ context.arguments.city == \"{city}\" }};\n")
            });
            permit + &forbid.unwrap_or_default()
        })
    }

    /// The text of the other file.
    pub(super) fn day(&self) -> Option<String> {
        let text = format!(
            "@id(\"day\")\nforbid (principal, action == Action::\"weather:get_forecast\", resource)\n\
             when {{ context.arguments has days && context.arguments.days == {} }};\n",
            self.day
        );
        (self.day > 0).then_some(text)
    }
}

/// Knows every set that may ever hold.
pub(super) struct Oracle {
    /// A copy of all other files, to have the digest of a set before anybody else.
    reference: Files,
    state: Mutex<State>,
    seen: Condvar,
}

#[derive(Default)]
struct State {
    sets: HashMap<String, Known>,
    asked: u64,
    wrong: Vec<String>,
}

struct Known {
    set: Set,
    /// Whether it is one to be served, and not one that the writer only passes through.
    meant: bool,
    seen: Option<Instant>,
}

impl Oracle {
    pub(super) fn new(files: &Files) -> Arc<Self> {
        let reference = Files::new();
        for name in ["toolgate.yaml", "keys.json", "weather.json"] {
            reference.write(name, &std::fs::read_to_string(files.path(name)).unwrap());
        }
        std::fs::remove_file(reference.path("policies/forecast.cedar")).unwrap();
        std::fs::remove_file(reference.path("policies/stations.cedar")).unwrap();
        Arc::new(Self { reference, state: Mutex::default(), seen: Condvar::new() })
    }

    /// The digest of `set`, which may be served from now on.
    pub(super) fn expect(&self, set: Set, meant: bool) -> String {
        for (name, text) in [("policies/rules.cedar", set.rules()), ("policies/day.cedar", set.day())] {
            match text {
                Some(text) => drop(self.reference.write(name, &text)),
                None => std::fs::remove_file(self.reference.path(name)).unwrap_or_default(),
            }
        }
        let digest = Gathered::look(&self.reference.path("toolgate.yaml")).digest().to_owned();
        let mut state = self.state.lock().unwrap();
        let known = state.sets.entry(digest.clone()).or_insert(Known { set, meant, seen: None });
        known.meant |= meant;
        digest
    }

    /// The set `digest`, which its writer passed through so slowly that it may well have been taken for one that is meant.
    pub(super) fn excuse(&self, digest: &str) {
        self.state.lock().unwrap().sets.get_mut(digest).unwrap().meant = true;
    }

    /// Holds the answer to the question number `case` against what the set `digest` says.
    pub(super) fn judge(&self, case: usize, reason: &str, digest: &str) {
        let mut state = self.state.lock().unwrap();
        state.asked += 1;
        match state.sets.get_mut(digest) {
            None => state.wrong.push(format!("an answer by unknown rules {digest}: {reason}")),
            Some(known) => {
                let first = known.seen.is_none();
                known.seen.get_or_insert_with(Instant::now);
                let expected = if known.set.allows(case) { "allow" } else { "policy_denied" };
                if reason != expected {
                    let wrong = format!("`{reason}`, not `{expected}`, to {:?} by {:?}", self::case(case), known.set);
                    state.wrong.push(wrong);
                }
                if first {
                    self.seen.notify_all();
                }
            }
        }
    }

    pub(super) fn check(&self, holds: bool, wrong: impl FnOnce() -> String) {
        if !holds {
            self.state.lock().unwrap().wrong.push(wrong());
        }
    }

    /// Waits for the first answer by the set `digest`; when it came.
    pub(super) fn wait_for(&self, digest: &str) -> Instant {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(seen) = state.sets[digest].seen {
                return seen;
            }
            if !state.wrong.is_empty() || Instant::now() > deadline {
                let (wrong, set) = (state.wrong.clone(), state.sets[digest].set);
                // Let go of before the panic, which the others would take for one of their own.
                drop(state);
                panic!("not served in time, or wrong before: {set:?} {wrong:#?}");
            }
            state = self.seen.wait_timeout(state, Duration::from_millis(100)).unwrap().0;
        }
    }

    /// Nothing was wrong, and nothing held that was not meant; how many answers there were.
    pub(super) fn verdict(&self) -> u64 {
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{:#?}", state.wrong);
        let halves: Vec<_> = state.sets.values().filter(|known| !known.meant && known.seen.is_some()).collect();
        assert!(halves.is_empty(), "{:?}", halves.iter().map(|known| known.set).collect::<Vec<_>>());
        state.asked
    }
}
