//! Bodies of the tracking calls.

use crate::tracking::figures::{GongguStats, Interval};
use chrono::{DateTime, Utc};
use gonggumoa_core::click::{Device, InvalidReason};
use gonggumoa_core::judge::totals::Counts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A click. Nothing but the gonggu is taken from the body.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ClickCreate {
    /// The gonggu.
    pub gonggu_id: Uuid,
}

/// A recorded click.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClickResponse {
    /// Its id.
    pub click_id: Uuid,
    /// Where the buyer goes.
    pub redirect_url: String,
}

/// Length of a series' buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatsInterval {
    /// 60 s.
    Minute,
    /// 60 min.
    Hour,
    /// A day of the asked time zone.
    Day,
}

impl From<StatsInterval> for Interval {
    fn from(interval: StatsInterval) -> Self {
        match interval {
            StatsInterval::Minute => Self::Minute,
            StatsInterval::Hour => Self::Hour,
            StatsInterval::Day => Self::Day,
        }
    }
}

impl From<Interval> for StatsInterval {
    fn from(interval: Interval) -> Self {
        match interval {
            Interval::Minute => Self::Minute,
            Interval::Hour => Self::Hour,
            Interval::Day => Self::Day,
        }
    }
}

/// Which clicks. Rounded outwards to the interval.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatsParameters {
    /// From, inclusive; the gonggu's creation by default.
    pub from: Option<DateTime<Utc>>,
    /// To, exclusive; now by default.
    pub to: Option<DateTime<Utc>>,
    /// `minute`, `hour` or `day`; by default `hour` up to 14 days, else `day`.
    #[param(inline)]
    pub interval: Option<StatsInterval>,
    /// IANA name; `Asia/Seoul` by default.
    #[param(example = "Asia/Seoul")]
    pub tz: Option<String>,
}

/// Counts by verdict: `gross` is the sum of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CountsBody {
    /// All.
    pub gross: u64,
    /// Paid for.
    pub billable: u64,
    /// Repeated.
    pub duplicate: u64,
    /// Not people, not open, or voided.
    pub invalid: u64,
    /// Waiting for an admin.
    pub held: u64,
}

impl From<&Counts> for CountsBody {
    fn from(counts: &Counts) -> Self {
        let invalid: u64 = counts.invalid.iter().sum();
        Self {
            gross: counts.billable + counts.duplicate + invalid + counts.held,
            billable: counts.billable,
            duplicate: counts.duplicate,
            invalid,
            held: counts.held,
        }
    }
}

/// Counts of the whole range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TotalsBody {
    /// By verdict.
    #[serde(flatten)]
    pub counts: CountsBody,
    /// Estimate of the distinct visitors.
    pub unique_visitors: u64,
}

/// One bucket.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesBody {
    /// Its start.
    pub at: DateTime<Utc>,
    /// Its counts.
    #[serde(flatten)]
    pub counts: CountsBody,
}

/// Billable clicks from one site.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReferrerBody {
    /// The site; empty: none told.
    pub host: String,
    /// Its billable clicks.
    pub billable: u64,
}

/// Billable clicks on one kind of device.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceBody {
    /// The kind.
    pub device: &'static str,
    /// Its billable clicks.
    pub billable: u64,
}

/// The stats of one gonggu.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsResponse {
    /// The gonggu.
    pub gonggu_id: Uuid,
    /// From, as rounded.
    pub from: DateTime<Utc>,
    /// To, as rounded.
    pub to: DateTime<Utc>,
    /// Length of a bucket.
    pub interval: StatsInterval,
    /// Whose days.
    pub tz: String,
    /// All clicks in the range.
    pub totals: TotalsBody,
    /// Invalid ones by reason.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub invalid_reasons: BTreeMap<&'static str, u64>,
    /// Every bucket, also empty ones.
    pub series: Vec<SeriesBody>,
    /// Billable clicks by site.
    pub referrers: Vec<ReferrerBody>,
    /// Billable clicks by device.
    pub devices: Vec<DeviceBody>,
    /// Up to when every click is in the figures; `null` before anything was judged.
    pub complete_through: Option<DateTime<Utc>>,
}

impl StatsResponse {
    /// As the API tells it.
    pub fn new(gonggu_id: Uuid, stats: GongguStats) -> Self {
        let reasons = InvalidReason::ALL.iter().zip(stats.totals.invalid);
        Self {
            gonggu_id,
            from: stats.from.to_utc(),
            to: stats.to.to_utc(),
            interval: stats.interval.into(),
            tz: stats.tz.name().to_owned(),
            totals: TotalsBody {
                counts: CountsBody::from(&stats.totals),
                unique_visitors: stats.unique_visitors,
            },
            invalid_reasons: reasons.map(|(reason, count)| (reason.as_str(), count)).collect(),
            series: stats
                .series
                .iter()
                .map(|point| SeriesBody { at: point.at.to_utc(), counts: CountsBody::from(&point.counts) })
                .collect(),
            referrers: stats
                .referrers
                .into_iter()
                .map(|(host, billable)| ReferrerBody { host, billable })
                .collect(),
            devices: Device::ALL
                .iter()
                .zip(stats.devices)
                .map(|(device, billable)| DeviceBody { device: device.as_str(), billable })
                .collect(),
            complete_through: (stats.complete_through.0 > 0).then(|| stats.complete_through.to_utc()),
        }
    }
}

/// One live event.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LiveBody {
    /// The gonggu.
    pub gonggu_id: Uuid,
    /// All its clicks.
    pub totals: TotalsBody,
}
