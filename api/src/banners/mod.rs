//! Banners: pictures that admins put into named places (slots), for a time, in an order.
//!
//! The public list is read on every page of a shop window and changes a few times a day: it is answered with
//! an `ETag` and may be kept for a moment ([`routes`]).

pub mod admin_routes;
pub mod check;
pub mod queries;
pub mod routes;
pub mod types;
