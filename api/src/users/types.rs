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

/// A profile as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProfileResponse {
    /// Its id.
    pub id: Uuid,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Whether the address was proved by a code.
    pub email_verified: bool,
    /// Its shown name.
    pub nickname: String,
    /// Its role.
    pub role: UserRole,
    /// Its status.
    pub status: UserStatus,
    /// Address of its picture.
    pub profile_image: Option<String>,
    /// In E.164.
    pub phone_number: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A change of one's own profile: what is absent stays, `null` takes away. Nothing else can be changed here.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct UserUpdate {
    /// 1 to 50 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, example = "공구러버")]
    pub nickname: Option<Option<String>>,
    /// Address of the picture, http or https.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "https://cdn.example.com/me.webp")]
    pub profile_image: Option<Option<String>>,
    /// In E.164.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, example = "+821012345678", pattern = r"^\+[1-9][0-9]{6,14}$")]
    pub phone_number: Option<Option<String>>,
}

/// Tells `null` from absent: whatever stands there, be it `null`, is `Some`.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
