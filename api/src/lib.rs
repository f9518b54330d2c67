//! The `gonggumoa` server: settings, embedded PostgreSQL, the HTTP side, and the wiring of all parts.

pub mod config;
pub mod embedded;
pub mod priority;
pub mod secrets;
