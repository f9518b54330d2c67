//! Categories: two levels, parents with children.

pub mod queries;
pub mod routes;
pub mod types;
