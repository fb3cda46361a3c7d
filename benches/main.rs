//! What `make bench` needs beside toolgate itself and a load generator; `bench/run.py` calls it.
//!
//! ```text
//! bench prepare DIR        writes the key set and the gRPC message that is sent, with a token made on the spot
//! bench bare ADDRESS       the yardstick: a server that decodes the message and answers a constant
//! bench probe ADDRESS DIR  sends the message once and says what the answer is
//! bench steps CONFIG DIR   CPU time of the steps of one decision, as JSON
//! ```
#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot go on ends")]

mod bare;
mod scene;
mod steps;
#[path = "../tests/support/tokens.rs"]
mod tokens;

use std::path::Path;

/// As in `toolgate` itself, so that the two servers differ in what they do and not in where their memory comes from.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["prepare", folder] => scene::prepare(Path::new(folder)),
        ["bare", address] => bare::serve(address.parse().unwrap()),
        ["probe", address, folder] => bare::probe(address, Path::new(folder)),
        ["steps", config, folder] => steps::measure(Path::new(config), Path::new(folder)),
        other => panic!("see the first lines of benches/main.rs; not understood: {other:?}"),
    }
}
