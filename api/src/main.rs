//! The `gonggumoa` binary.

use gonggumoa_api::{bootstrap, commands};
use std::process::ExitCode;

/// Many small short-lived values on many threads: measurably faster here than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run(commands::Root { serve: bootstrap::serve, verify_journal: bootstrap::verify_journal })
}
