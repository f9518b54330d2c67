//! Demo accounts and their passwords.

use super::{SeedError, data};
use crate::admin_account::hash_password;
use crate::auth::email::fold;
use crate::secrets::SecretsFolder;
use indicatif::ProgressBar;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use std::collections::BTreeMap;
use uuid::Uuid;

const PASSWORDS_FILE: &str = "demo.json";

/// A demo account.
#[derive(Clone, Debug)]
pub struct DemoAccount {
    /// Its id.
    pub id: Uuid,
    /// Its e-mail.
    pub email: &'static str,
    /// `admin`, `influencer` or `buyer`.
    pub role: &'static str,
    /// Its password.
    pub password: SecretString,
}

/// Makes what is missing. A password that was not kept (the folder is new, the database is not) is set anew.
pub(super) async fn sow(
    pool: &PgPool,
    secrets: &SecretsFolder,
    progress: &ProgressBar,
) -> Result<Vec<DemoAccount>, SeedError> {
    let (passwords, are_new) = passwords(secrets)?;
    let mut accounts = Vec::new();
    for (email, nickname, role) in data::ACCOUNTS {
        let password = passwords.get(email).cloned().unwrap_or_default();
        let password = SecretString::from(password);
        let id = match find(pool, email).await? {
            Some(id) if !are_new => id,
            Some(id) => {
                set_password(pool, id, &password).await?;
                id
            }
            None => insert(pool, (email, nickname, role), &password).await?,
        };
        if role == "influencer" {
            ensure_profile(pool, id, nickname).await?;
        }
        accounts.push(DemoAccount { id, email, role, password });
        progress.inc(1);
    }
    Ok(accounts)
}

/// The kept passwords, or new ones for all; and whether they are new.
fn passwords(secrets: &SecretsFolder) -> Result<(BTreeMap<String, String>, bool), SeedError> {
    let mut are_new = false;
    if secrets.read(PASSWORDS_FILE)?.is_none() {
        let made: BTreeMap<_, _> =
            data::ACCOUNTS.iter().map(|(email, _, _)| ((*email).to_owned(), random_password())).collect();
        let text = serde_json::to_string_pretty(&made).unwrap_or_default();
        are_new = secrets.create(PASSWORDS_FILE, &format!("{text}\n"))?;
    }
    let text = secrets.read(PASSWORDS_FILE)?.unwrap_or_default();
    let kept: BTreeMap<String, String> =
        serde_json::from_str(&text).map_err(|error| secrets.damaged(PASSWORDS_FILE, error.to_string()))?;
    match data::ACCOUNTS.iter().find(|(email, _, _)| kept.get(*email).is_none_or(String::is_empty)) {
        Some((email, _, _)) => {
            Err(secrets.damaged(PASSWORDS_FILE, format!("it has no password of {email}")).into())
        }
        None => Ok((kept, are_new)),
    }
}

/// 122 random bits in a form that can be typed.
fn random_password() -> String {
    Uuid::new_v4().simple().to_string()
}

async fn find(pool: &PgPool, email: &str) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("SELECT id FROM users WHERE email_folded = $1", fold(email))
        .fetch_optional(pool)
        .await
}

async fn set_password(pool: &PgPool, id: Uuid, password: &SecretString) -> Result<(), SeedError> {
    let hash = hash_password(SecretString::from(password.expose_secret())).await?;
    sqlx::query!("UPDATE users SET password_hash = $2, updated_at = now() WHERE id = $1", id, hash)
        .execute(pool)
        .await?;
    Ok(())
}

/// A month old, so that the judge treats demo members as it does most members.
async fn insert(
    pool: &PgPool,
    (email, nickname, role): (&str, &str, &str),
    password: &SecretString,
) -> Result<Uuid, SeedError> {
    let hash = hash_password(password.clone()).await?;
    let id = sqlx::query_scalar!(
        "INSERT INTO users (id, email, email_folded, password_hash, nickname, role, created_at)
         VALUES ($1, $2, $6, $3, $4, $5::text::user_role, now() - interval '30 days')
         ON CONFLICT (email_folded) DO UPDATE SET password_hash = EXCLUDED.password_hash RETURNING id",
        Uuid::now_v7(),
        email,
        hash,
        nickname,
        role,
        fold(email)
    )
    .fetch_one(pool)
    .await?;
    Ok(id)
}

async fn ensure_profile(pool: &PgPool, user_id: Uuid, nickname: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO influencer_profiles (id, user_id, bio, is_verified) VALUES ($1, $2, $3, true)
         ON CONFLICT (user_id) DO NOTHING",
        Uuid::now_v7(),
        user_id,
        format!("{nickname}의 소개입니다.")
    )
    .execute(pool)
    .await?;
    Ok(())
}
