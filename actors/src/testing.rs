//! Where the real servers of the tests are.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

/// The address in this variable. Without one the test is skipped, and says so; in CI it fails.
pub(crate) fn server(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|value| !value.trim().is_empty());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} is not set: `make test` starts the server");
        eprintln!("skipped: {variable} is not set");
    }
    found
}

pub(crate) fn redis_url() -> Option<String> {
    server("TEST_REDIS_URL")
}
