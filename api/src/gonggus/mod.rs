//! Gonggus: what influencers sell, where it is sold, and when; and what buyers keep of them.
//!
//! Invariants: status is a function of time, never stored; a change is in force for `/go` before it is
//! answered; reading one gonggu, or a page of them, is one statement; deleting is soft, since clicks and money
//! stay.

mod audit;
pub mod cache;
pub mod check;
pub mod destination;
pub mod lists;
pub mod marks;
pub mod queries;
pub mod routes;
#[cfg(test)]
pub(crate) mod testing;
pub mod totals;
pub mod types;
