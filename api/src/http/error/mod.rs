//! One table of what can go wrong over HTTP: status, stable code, Korean text.
//!
//! Invariants: a code never changes its meaning; the match is exhaustive, so a new error cannot forget
//! its status; nothing of the inside leaves in a 500 (its cause rides as a response extension to the
//! middleware, which logs it and writes the request id into the body).

mod table;

use crate::auth::social::error::SocialError;
use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use utoipa::ToSchema;

/// One field that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's name in the request; `body` or `query` when it is not one field.
    pub field: Cow<'static, str>,
    /// What is wrong with it, in Korean.
    pub message: Cow<'static, str>,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// For people, in Korean.
    pub detail: Cow<'static, str>,
    /// For programs; never changes its meaning.
    pub code: &'static str,
    /// The refused fields, for `VALIDATION_ERROR`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The request's id, for `INTERNAL_ERROR`: what to tell the operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// The cause of a 500, on its way to the log.
#[derive(Clone, Debug)]
pub struct FailureReport(pub Arc<dyn Error + Send + Sync>);

/// Whatever a handler may answer instead of success.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// The request's bytes are not what the content type says.
    #[error("malformed request")]
    Malformed,
    /// The body is no JSON.
    #[error("malformed JSON at line {line}, column {column}")]
    MalformedJson {
        /// From 1.
        line: usize,
        /// From 1; 0: before anything.
        column: usize,
    },
    /// An object in the body names a key twice.
    #[error("duplicate key in the body: {0}")]
    DuplicateKey(String),
    /// Nobody, or a token that is not good (any more).
    #[error("not signed in")]
    Unauthorized,
    /// Wrong e-mail or wrong password; which one is not told.
    #[error("wrong credentials")]
    InvalidCredentials,
    /// A refresh token that was rotated away was used again: its family has ended.
    #[error("refresh token reused")]
    TokenReused,
    /// The refresh token was rotated a moment ago (two tabs).
    #[error("refresh token just rotated")]
    TokenRotated,
    /// The e-mail belongs to another account.
    #[error("e-mail taken")]
    EmailTaken,
    /// A code from an e-mail that is unknown, used, too old, or for another address.
    #[error("code not valid")]
    InvalidCode,
    /// Signed in, but not allowed.
    #[error("forbidden")]
    Forbidden,
    /// The account is suspended.
    #[error("account suspended")]
    AccountSuspended,
    /// No such route.
    #[error("no such route")]
    RouteNotFound,
    /// No such gonggu (any more).
    #[error("gonggu not found")]
    GongguNotFound,
    /// No such influencer.
    #[error("influencer not found")]
    InfluencerNotFound,
    /// No such account.
    #[error("user not found")]
    UserNotFound,
    /// No such category.
    #[error("category not found")]
    CategoryNotFound,
    /// No such coupon.
    #[error("coupon not found")]
    CouponNotFound,
    /// No such banner.
    #[error("banner not found")]
    BannerNotFound,
    /// The account runs gonggus already.
    #[error("already an influencer")]
    AlreadyInfluencer,
    /// An application is being looked at already.
    #[error("application pending")]
    ApplicationPending,
    /// The account has no application to decide.
    #[error("application not pending")]
    ApplicationNotPending,
    /// Nobody subscribes to himself.
    #[error("subscription to oneself")]
    SelfSubscription,
    /// There is no such subscription.
    #[error("subscription not found")]
    SubscriptionNotFound,
    /// No such review.
    #[error("review not found")]
    ReviewNotFound,
    /// The person has reviewed this gonggu already.
    #[error("review exists")]
    ReviewExists,
    /// Nobody can have bought it yet.
    #[error("the gonggu has not opened yet")]
    GongguNotOpened,
    /// An alarm for the opening of what has opened.
    #[error("gonggu already open")]
    GongguAlreadyOpen,
    /// The route does not know the method.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The gonggu is not open.
    #[error("gonggu not active")]
    GongguNotActive,
    /// A sibling has the name.
    #[error("category name taken")]
    CategoryNameTaken,
    /// Children or gonggus use the category.
    #[error("category in use")]
    CategoryInUse,
    /// Another coupon has the code.
    #[error("coupon code taken")]
    CouponCodeTaken,
    /// The coupon is switched off, not begun, or over.
    #[error("coupon not active")]
    CouponNotActive,
    /// As many people as may have redeemed the coupon.
    #[error("coupon exhausted")]
    CouponExhausted,
    /// This person has redeemed the coupon.
    #[error("coupon already redeemed")]
    CouponAlreadyRedeemed,
    /// The balance would go below zero.
    #[error("points insufficient")]
    PointsInsufficient,
    /// Admins do not suspend themselves.
    #[error("own account")]
    OwnAccount,
    /// There would be no admin left.
    #[error("last admin")]
    LastAdmin,
    /// The same request is being carried out.
    #[error("a request with this key is in progress")]
    IdempotencyInProgress,
    /// The key came with another body before.
    #[error("idempotency key reused")]
    IdempotencyKeyReused,
    /// The body is larger than allowed.
    #[error("payload too large")]
    PayloadTooLarge,
    /// The body is not JSON by its content type.
    #[error("unsupported media type")]
    UnsupportedMediaType,
    /// Fields were refused.
    #[error("validation failed")]
    Validation(Vec<FieldError>),
    /// More than two categories.
    #[error("too many categories")]
    TooManyCategories,
    /// More days than the calendar shows at once.
    #[error("too many days")]
    TooManyDays,
    /// A range of more buckets than an answer holds.
    #[error("range too large: {buckets} buckets")]
    RangeTooLarge {
        /// How many buckets the range would have.
        buckets: u64,
    },
    /// Too many requests.
    #[error("rate limited for {retry_after_seconds} s")]
    RateLimited {
        /// When to try again.
        retry_after_seconds: u64,
    },
    /// A social sign-in did not happen; it has a table of its own.
    #[error("social sign-in: {0}")]
    Social(#[from] SocialError),
    /// The click could not be written down.
    #[error("click not recorded")]
    ClickNotRecorded,
    /// A part that the answer needs is not there now.
    #[error("temporarily unavailable")]
    Unavailable,
    /// The handler took too long.
    #[error("handler timed out")]
    TimedOut,
    /// A fault of ours.
    #[error("internal error")]
    Internal(#[source] Arc<dyn Error + Send + Sync>),
}

impl ApiError {
    /// A fault of ours with its cause.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(cause.into()))
    }

    /// One refused field.
    pub fn field(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Validation(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// Whether the same request may work later.
    pub fn retryable(&self) -> bool {
        self.retry_after_seconds().is_some()
    }
}

/// The body of a 500 once the request id is known.
pub(crate) fn internal_body(request_id: &HeaderValue) -> Body {
    let (_, code, detail) = ApiError::Internal(Arc::from(Box::<dyn Error + Send + Sync>::from(""))).entry();
    let body = ErrorBody {
        detail: detail.into(),
        code,
        errors: Vec::new(),
        request_id: request_id.to_str().ok().map(str::to_owned),
    };
    Body::from(serde_json::to_vec(&body).unwrap_or_default())
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, detail) = self.entry();
        let retry_after = self.retry_after_seconds();
        let mut detail = Cow::Borrowed(detail);
        let mut errors = Vec::new();
        let mut report = None;
        match self {
            Self::Validation(fields) => errors = fields,
            Self::DuplicateKey(key) => {
                let shown: String = key.chars().take(40).collect();
                detail = format!("요청 본문에 같은 키가 두 번 있습니다: {shown}").into();
            }
            Self::MalformedJson { line, column } => detail = format!("{detail} ({line}행 {column}열)").into(),
            Self::Internal(cause) => report = Some(FailureReport(cause)),
            _ => {}
        }
        let mut response =
            (status, Json(ErrorBody { detail, code, errors, request_id: None })).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(report) = report {
            response.extensions_mut().insert(report);
        }
        response
    }
}

impl From<sqlx::Error> for ApiError {
    /// A database that cannot be reached is a passing matter; everything else is ours.
    fn from(error: sqlx::Error) -> Self {
        let passing = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            // 08: connection, 53: resources, 57: operator intervention, 40: rolled back for others
            sqlx::Error::Database(database) => database
                .code()
                .is_some_and(|code| ["08", "53", "57", "40"].iter().any(|c| code.starts_with(c))),
            _ => false,
        };
        if passing {
            tracing::warn!(error = %error, "database unavailable");
            Self::Unavailable
        } else {
            Self::internal(error)
        }
    }
}

impl From<gonggumoa_core::store::StoreError> for ApiError {
    fn from(error: gonggumoa_core::store::StoreError) -> Self {
        if error.retryable() {
            tracing::warn!(error = &error as &(dyn Error + 'static), "click store unavailable");
            Self::Unavailable
        } else {
            Self::internal(error)
        }
    }
}
