//! How long good tokens wait while tokens that name unknown keys pour in: the two are asked about on two threads.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::desk::{Desk, message};
use crate::scene;
use crate::waits::Waits;

/// Pairs of a quiet round and one in the storm.
const ROUNDS: usize = 5;

/// Questions with a good token in each round.
const QUESTIONS: usize = 100_000;

/// Different unknown keys in all storms together.
const UNKNOWN: usize = 100_000;

/// Prints an object with the p50 and p99 of both, in microseconds, and the ratio of the p99s: medians over the rounds.
pub(crate) fn measure(folder: &Path) {
    let desk = Desk::new(folder);
    let key = desk.fastest();
    let good = message(&key.token(&key.header(), &scene::claims("ada", "good")), scene::TOOL);
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let storm: Vec<_> = (0..UNKNOWN / ROUNDS)
            .map(|number| {
                let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{round}-{number}"}}"#);
                message(&key.token(&header, &scene::claims("eve", &number.to_string())), scene::TOOL)
            })
            .collect();
        let quiet = wait(&desk, &good);
        let (over, stormy) = (AtomicBool::new(false), AtomicBool::new(false));
        let loud = std::thread::scope(|scope| {
            let storming = scope.spawn(|| {
                // All of them, and again until the round is over.
                for (asked, message) in storm.iter().cycle().enumerate() {
                    if asked >= storm.len() && over.load(Ordering::Relaxed) {
                        break;
                    }
                    assert!(!desk.ask(message.clone()));
                    stormy.store(true, Ordering::Relaxed);
                }
            });
            while !stormy.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            let loud = wait(&desk, &good);
            over.store(true, Ordering::Relaxed);
            storming.join().unwrap();
            loud
        });
        desk.forget_records();
        rounds.push((quiet, loud));
    }
    let median = |value: fn(&(Waits, Waits)) -> f64| crate::steps::median(rounds.iter().map(value));
    println!(
        "{{\"quiet\": {{\"p50\": {:.1}, \"p99\": {:.1}}}, \"storm\": {{\"p50\": {:.1}, \"p99\": {:.1}}}, \"ratio\": {:.2}}}",
        median(|(quiet, _)| quiet.p50),
        median(|(quiet, _)| quiet.p99),
        median(|(_, loud)| loud.p50),
        median(|(_, loud)| loud.p99),
        median(|(quiet, loud)| loud.p99 / quiet.p99),
    );
}

/// Asks with the good token, over and over.
fn wait(desk: &Desk, good: &bytes::Bytes) -> Waits {
    let micros = (0..QUESTIONS)
        .map(|_| {
            let began = Instant::now();
            assert!(desk.ask(good.clone()));
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    Waits::of(micros)
}
