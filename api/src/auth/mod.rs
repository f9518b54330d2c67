//! Signing in: passwords, access tokens, refresh tokens, and who somebody is now.

pub mod identity;
pub mod limits;
pub mod passwords;
pub mod queries;
pub mod routes;
pub mod social;
pub mod tokens;
pub mod types;
