//! Coupons: codes that turn into points, once a person and at most so many times in all.
//!
//! Invariants: the coupon's row lock orders its redemptions, so a limit of ten is ten whoever comes at once;
//! a redemption, its points and the coupon's count are one transaction; a key in the database allows a
//! person one redemption of a coupon. Codes are compared in NFC and without their case. Guessing them is
//! limited by account and by address ([`limits`]).

pub mod admin_routes;
pub mod check;
pub mod limits;
pub mod queries;
pub mod routes;
pub mod types;

#[cfg(test)]
mod tests;
