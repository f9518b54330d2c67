//! Reviews: what buyers say of a gonggu.
//!
//! Invariants: one per person and gonggu, held by a key; nobody reviews his own gonggu; a review is changed by its
//! author alone, and deleted by the author or an admin; the rating beside a list is of all its reviews.

pub mod check;
pub mod queries;
pub mod routes;
pub mod types;
