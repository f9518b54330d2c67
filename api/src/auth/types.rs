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
