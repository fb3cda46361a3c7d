//! Memory after very many different tokens: what is remembered is bounded in bytes, so it must level off.

use std::path::Path;

use crate::desk::{Desk, message, tool};
use crate::scene;

/// Bytes in a MiB.
const MIB: f64 = 1024.0 * 1024.0;

/// Prints resident memory, growth since the start in MiB, after a tenth, a half and all of `count` tokens that were never
/// seen: `good` ones that each call `tools` different tools, with `groups` groups in each; or, with `tools` 0, `count` ones
/// that name unknown keys.
pub(crate) fn measure(folder: &Path, count: usize, tools: usize, groups: usize) {
    let desk = Desk::new(folder);
    let key = desk.fastest();
    let token = |number: usize, header: &str| key.token(header, &scene::claims_with(&number.to_string(), groups));
    // What is allocated once, whoever asks.
    let once = token(count, &key.header());
    for number in 0..tools.max(1) {
        assert!(desk.ask(message(&once, &tool(number))));
    }
    let start = resident();
    println!("{count} tokens of {} bytes, {tools} tools each; {:.1} MiB at first", once.len(), start / MIB);
    for number in 0..count {
        if tools == 0 {
            let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{number}"}}"#);
            assert!(!desk.ask(message(&token(number, &header), scene::TOOL)));
        } else {
            let token = token(number, &key.header());
            for called in 0..tools {
                assert!(desk.ask(message(&token, &tool(called))));
            }
        }
        let done = number + 1;
        if [count / 10, count / 2, count].contains(&done) {
            println!("{done:>9} tokens: {:7.1} MiB more", (resident() - start) / MIB);
            desk.forget_records();
        }
    }
}

/// Bytes of this process that are in memory (proc(5): the second field of statm, in pages).
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as f64
}
