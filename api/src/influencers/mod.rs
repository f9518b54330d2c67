//! Influencers: how somebody becomes one, what all see of him, and what his gonggus bring.
//!
//! Invariants: role, verification and status move together, under the lock of the account's row; an application is
//! pending exactly while the account is; lists show only who is verified and active; figures are those of the
//! click store, and the figures of all are the sum of the figures of each.

pub mod check;
pub mod lifecycle;
pub mod queries;
pub mod routes;
pub mod stats;
#[cfg(test)]
mod tests;
pub mod types;
