//! What every test stands on: a deployment with a folder of its own, clients that speak HTTP well and
//! badly, a load that keeps every click id it was given, and the ledger that compares those ids with
//! what was stored.
//!
//! Invariants: nothing waits for a time, only for a condition with a deadline ([`wait`]); a process
//! that a test started ends with it, whichever way the test ends ([`deployment`]).

pub(crate) mod agents;
pub(crate) mod api;
pub(crate) mod books;
pub(crate) mod catalog;
pub(crate) mod cluster;
pub(crate) mod database;
pub(crate) mod deployment;
pub(crate) mod engines;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod mail;
pub(crate) mod people;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod shared;
pub(crate) mod social;
pub(crate) mod stats;
pub(crate) mod visitor;
pub(crate) mod wait;
pub(crate) mod wire;

pub(crate) use agents::*;
pub(crate) use api::{Api, Gonggu, GongguSpec};
pub(crate) use cluster::{Cluster, Servers};
pub(crate) use deployment::Deployment;
pub(crate) use load::{Load, LoadPlan};
pub(crate) use shared::shared;
pub(crate) use visitor::Visitor;
pub(crate) use wait::{LONG, SHORT, eventually};
