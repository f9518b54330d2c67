//! Bodies of the sign-in calls.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// E-mail and password.
#[derive(Deserialize, ToSchema)]
pub struct LoginRequest {
    /// The account's e-mail, in any case.
    #[schema(example = "admin@example.com")]
    pub email: String,
    /// Its password.
    pub password: String,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
pub struct RefreshRequest {
    /// As it was given.
    pub refresh_token: String,
}

/// Two tokens.
#[derive(Serialize, ToSchema)]
pub struct TokenResponse {
    /// For `Authorization: Bearer …`.
    pub access_token: String,
    /// For `/auth/refresh`, once.
    pub refresh_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    pub token_type: &'static str,
    /// Life of the access token, in seconds.
    #[schema(example = 1800)]
    pub expires_in: i64,
}

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SignupRequest {
    /// Its e-mail address; no two accounts have the same, whatever the case.
    #[schema(required = true, example = "buyer@example.com")]
    pub email: Option<String>,
    /// 8 to 72 bytes of UTF-8.
    #[schema(required = true, example = "correct horse battery")]
    pub password: Option<String>,
    /// The shown name, 1 to 50 characters.
    #[schema(required = true, example = "공구러버")]
    pub nickname: Option<String>,
    /// `buyer` (default), or `influencer`: waits for approval with a buyer's rights.
    #[schema(example = "buyer", pattern = "^(buyer|influencer)$")]
    pub role: Option<String>,
}

/// A code from a mail that proves its address.
#[derive(Deserialize, ToSchema)]
pub struct VerifyRequest {
    /// As it stands in the mail.
    pub code: String,
    /// The account's password; not needed with the account's own session.
    #[schema(example = "correct horse battery")]
    pub password: Option<String>,
}

/// Whose password is forgotten.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ForgotRequest {
    /// The account's e-mail address.
    #[schema(example = "buyer@example.com")]
    pub email: String,
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ResetRequest {
    /// As it stands in the mail.
    pub code: String,
    /// 8 to 72 bytes of UTF-8.
    #[schema(example = "correct horse battery")]
    pub password: String,
}
