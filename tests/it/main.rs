//! The promises, end to end: each test starts the real binary (or shares one) and asks it over HTTP.
//!
//! One file a feature or promise. The binary is `GONGGUMOA_BIN`, else the `gonggumoa` beside this test
//! in the target folder; `KILL_ROUNDS` (10) sets the rounds of the crash test. What is
//! `engines` and `chaos` starts servers of its own: `KAFKA_JARS` and `CASSANDRA_JARS` (`.ci/engines`) say
//! where their programs are.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod abandoned;
mod accounts;
mod admin;
mod auth;
mod authorization;
mod bad_input;
mod banners;
mod bucket;
mod calendar;
mod categories;
mod chaos;
mod client_address;
mod cluster;
mod commands;
mod contract;
mod coupons;
mod crash;
mod database_down;
mod deploy;
mod disk_full;
mod engines;
mod folders;
mod forged;
mod gonggus;
mod harness;
mod influencers;
mod live;
mod mails;
mod operations;
mod points;
mod profile;
mod redirect;
mod replay;
mod restart;
mod reviews;
mod rules;
mod sessions;
mod shutdown;
mod social;
mod start;
mod stats;
mod subscriptions;
mod verdicts;
