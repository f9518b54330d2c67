//! The HTTP side of 공구모아: the click edge, the catalog, accounts, and the binary that wires all parts.

pub mod app;
pub mod auth;
pub mod categories;
pub mod gonggus;
pub mod http;
#[cfg(test)]
mod test_support;
pub mod tracking;
pub mod users;
