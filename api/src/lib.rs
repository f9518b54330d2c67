//! The HTTP side of 공구모아: the click edge, the catalog, accounts, and the binary that wires all parts.

pub mod admin;
pub mod admin_account;
pub mod app;
pub mod auth;
pub mod banners;
pub mod bootstrap;
pub mod calendar;
pub mod categories;
pub mod cleanup;
pub mod commands;
pub mod config;
pub mod coupons;
pub mod database;
pub mod embedded;
pub mod gonggus;
pub mod health;
pub mod http;
pub mod influencers;
pub mod listener;
pub mod mail;
pub mod migrate;
pub mod points;
pub mod priority;
pub mod reviews;
pub mod secrets;
pub mod seed;
pub mod shared_log;
pub mod subscriptions;
pub mod telemetry;
#[cfg(test)]
mod test_support;
pub mod tracking;
pub mod users;
