//! What an account looks like from outside: never its hash, never to others.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Rights, by role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "user_role", rename_all = "snake_case")]
pub enum UserRole {
    /// Buys.
    Buyer,
    /// Runs gonggus, once verified.
    Influencer,
    /// Everything.
    Admin,
}

/// Whether an account is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "user_status", rename_all = "snake_case")]
pub enum UserStatus {
    /// In use.
    Active,
    /// Stopped by an admin.
    Suspended,
    /// Waits for approval as an influencer; a buyer's rights until then.
    Pending,
}

/// An account as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserResponse {
    /// Its id.
    pub id: Uuid,
    /// Its e-mail address; null for an account whose social provider proved none.
    pub email: Option<String>,
    /// Its shown name.
    pub nickname: String,
    /// Its role.
    pub role: UserRole,
    /// Its status.
    pub status: UserStatus,
    /// Address of its picture.
    pub profile_image: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}
