//! [`UnixMillis`] as PostgreSQL's `timestamptz`.
//!
//! Not through chrono: "ever" (`UnixMillis::MIN` and `MAX`) is `-infinity` and `infinity` here, which
//! chrono cannot hold, and a jumping clock must not be able to panic the store. Times that neither can
//! hold (before 4713 BC, after 294276) are clamped to the last ones that PostgreSQL can.

use gonggumoa_core::clock::UnixMillis;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// 2000-01-01T00:00:00Z, from which PostgreSQL counts.
const POSTGRES_EPOCH_MILLIS: i64 = 946_684_800_000;
/// PostgreSQL's `MIN_TIMESTAMP` and the last whole millisecond below its `END_TIMESTAMP`.
const MICROS_MIN: i64 = -211_813_488_000_000_000;
const MICROS_MAX: i64 = 9_223_371_331_199_999_000;

/// A `timestamptz` column or parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PgMillis(pub UnixMillis);

/// Microseconds since PostgreSQL's epoch, as they travel in binary.
pub fn to_postgres_micros(at: UnixMillis) -> i64 {
    match at {
        UnixMillis::MIN => i64::MIN,
        UnixMillis::MAX => i64::MAX,
        UnixMillis(millis) => {
            millis.saturating_sub(POSTGRES_EPOCH_MILLIS).saturating_mul(1_000).clamp(MICROS_MIN, MICROS_MAX)
        }
    }
}

/// The inverse of [`to_postgres_micros`]; microseconds below a millisecond are cut.
pub fn from_postgres_micros(micros: i64) -> UnixMillis {
    match micros {
        i64::MIN => UnixMillis::MIN,
        i64::MAX => UnixMillis::MAX,
        micros => UnixMillis(micros.div_euclid(1_000) + POSTGRES_EPOCH_MILLIS),
    }
}

impl Type<Postgres> for PgMillis {
    fn type_info() -> PgTypeInfo {
        <chrono::DateTime<chrono::Utc> as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for PgMillis {
    fn array_type_info() -> PgTypeInfo {
        <chrono::DateTime<chrono::Utc> as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for PgMillis {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode(to_postgres_micros(self.0), buffer)
    }
}

impl<'r> Decode<'r, Postgres> for PgMillis {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() != PgValueFormat::Binary {
            return Err("a time was sent as text; only prepared statements are used".into());
        }
        Ok(Self(from_postgres_micros(<i64 as Decode<Postgres>>::decode(value)?)))
    }
}
