//! Permissions as extractor types: what stands in a handler's signature has been checked.
//!
//! | `x-required-role` | in the signature | who passes |
//! |---|---|---|
//! | `user`, `buyer` | [`AnyUser`], alias [`Buyer`] | anybody signed in: a buyer's rights are everybody's |
//! | `influencer` | [`VerifiedInfluencer`] | a verified influencer who is active, and an admin |
//! | `owner` | [`AnyUser`], then [`AnyUser::into_owner_of`] gives an [`Owner`] | whose it is, and an admin |
//! | `admin` | [`Admin`] | an admin |
//!
//! Whose something is only the database can tell, so `owner` is proved in the handler: what changes it should ask
//! for an [`Owner`]. What needs none of these stands in [`PUBLIC`](crate::http::openapi::PUBLIC).
//!
//! The bearer token identifies on every call. The `access_token` cookie identifies on GET and HEAD
//! only, so that links, downloads and event streams work in a browser while no foreign page can make
//! the browser write in somebody's name.

use crate::app::App;
use crate::auth::identity::Identity;
use crate::auth::tokens::Claims;
use crate::http::error::ApiError;
use crate::users::types::{UserRole, UserStatus};
use axum::extract::FromRequestParts;
use gonggumoa_core::ids::UserId;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use std::sync::Arc;

/// The cookie that login sets.
pub const ACCESS_COOKIE: &str = "access_token";

/// Somebody who is signed in, whatever the role.
#[derive(Clone, Debug)]
pub struct AnyUser(pub Arc<Identity>);

/// Somebody with a buyer's rights: everybody who is signed in.
pub use self::AnyUser as Buyer;

/// The owner of what is asked for, or an admin. Made only by [`AnyUser::into_owner_of`].
#[derive(Clone, Debug)]
pub struct Owner(Arc<Identity>);

/// Somebody or nobody. A bad bearer token is refused; a bad cookie is nobody.
#[derive(Clone, Debug)]
pub struct MaybeUser(pub Option<Arc<Identity>>);

/// A verified influencer, or an admin.
#[derive(Clone, Debug)]
pub struct VerifiedInfluencer(pub Arc<Identity>);

/// An admin.
#[derive(Clone, Debug)]
pub struct Admin(pub Arc<Identity>);

impl AnyUser {
    /// Whether this person may see or change what belongs to `owner`.
    pub fn may_act_for(&self, owner: UserId) -> bool {
        self.0.role == UserRole::Admin || self.0.id == owner
    }

    /// The proof of it.
    pub fn into_owner_of(self, owner: UserId) -> Result<Owner, ApiError> {
        if self.may_act_for(owner) { Ok(Owner(self.0)) } else { Err(ApiError::Forbidden) }
    }
}

impl Owner {
    /// Who acts: the owner, or an admin in his place.
    pub fn actor(&self) -> &Identity {
        &self.0
    }
}

/// The token of `Authorization: Bearer …`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).and_then(|value| bearer_value(value.as_bytes()))
}

/// The token in the value of an `Authorization` header.
pub fn bearer_value(value: &[u8]) -> Option<&str> {
    let (scheme, token) = value.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    std::str::from_utf8(token).ok().map(str::trim)
}

/// The access token among the cookies of one `Cookie` header.
pub fn cookie_value(value: &[u8]) -> Option<&str> {
    value.split(|byte| *byte == b';').find_map(|pair| {
        let token = pair.trim_ascii().strip_prefix(ACCESS_COOKIE.as_bytes())?.strip_prefix(b"=")?;
        std::str::from_utf8(token).ok()
    })
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(header::COOKIE).iter().find_map(|value| cookie_value(value.as_bytes()))
}

/// The account behind good claims, as it is now: not suspended, neither token nor session ended.
async fn identity(app: &App, claims: &Claims) -> Result<Arc<Identity>, ApiError> {
    let identity = app.identities.get(&app.pool, claims.user_id()).await?.ok_or(ApiError::Unauthorized)?;
    if !identity.is_session(claims.ver, claims.sid) {
        return Err(ApiError::Unauthorized);
    }
    if identity.status == UserStatus::Suspended {
        return Err(ApiError::AccountSuspended);
    }
    Ok(identity)
}

impl FromRequestParts<App> for MaybeUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let token = bearer(&parts.headers).ok_or(ApiError::Unauthorized)?;
            let claims = app.tokens.verify(token).map_err(|_| ApiError::Unauthorized)?;
            return identity(app, &claims).await.map(|identity| Self(Some(identity)));
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Ok(Self(None));
        }
        let Some(claims) = cookie(&parts.headers).and_then(|token| app.tokens.verify(token).ok()) else {
            return Ok(Self(None));
        };
        match identity(app, &claims).await {
            Ok(identity) => Ok(Self(Some(identity))),
            Err(ApiError::Unauthorized | ApiError::AccountSuspended) => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }
}

impl FromRequestParts<App> for AnyUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let MaybeUser(user) = MaybeUser::from_request_parts(parts, app).await?;
        user.map(Self).ok_or(ApiError::Unauthorized)
    }
}

impl FromRequestParts<App> for VerifiedInfluencer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let AnyUser(user) = AnyUser::from_request_parts(parts, app).await?;
        let verified =
            user.role == UserRole::Influencer && user.is_verified && user.status == UserStatus::Active;
        if verified || user.role == UserRole::Admin { Ok(Self(user)) } else { Err(ApiError::Forbidden) }
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let AnyUser(user) = AnyUser::from_request_parts(parts, app).await?;
        if user.role == UserRole::Admin { Ok(Self(user)) } else { Err(ApiError::Forbidden) }
    }
}
