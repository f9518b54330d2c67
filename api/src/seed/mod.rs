//! Demo data: a shop window that can be tried at once, and a catalog of any size for plans and load runs.
//!
//! Invariants: sowing again changes nothing but the times of demo gonggus that no longer stand where they
//! should (one that was open last month is open again), so that the three states are always there; every
//! name is a role, never a person; passwords are random per data folder and kept in
//! `secrets/demo.json`; nothing of the operator's own data is touched.

mod accounts;
mod catalog;
mod clicks;
mod data;
mod scale;

pub use accounts::DemoAccount;
pub use catalog::DemoGonggu;
pub use clicks::{ClickSeedError, send_clicks};
pub use scale::{ScaleSizes, ScaleStep, sow as sow_scale};

use crate::admin_account::AdminError;
use crate::secrets::{SecretsError, SecretsFolder};
use indicatif::ProgressBar;
use sqlx::PgPool;

/// What was sown, for whoever wants to try it.
#[derive(Debug)]
pub struct SeedReport {
    /// Accounts with their passwords.
    pub accounts: Vec<DemoAccount>,
    /// The demo gonggus; those of a scale are not listed.
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
    /// There are too few people to be so popular with.
    #[error("these sizes need at least {buyers_min} buyers: nobody subscribes, keeps or reviews twice")]
    Sizes {
        /// So many are enough.
        buyers_min: u64,
    },
}

impl SeedError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        match self {
            Self::Database(_) => true,
            Self::Secrets(error) => error.retryable(),
            Self::Account(error) => error.retryable(),
            Self::Sizes { .. } => false,
        }
    }
}

/// Sows the demo data. `progress` counts steps.
pub async fn sow(
    pool: &PgPool,
    secrets: &SecretsFolder,
    progress: &ProgressBar,
) -> Result<SeedReport, SeedError> {
    let accounts = accounts::sow(pool, secrets, progress).await?;
    let influencers: Vec<_> =
        accounts.iter().filter(|account| account.role == "influencer").map(|a| a.id).collect();
    let gonggus = catalog::sow(pool, &influencers, progress).await?;
    Ok(SeedReport { accounts, gonggus })
}

/// How many steps [`sow`] counts.
pub fn steps() -> u64 {
    (data::ACCOUNTS.len() + data::GONGGUS.len()) as u64
}

#[cfg(test)]
mod tests;
