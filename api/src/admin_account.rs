//! The first admin: made on the command line or from the settings, since nobody can sign up as one.

use crate::auth::email;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

/// About 270 ms a guess on today's machines.
pub const BCRYPT_COST: u32 = 12;

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Created {
    /// The account is new.
    New,
    /// An admin with this e-mail was there already; nothing was changed.
    WasAdmin,
    /// Somebody else has this e-mail; nothing was changed.
    Taken,
}

/// Why there is no admin.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The password cannot be hashed.
    #[error("the password cannot be hashed")]
    Hash(#[source] bcrypt::BcryptError),
    /// The database said no.
    #[error("cannot store the account")]
    Database(#[from] sqlx::Error),
    /// The process is stopping.
    #[error("interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl AdminError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        match self {
            Self::Hash(_) => false,
            Self::Database(_) | Self::Interrupted(_) => true,
        }
    }
}

/// Makes an admin unless the e-mail (compared as everybody's is, see [`email::fold`]) is taken. An existing account is
/// never raised to admin: whoever can sign up with an address would choose who is.
pub async fn create(pool: &PgPool, email: &str, password: &SecretString) -> Result<Created, AdminError> {
    if let Some(found) = find(pool, email).await? {
        return Ok(found);
    }
    let hash = hash_password(password.clone()).await?;
    let inserted = sqlx::query!(
        "INSERT INTO users (id, email, email_folded, password_hash, nickname, role)
         VALUES ($1, $2, $3, $4, '관리자', 'admin') ON CONFLICT DO NOTHING",
        Uuid::now_v7(),
        email.trim().nfc().collect::<String>(),
        email::fold(email),
        hash
    )
    .execute(pool)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Created::New);
    }
    Ok(find(pool, email).await?.unwrap_or(Created::Taken))
}

/// bcrypt off the async threads.
pub(crate) async fn hash_password(password: SecretString) -> Result<String, AdminError> {
    tokio::task::spawn_blocking(move || bcrypt::non_truncating_hash(password.expose_secret(), BCRYPT_COST))
        .await
        .map_err(AdminError::Interrupted)?
        .map_err(AdminError::Hash)
}

async fn find(pool: &PgPool, email: &str) -> Result<Option<Created>, sqlx::Error> {
    let is_admin = sqlx::query_scalar!(
        r#"SELECT role = 'admin' AS "is_admin!" FROM users WHERE email_folded = $1"#,
        email::fold(email)
    )
    .fetch_optional(pool)
    .await?;
    Ok(is_admin.map(|is_admin| if is_admin { Created::WasAdmin } else { Created::Taken }))
}

#[cfg(test)]
mod tests;
