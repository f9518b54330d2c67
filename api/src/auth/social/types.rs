//! Bodies of the social sign-in calls.

use super::provider::Provider;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Where to go after a sign-in.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuthorizeQuery {
    /// The page to come back to; its origin must be allowed. Missing: the front end.
    #[param(example = "https://www.example.com/login/done")]
    pub return_to: Option<String>,
}

/// Where to send the browser.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthorizeResponse {
    /// The provider's page.
    #[schema(example = "https://kauth.kakao.com/oauth/authorize?response_type=code&client_id=…")]
    pub authorize_url: String,
    /// Comes back with the code; good once, for ten minutes, in this browser.
    pub state: String,
}

/// What a provider's page sends the browser back with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CallbackQuery {
    /// The code.
    pub code: Option<String>,
    /// The state.
    pub state: Option<String>,
    /// Instead of the code.
    pub error: Option<String>,
}

/// What Apple's page posts.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AppleCallbackForm {
    /// The code.
    pub code: Option<String>,
    /// The state.
    pub state: Option<String>,
    /// Instead of the code.
    pub error: Option<String>,
    /// JSON with the person's name; only the first time, and unsigned.
    pub user: Option<String>,
}

/// The end of a sign-in.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SocialLoginRequest {
    /// As it came to `return_to`.
    pub code: Option<String>,
    /// As it came to `return_to`.
    #[schema(required = true)]
    pub state: Option<String>,
    /// As it came to `return_to` instead of a code: ends the sign-in.
    #[schema(example = json!(null))]
    pub error: Option<String>,
}

/// A linked identity.
#[derive(Debug, Serialize, ToSchema)]
pub struct SocialIdentityResponse {
    /// Who vouches.
    pub provider: Provider,
    /// The address there, if it told one; not necessarily proved.
    pub email: Option<String>,
    /// Since when.
    pub linked_at: DateTime<Utc>,
    /// The last sign-in by it.
    pub last_used_at: DateTime<Utc>,
}

/// All identities of an account.
#[derive(Debug, Serialize, ToSchema)]
pub struct SocialIdentityListResponse {
    /// Oldest first.
    pub items: Vec<SocialIdentityResponse>,
    /// Whether the account can also be signed in to by password.
    pub has_password: bool,
}
