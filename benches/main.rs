//! What `make bench` needs beside toolgate itself and a load generator; `bench/run.py` calls it.
//!
//! ```text
//! bench prepare DIR        writes the key set and the gRPC message that is sent, with a token made on the spot
//! bench bare ADDRESS       the yardstick: a server that decodes the message and answers a constant
//! bench audited ADDRESS CONFIG FILE
//!                          toolgate with its records in FILE
//! bench unaudited ADDRESS CONFIG FILE
//!                          the same, but nothing is recorded
//! bench probe ADDRESS DIR  sends the message once and says what the answer is
//! bench steps CONFIG DIR   CPU time of the steps of one decision, as JSON
//! bench cold DIR           CPU time of a token that was never seen, and of its signature check alone, as JSON
//! bench remembered DIR     CPU time of a decision with a token that is remembered, signed or opaque, as JSON
//! bench storm DIR          how long good tokens wait while others name unknown keys, as JSON
//! bench policies DIR        CPU time of a decision by the number of policies, as JSON
//! bench policies-of DIR COUNT TOOLS
//!                          writes a configuration of COUNT policies over TOOLS tools
//! bench load DIR            CPU time and memory of loading it, as JSON
//! bench reload DIR         how long requests wait while 10,000 policies are reloaded, as JSON
//! bench durable DIR        how long callers wait at 5,000 decisions a second, `strict` and `durable`, as JSON
//! bench trail FILE COUNT   writes a trail of COUNT decisions
//! bench memory DIR COUNT TOOLS GROUPS
//!                          memory after COUNT different tokens; with TOOLS 0 all of them name unknown keys
//! ```
#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot go on ends")]

mod audited;
mod bare;
mod cold;
mod desk;
mod durable;
#[path = "../tests/support/endpoint.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod endpoint;
#[path = "../tests/support/frames.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod frames;
mod memory;
mod policies;
mod reload;
mod remembered;
mod scene;
mod steps;
mod storm;
#[path = "../tests/support/tokens.rs"]
mod tokens;
mod trail;
mod waits;

use std::path::Path;

/// As in `toolgate` itself, so that the two servers differ in what they do and not in where their memory comes from.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["prepare", folder] => scene::prepare(Path::new(folder)),
        ["bare", address] => bare::serve(address.parse().unwrap()),
        ["audited", address, config, file] => {
            audited::serve(address.parse().unwrap(), Path::new(config), Path::new(file));
        }
        ["unaudited", address, config, file] => {
            audited::serve_unaudited(address.parse().unwrap(), Path::new(config), Path::new(file));
        }
        ["durable", folder] => durable::measure(Path::new(folder)),
        ["trail", file, count] => trail::write(Path::new(file), count.parse().unwrap()),
        ["probe", address, folder] => bare::probe(address, Path::new(folder)),
        ["steps", config, folder] => steps::measure(Path::new(config), Path::new(folder)),
        ["cold", folder] => cold::measure(Path::new(folder)),
        ["remembered", folder] => remembered::measure(Path::new(folder)),
        ["storm", folder] => storm::measure(Path::new(folder)),
        ["policies", folder] => policies::measure(Path::new(folder)),
        ["policies-of", folder, count, tools] => {
            policies::prepare(Path::new(folder), count.parse().unwrap(), tools.parse().unwrap());
        }
        ["load", folder] => policies::loaded(Path::new(folder)),
        ["reload", folder] => reload::measure(Path::new(folder)),
        ["memory", folder, count, tools, groups] => {
            let number = |text: &str| text.parse().unwrap();
            memory::measure(Path::new(folder), number(count), number(tools), number(groups));
        }
        other => panic!("see the first lines of benches/main.rs; not understood: {other:?}"),
    }
}
