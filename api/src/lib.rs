//! The `gonggumoa` server: settings, embedded PostgreSQL, the HTTP side, and the wiring of all parts.

pub mod admin_account;
pub mod bootstrap;
pub mod commands;
pub mod config;
pub mod database;
pub mod embedded;
pub mod health;
pub mod listener;
pub mod migrate;
pub mod priority;
pub mod secrets;
pub mod seed;
pub mod telemetry;
