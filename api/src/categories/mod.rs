//! Categories: two levels, parents with children.
//!
//! Invariants: a parent has no parent, a name is unique among its siblings, and a category that children or
//! gonggus use is not deleted. Writes are rare and take turns; reads never wait for them.

pub mod admin_routes;
pub mod check;
pub mod queries;
pub mod routes;
pub mod types;
