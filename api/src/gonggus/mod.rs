//! Gonggus: what influencers sell, where it is sold, and when.

pub mod check;
pub mod destination;
pub mod queries;
pub mod routes;
pub mod types;
