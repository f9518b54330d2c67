//! Subscriptions: whose gonggus somebody follows, and the feed made of them.
//!
//! Invariants: one row a pair, held by a key; `subscriber_count` changes with the rows, in the same
//! transaction and by the database (see the migration), so that no order of calls makes it wrong or negative;
//! nobody subscribes to himself, or to who is not an influencer now; subscribing and ending may be repeated.

pub mod queries;
pub mod routes;
#[cfg(test)]
mod tests;
pub mod types;
