//! Bodies of the admin calls.

use crate::users::types::{UserRole, UserStatus};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// An account as admins see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct AdminUserResponse {
    /// Its id.
    pub id: Uuid,
    /// Its e-mail address; accounts of social sign-in may have none.
    pub email: Option<String>,
    /// Its shown name.
    pub nickname: String,
    /// Its role.
    pub role: UserRole,
    /// Its status.
    pub status: UserStatus,
    /// Whether it is a verified influencer's.
    pub is_verified: bool,
    /// Address of its picture.
    pub profile_image: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Since when it is suspended.
    pub suspended_at: Option<DateTime<Utc>>,
    /// Why it is suspended.
    pub suspended_reason: Option<String>,
}

/// A page of accounts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminUserListResponse {
    /// This page.
    pub items: Vec<AdminUserResponse>,
    /// All that fit the filter.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}

/// Which accounts.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AdminUserFilter {
    /// By role.
    #[param(inline)]
    pub role: Option<UserRole>,
    /// By status.
    #[param(inline)]
    pub status: Option<UserStatus>,
    /// Part of the e-mail address or of the shown name, whatever its case.
    pub q: Option<String>,
}

/// What an admin may make of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdminUserStatus {
    /// Takes a suspension back: the account is what it was before.
    Active,
    /// Suspends: signed out at once, gonggus closed for clicks.
    Suspended,
}

/// A change of an account.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct AdminUserUpdate {
    /// What it becomes.
    #[schema(required = true)]
    pub status: Option<AdminUserStatus>,
    /// Why, 1 to 500 characters; required to suspend.
    #[schema(example = "허위 공구 등록")]
    pub reason: Option<String>,
}

/// How far an application is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationStatus {
    /// Waits for an admin.
    #[default]
    Pending,
    /// Approved: a verified influencer.
    Approved,
    /// Refused: a buyer, who may apply again.
    Rejected,
}

impl ApplicationStatus {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

/// Which applications.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ApplicationFilter {
    /// `pending` (default), `approved` or `rejected`.
    #[param(inline)]
    pub status: Option<ApplicationStatus>,
}

/// Somebody who is, or wants to be, an influencer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AdminInfluencerResponse {
    /// The account.
    pub id: Uuid,
    /// Its e-mail address; accounts of social sign-in may have none.
    pub email: Option<String>,
    /// Its shown name.
    pub nickname: String,
    /// Its role.
    pub role: UserRole,
    /// Its status.
    pub status: UserStatus,
    /// Whether it is verified.
    pub is_verified: bool,
    /// What it says of itself.
    pub bio: String,
    /// Its Instagram page.
    pub instagram_url: Option<String>,
    /// Its TikTok page.
    pub tiktok_url: Option<String>,
    /// When it applied; a sign-up as influencer is an application without one.
    pub applied_at: Option<DateTime<Utc>>,
    /// When an admin last decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// Why it was refused.
    pub refusal_reason: Option<String>,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
}

/// A page of influencers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminInfluencerListResponse {
    /// This page.
    pub items: Vec<AdminInfluencerResponse>,
    /// All that fit.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}

/// Why an application is decided as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct ApplicationDecision {
    /// For the person to read; up to 500 characters.
    #[schema(example = "SNS 계정을 확인할 수 없습니다")]
    pub reason: Option<String>,
}

/// Which entries of the log.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    /// Who did it.
    pub actor: Option<Uuid>,
    /// What was done, such as `user.suspend`.
    pub action: Option<String>,
    /// From when on, inclusive.
    pub from: Option<DateTime<Utc>>,
    /// Until when, exclusive.
    pub to: Option<DateTime<Utc>>,
}

/// One act of an admin.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, sqlx::FromRow)]
pub struct AuditEntryResponse {
    /// Of the entry.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor_id: Uuid,
    /// The actor's shown name now, if there is such an account.
    pub actor_nickname: Option<String>,
    /// What was done.
    pub action: String,
    /// To what kind of thing.
    pub target_type: String,
    /// To which one.
    pub target_id: String,
    /// What else is known of it: reasons, values before and after.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
}

/// A page of the log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditListResponse {
    /// This page.
    pub items: Vec<AuditEntryResponse>,
    /// All that fit.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}
