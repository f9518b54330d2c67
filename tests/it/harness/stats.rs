//! Figures and evidence as the API gives them.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Deserialize, Debug, Clone)]
pub(crate) struct Stats {
    pub(crate) gonggu_id: Uuid,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    pub(crate) interval: String,
    pub(crate) tz: String,
    pub(crate) totals: Totals,
    pub(crate) invalid_reasons: BTreeMap<String, u64>,
    pub(crate) series: Vec<Bucket>,
    pub(crate) referrers: Vec<Referrer>,
    pub(crate) devices: Vec<DeviceCount>,
    pub(crate) complete_through: Option<DateTime<Utc>>,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) gross: u64,
    pub(crate) billable: u64,
    pub(crate) duplicate: u64,
    pub(crate) invalid: u64,
    pub(crate) held: u64,
    #[serde(default)]
    pub(crate) unique_visitors: u64,
}

#[derive(Deserialize, Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) at: DateTime<Utc>,
    #[serde(flatten)]
    pub(crate) counts: Totals,
}

#[derive(Deserialize, Debug, Clone)]
pub(crate) struct Referrer {
    pub(crate) host: String,
    pub(crate) billable: u64,
}

#[derive(Deserialize, Debug, Clone)]
pub(crate) struct DeviceCount {
    pub(crate) device: String,
    pub(crate) billable: u64,
}

impl Totals {
    /// Promise 5.
    fn check_sum(&self, whose: &str) {
        assert_eq!(
            self.gross,
            self.billable + self.duplicate + self.invalid + self.held,
            "gross is not the sum of the verdicts in {whose}: {self:?}"
        );
    }

    /// (billable, duplicate, invalid, held)
    pub(crate) fn verdicts(&self) -> (u64, u64, u64, u64) {
        (self.billable, self.duplicate, self.invalid, self.held)
    }
}

impl Stats {
    /// Everything that has to be the sum of something else.
    pub(crate) fn check_sums(&self) {
        self.totals.check_sum("the totals");
        let mut summed = Totals::default();
        for bucket in &self.series {
            bucket.counts.check_sum("a bucket");
            summed.gross += bucket.counts.gross;
            summed.billable += bucket.counts.billable;
            summed.duplicate += bucket.counts.duplicate;
            summed.invalid += bucket.counts.invalid;
            summed.held += bucket.counts.held;
        }
        summed.unique_visitors = self.totals.unique_visitors;
        assert_eq!(summed, self.totals, "the series does not add up to the totals");
        assert_eq!(
            self.invalid_reasons.values().sum::<u64>(),
            self.totals.invalid,
            "reasons of invalid clicks"
        );
        let devices: u64 = self.devices.iter().map(|device| device.billable).sum();
        assert_eq!(devices, self.totals.billable, "devices: {:?}", self.devices);
        let referrers: u64 = self.referrers.iter().map(|referrer| referrer.billable).sum();
        assert!(referrers <= self.totals.billable, "referrers: {:?}", self.referrers);
    }

    pub(crate) fn device(&self, name: &str) -> u64 {
        self.devices.iter().filter(|device| device.device == name).map(|device| device.billable).sum()
    }

    pub(crate) fn referrer(&self, host: &str) -> u64 {
        self.referrers.iter().filter(|referrer| referrer.host == host).map(|referrer| referrer.billable).sum()
    }

    pub(crate) fn reason(&self, name: &str) -> u64 {
        self.invalid_reasons.get(name).copied().unwrap_or_default()
    }
}

/// One line of `clicks.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) click_id: Uuid,
    pub(crate) clicked_at: DateTime<Utc>,
    pub(crate) verdict: String,
    pub(crate) reason: String,
    pub(crate) visitor: String,
    pub(crate) ip_address: String,
    pub(crate) user_agent: String,
    pub(crate) referer: String,
    pub(crate) rules_version: u32,
}

/// The columns, in the order that the contract fixes.
const COLUMNS: &str =
    "click_id,clicked_at,verdict,reason,visitor,ip_address,user_agent,referer,rules_version";

impl Evidence {
    pub(crate) fn parse(text: &str) -> Vec<Self> {
        let mut rows = csv_rows(text.trim_start_matches('\u{feff}')).into_iter();
        assert_eq!(rows.next().expect("a line of column names").join(","), COLUMNS);
        rows.map(Self::from_row).collect()
    }

    fn from_row(row: Vec<String>) -> Self {
        let [click_id, clicked_at, verdict, reason, visitor, ip_address, user_agent, referer, rules_version] =
            <[String; 9]>::try_from(row).unwrap_or_else(|row| panic!("not nine fields: {row:?}"));
        Self {
            click_id: click_id.parse().unwrap(),
            clicked_at: clicked_at.parse().unwrap(),
            rules_version: rules_version.parse().unwrap(),
            verdict,
            reason,
            visitor,
            ip_address,
            user_agent,
            referer,
        }
    }
}

/// RFC 4180: quoted fields may hold commas, quotes (doubled) and line ends.
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quoted, character) {
            (true, '"') if characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            (_, '"') => quoted = !quoted,
            (false, ',') => row.push(std::mem::take(&mut field)),
            (false, '\r') => {}
            (false, '\n') => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            (_, character) => field.push(character),
        }
    }
    assert!(!quoted && field.is_empty() && row.is_empty(), "the file ends in the middle of a line");
    rows
}

#[test]
fn csv_fields_may_hold_anything() {
    let rows = csv_rows("a,\"b,\"\"c\"\"\nd\",\r\n,,\r\n");
    assert_eq!(rows, [vec!["a", "b,\"c\"\nd", ""], vec!["", "", ""]]);
}
