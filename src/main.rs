//! The `toolgate` program. See `toolgate --help`.

use std::process::ExitCode;

/// A large heap of policies, fragmented by loading, slows the system's allocator down.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    toolgate::cli::run().into()
}
