//! Accounts as their owners see them.

pub mod queries;
pub mod routes;
pub mod types;
