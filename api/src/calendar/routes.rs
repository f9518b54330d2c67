//! `/calendar`.

use crate::app::App;
use crate::calendar::queries::{self, EventRow};
use crate::calendar::types::{CalendarDay, CalendarGonggu, CalendarParameters, CalendarResponse};
use crate::gonggus::types::{GongguInfluencer, Status};
use crate::http::check::Checks;
use crate::http::conditional::Conditional;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::Query;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::kst::KST_OFFSET_MILLIS;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Two long months: more no page shows.
pub const DAYS_MAX: i64 = 62;
const DEFAULT_DAYS: u64 = 31;
/// So many of each kind stand on a day; the others are in its count.
pub const GONGGUS_A_DAY_MAX: i64 = 50;
/// Openings and closings are told to the second.
const MAX_AGE_SECONDS: u32 = 1;

/// The routes under `/calendar`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(calendar))
}

/// What opens and closes on each day of Seoul.
#[utoipa::path(get, path = "/calendar", tag = "calendar", operation_id = "read_calendar", params(CalendarParameters), responses(
    (status = 200, body = CalendarResponse),
    (status = 304, description = "`If-None-Match` names the present `ETag`"),
    (status = 422, body = ErrorBody, description = "`VALIDATION_ERROR`, or `RANGE_TOO_LARGE`: more than 62 days"),
))]
async fn calendar(
    State(app): State<App>,
    conditional: Conditional,
    Query(asked): Query<CalendarParameters>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let (from, to) = days(&asked, now)?;
    let end = to.succ_opt().unwrap_or(to);
    let events = queries::events(&app.pool, midnight(from), midnight(end), GONGGUS_A_DAY_MAX).await?;
    conditional.answer(&laid_out(from, to, events, now), MAX_AGE_SECONDS)
}

/// The first and the last day.
pub(super) fn days(asked: &CalendarParameters, now: UnixMillis) -> Result<(NaiveDate, NaiveDate), ApiError> {
    let mut checks = Checks::new();
    let from = day(&mut checks, asked.from.as_deref(), "from");
    let to = day(&mut checks, asked.to.as_deref(), "to");
    checks.finish()?;
    let from = from.unwrap_or_else(|| now.plus_millis(KST_OFFSET_MILLIS).to_utc().date_naive());
    let to = to.unwrap_or_else(|| from + Days::new(DEFAULT_DAYS - 1));
    if to < from {
        return Err(ApiError::field("to", "시작일보다 앞설 수 없습니다"));
    }
    match (to - from).num_days() + 1 {
        days if days > DAYS_MAX => Err(ApiError::TooManyDays),
        _ => Ok((from, to)),
    }
}

fn day(checks: &mut Checks, text: Option<&str>, field: &'static str) -> Option<NaiveDate> {
    let text = text?;
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    // the format takes signs and missing zeros, which no client means
    let day = day.filter(|day| text.len() == 10 && (2000..2100).contains(&day.year()));
    checks.ensure(day.is_some(), field, "2000년부터 2099년 사이의 날짜(YYYY-MM-DD)여야 합니다");
    day
}

/// Midnight in Seoul.
pub(super) fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc() - TimeDelta::milliseconds(KST_OFFSET_MILLIS)
}

/// Every day, with what is on it.
fn laid_out(from: NaiveDate, to: NaiveDate, events: Vec<EventRow>, now: UnixMillis) -> CalendarResponse {
    let empty = |date| CalendarDay {
        date,
        opening_count: 0,
        closing_count: 0,
        opening: Vec::new(),
        closing: Vec::new(),
    };
    let mut days: Vec<CalendarDay> = from.iter_days().take_while(|day| *day <= to).map(empty).collect();
    for event in events {
        let index = usize::try_from((event.day - from).num_days()).ok();
        let Some(day) = index.and_then(|index| days.get_mut(index)) else { continue };
        let (count, gonggus) = if event.is_opening {
            (&mut day.opening_count, &mut day.opening)
        } else {
            (&mut day.closing_count, &mut day.closing)
        };
        *count = event.total;
        gonggus.push(shown(event, now));
    }
    CalendarResponse { from, to, days }
}

fn shown(event: EventRow, now: UnixMillis) -> CalendarGonggu {
    CalendarGonggu {
        id: event.id,
        title: event.title,
        thumbnail: event.thumbnail,
        influencer: GongguInfluencer {
            id: event.influencer_id,
            nickname: event.nickname,
            profile_image: event.profile_image,
        },
        original_price: event.original_price,
        gonggu_price: event.gonggu_price,
        discount_rate: event.discount_rate,
        open_at: event.open_at,
        close_at: event.closed_at.map_or(event.close_at, |closed_at| closed_at.min(event.close_at)),
        status: Status::at(now, event.open_at, event.close_at, event.closed_at),
    }
}
