//! Points: a ledger for each account, and what it adds up to.
//!
//! Invariants: a balance is the sum of its entries and is never negative; entries of an account are numbered
//! without gaps and never change; one cause (a coupon's redemption, an admin's act) has one entry. The
//! balance's row lock orders the changes of an account, and a check in the database holds the last line.

pub mod queries;
pub mod routes;
pub mod types;
