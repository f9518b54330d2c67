//! Accounts as their owners see and change them: profile, push devices, consents, closing.

pub mod check;
mod close;
pub mod devices;
pub mod notification_settings;
pub mod queries;
pub mod routes;
pub mod types;
