//! `Idempotency-Key`: a request that is sent again, because its answer was lost, has one effect.
//!
//! Invariants:
//! - The answer is kept in the transaction of the effect: there is neither an effect that a repetition would
//!   not know nor an answer to something that did not happen, whenever the process dies.
//! - While a request is carried out, an advisory lock of its transaction says so; it ends with the
//!   transaction, so nothing is left in progress for ever.
//! - A key belongs to an account and a route; the same key with another body is refused, never answered
//!   with what the other body did.
//! - Refusals are not kept: they changed nothing, and the same request may succeed later.

use crate::http::error::ApiError;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, Utc};
use http::request::Parts;
use http::{StatusCode, header};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// The header.
pub const HEADER: &str = "Idempotency-Key";
/// A repetition comes within minutes; a day covers a client that was switched off over night.
const KEPT_HOURS: i64 = 24;
/// The column's width.
pub(crate) const KEY_MAX_CHARS: usize = 255;

/// The request's key, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let (Some(value), others) = (values.next(), values.next()) else { return Ok(Self(None)) };
        let key = value.as_bytes();
        let fits = (1..=KEY_MAX_CHARS).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(key) {
            Ok(key) if fits && others.is_none() => Ok(Self(Some(key.to_owned()))),
            _ => Err(ApiError::field(HEADER, "공백 없는 ASCII 문자 1자 이상 255자 이하여야 합니다")),
        }
    }
}

/// An answer as it is sent, the first time and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    body: String,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        (self.status, json, Body::from(self.body)).into_response()
    }
}

/// What a request finds.
#[derive(Debug)]
pub enum Claim {
    /// Nobody has carried it out: do so, and [`keep`](Slot::keep) the answer.
    Fresh(Slot),
    /// It has been carried out; this was the answer.
    Repeated(Answer),
}

/// The place for an answer. Without a key nothing is kept.
#[derive(Debug)]
pub struct Slot(Option<Kept>);

#[derive(Debug)]
struct Kept {
    user_id: Uuid,
    route: &'static str,
    key: String,
    request_hash: [u8; 32],
}

/// Asks whether a request was carried out before, inside the transaction that will carry it out.
/// `request` is the body as understood: unknown keys and spaces make no other request of it.
pub async fn claim(
    connection: &mut PgConnection,
    (user_id, route): (Uuid, &'static str),
    key: IdempotencyKey,
    request: &impl Serialize,
    now: DateTime<Utc>,
) -> Result<Claim, ApiError> {
    let Some(key) = key.0 else { return Ok(Claim::Fresh(Slot(None))) };
    let request = serde_json::to_vec(request).map_err(ApiError::internal)?;
    let request_hash = *blake3::hash(&request).as_bytes();
    // The name keeps these apart from other advisory locks; two keys of one hash merely take turns.
    let ours = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(
               hashtextextended('idempotency_keys:' || $1::uuid::text || ':' || $2::text || ':' || $3::text, 0)
           ) AS "ours!""#,
        user_id,
        route,
        key
    )
    .fetch_one(&mut *connection)
    .await?;
    if !ours {
        return Err(ApiError::IdempotencyInProgress);
    }
    let kept = sqlx::query!(
        "SELECT request_hash, status, body FROM idempotency_keys
         WHERE user_id = $1 AND route = $2 AND key = $3 AND created_at > $4",
        user_id,
        route,
        key,
        now - Duration::hours(KEPT_HOURS)
    )
    .fetch_optional(connection)
    .await?;
    let Some(kept) = kept else {
        return Ok(Claim::Fresh(Slot(Some(Kept { user_id, route, key, request_hash }))));
    };
    if kept.request_hash != request_hash {
        return Err(ApiError::IdempotencyKeyReused);
    }
    let status = u16::try_from(kept.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.ok_or_else(|| ApiError::internal("a kept answer has no status"))?;
    Ok(Claim::Repeated(Answer { status, body: kept.body }))
}

impl Slot {
    /// Keeps the answer; it is there for repetitions once the caller has committed.
    pub async fn keep(
        self,
        connection: &mut PgConnection,
        status: StatusCode,
        body: &impl Serialize,
        now: DateTime<Utc>,
    ) -> Result<Answer, ApiError> {
        let body = serde_json::to_string(body).map_err(ApiError::internal)?;
        if let Some(kept) = self.0 {
            let status = i16::try_from(status.as_u16()).map_err(ApiError::internal)?;
            // a row that is there is an expired one: the claim saw no other
            sqlx::query!(
                "INSERT INTO idempotency_keys (user_id, route, key, request_hash, status, body, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (user_id, route, key) DO UPDATE
                 SET request_hash = excluded.request_hash, status = excluded.status, body = excluded.body,
                     created_at = excluded.created_at",
                kept.user_id,
                kept.route,
                kept.key,
                &kept.request_hash[..],
                status,
                body,
                now
            )
            .execute(connection)
            .await?;
        }
        Ok(Answer { status, body })
    }
}

/// Deletes up to `limit` answers that are no longer given.
pub async fn delete_expired(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE (user_id, route, key) IN (
             SELECT user_id, route, key FROM idempotency_keys WHERE created_at <= $1
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        now - Duration::hours(KEPT_HOURS),
        limit
    );
    Ok(deleted.execute(pool).await?.rows_affected())
}

#[cfg(test)]
mod tests;
