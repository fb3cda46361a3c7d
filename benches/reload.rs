//! What a reload of very many policies costs the requests that are answered meanwhile: they are asked on one thread, or on one
//! for each core, and files change, are read, checked and put in force on another, again and again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use toolgate::reload::{Pace, watch};

use crate::desk::{Desk, TOOLS, message, tool};
use crate::scene;
use crate::waits::Waits;

const POLICIES: usize = 10_000;

/// Pairs of a quiet round and one of reloads.
const ROUNDS: usize = 5;

const ROUND: Duration = Duration::from_secs(4);

/// Between two looks whether a change holds: each is a chance for the system to put another thread in the place of a request.
const LOOK: Duration = Duration::from_millis(20);

/// Prints an object with the p50 and p99 of both in microseconds, the ratio of the p99s (medians over the rounds), first with
/// one thread that asks, then with one for each core; and how many reloads there were and what the median one took from the
/// change on, in milliseconds.
pub(crate) fn measure(folder: &Path) {
    let desk = Desk::new(folder);
    let key = desk.fastest();
    let good = message(&key.token(&key.header(), &scene::claims("ada", "good")), scene::TOOL);
    let live = &desk.gate.live;
    let _watch = watch(live.clone(), Some(folder.join("audit.jsonl")), Pace::default()).unwrap();
    let mut number = 0;
    let mut change = || {
        let (before, began) = (live.current().rules.generation, Instant::now());
        number += 1;
        write(&folder.join("policies/many.cedar"), number);
        while live.current().rules.generation == before {
            std::thread::sleep(LOOK);
        }
        began.elapsed().as_secs_f64() * 1e3
    };
    change();
    let cores = std::thread::available_parallelism().unwrap().get();
    let figures = [("one_thread", 1), ("each_core", cores)].map(|(name, threads)| {
        let (mut rounds, mut took) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let over = AtomicBool::new(false);
            let quiet = wait(&desk, &good, threads);
            let loud = std::thread::scope(|scope| {
                let changing = scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        took.push(change());
                    }
                });
                let loud = wait(&desk, &good, threads);
                over.store(true, Ordering::Relaxed);
                changing.join().unwrap();
                loud
            });
            desk.forget_records();
            rounds.push((quiet, loud));
        }
        let median = |value: fn(&(Waits, Waits)) -> f64| crate::steps::median(rounds.iter().map(value));
        format!(
            "\"{name}\": {{\"threads\": {threads}, \"reloads\": {}, \"reload_millis\": {:.0}, \
             \"quiet\": {{\"p50\": {:.1}, \"p99\": {:.1}}}, \"reloading\": {{\"p50\": {:.1}, \"p99\": {:.1}}}, \"ratio\": {:.3}}}",
            took.len(),
            crate::steps::median(took.iter().copied()),
            median(|(quiet, _)| quiet.p50),
            median(|(quiet, _)| quiet.p99),
            median(|(_, loud)| loud.p50),
            median(|(_, loud)| loud.p99),
            median(|(quiet, loud)| loud.p99 / quiet.p99),
        )
    });
    println!("{{\"policies\": {POLICIES}, {}}}", figures.join(", "));
}

/// Puts another set of policies into `file`.
fn write(file: &Path, number: usize) {
    let policies = (0..POLICIES).map(|policy| {
        let tool = tool(policy % TOOLS);
        format!("permit (principal == User::\"corp:p{policy}\", action == Action::\"desk:{tool}\", resource);\n")
    });
    let text = format!("// {number}\n{}", policies.collect::<String>());
    let beside = file.with_extension("part");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, file).unwrap();
}

/// Asks with the good token for a while, on so many threads.
fn wait(desk: &Desk, good: &bytes::Bytes, threads: usize) -> Waits {
    let ask = || {
        let round = Instant::now();
        let mut micros = Vec::new();
        while round.elapsed() < ROUND {
            let began = Instant::now();
            assert!(desk.ask(good.clone()));
            micros.push(began.elapsed().as_secs_f64() * 1e6);
        }
        micros
    };
    let micros = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..threads).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    Waits::of(micros)
}
