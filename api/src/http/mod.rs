//! What every HTTP domain shares: errors, extractors, permissions, middleware and the server.
//!
//! Problem: forty routes must fail alike, recognise people alike and stop alike, while one of them
//! (`/go`) must cost next to nothing. So the common rules live here once, and the server hands `/go`
//! to the edge before any of them is paid for.

pub mod address;
pub mod auth;
pub mod check;
pub mod conditional;
pub mod connection;
mod contract;
mod direct;
pub mod error;
pub mod extract;
pub mod idempotency;
pub mod middleware;
pub mod openapi;
pub mod origin;
pub mod page;
pub mod request_id;
pub mod server;
pub mod settings;
pub mod shared_cache;
pub mod text;
mod workers;
