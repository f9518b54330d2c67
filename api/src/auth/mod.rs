//! Signing in: passwords, access tokens, refresh tokens, and who somebody is now.

pub mod codes;
pub mod email;
pub mod identity;
mod letters;
pub mod limits;
pub mod passwords;
pub mod queries;
pub mod recovery;
pub mod routes;
pub mod sessions;
pub mod signup;
pub mod social;
pub mod tokens;
pub mod turns;
pub mod types;
mod verification;
pub mod watch;
