//! The promises, end to end: each test starts the real binary (or shares one) and asks it over HTTP.
//!
//! One file a feature or promise. The binary is `GONGGUMOA_BIN`, else the `gonggumoa` beside this test
//! in the target folder; `KILL_ROUNDS` (10) sets the rounds of the crash test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod abandoned;
mod auth;
mod bad_input;
mod client_address;
mod commands;
mod crash;
mod database_down;
mod disk_full;
mod folders;
mod harness;
mod live;
mod operations;
mod redirect;
mod replay;
mod restart;
mod rules;
mod shutdown;
mod social;
mod start;
mod stats;
mod verdicts;
