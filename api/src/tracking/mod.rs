//! Clicks: the edge that records and redirects, the table it redirects by, and the figures.

pub mod csv;
pub mod edge;
pub mod facts;
pub mod figures;
pub mod links;
pub mod live;
pub mod queries;
pub mod range;
pub mod routes;
pub mod types;
