//! Demo data: a shop window that can be tried at once, and any number of gonggus for load runs.
//!
//! Invariants: sowing again changes nothing but the times of demo gonggus that no longer stand where they
//! should (one that was open last month is open again), so that the three states are always there; every
//! name is a role, never a person; passwords are random per data folder and kept in
//! `secrets/demo.json`; nothing of the operator's own data is touched.

mod accounts;
mod bulk;
mod catalog;
mod clicks;
mod data;

pub use accounts::DemoAccount;
pub use catalog::DemoGonggu;
pub use clicks::{ClickSeedError, send_clicks};

use crate::admin_account::AdminError;
use crate::secrets::{SecretsError, SecretsFolder};
use indicatif::ProgressBar;
use sqlx::PgPool;

/// What was sown, for whoever wants to try it.
#[derive(Debug)]
pub struct SeedReport {
    /// Accounts with their passwords.
    pub accounts: Vec<DemoAccount>,
    /// The demo gonggus; those for load runs are not listed.
    pub gonggus: Vec<DemoGonggu>,
}

/// Why nothing, or not everything, was sown. Sowing again completes it.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The database said no.
    #[error("cannot store the demo data")]
    Database(#[from] sqlx::Error),
    /// The demo passwords could not be kept.
    #[error("cannot keep the demo passwords")]
    Secrets(#[from] SecretsError),
    /// A demo account could not be made.
    #[error("cannot make a demo account")]
    Account(#[from] AdminError),
}

impl SeedError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        match self {
            Self::Database(_) => true,
            Self::Secrets(error) => error.retryable(),
            Self::Account(error) => error.retryable(),
        }
    }
}

/// Sows the demo data, and `scale` more gonggus that are open for a year. `progress` counts steps.
pub async fn sow(
    pool: &PgPool,
    secrets: &SecretsFolder,
    scale: u32,
    progress: &ProgressBar,
) -> Result<SeedReport, SeedError> {
    let accounts = accounts::sow(pool, secrets, progress).await?;
    let influencers: Vec<_> =
        accounts.iter().filter(|account| account.role == "influencer").map(|a| a.id).collect();
    let gonggus = catalog::sow(pool, &influencers, progress).await?;
    bulk::sow(pool, &influencers, scale, progress).await?;
    Ok(SeedReport { accounts, gonggus })
}

/// How many steps [`sow`] counts.
pub fn steps(scale: u32) -> u64 {
    (data::ACCOUNTS.len() + data::GONGGUS.len()) as u64 + u64::from(scale)
}

#[cfg(test)]
mod tests;
