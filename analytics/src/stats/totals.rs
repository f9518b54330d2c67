//! Sums over the rows of a range: visitors, referrers, devices.
//!
//! A year is 365 rows of up to 65 hosts. They are summed as they are parsed, so that a host costs one
//! allocation an answer and not one a row.

use super::whole;
use gonggumoa_core::judge::totals::VisitorSketch;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// So many referring hosts are listed, the most frequent first.
const REFERRERS_MAX: usize = 100;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RangeTotals {
    /// Their distinct visitors.
    pub visitors: VisitorSketch,
    /// Billable clicks by device, in the order of `Device::ALL`.
    pub devices: [i64; 4],
    referrers: HashMap<Box<str>, i64>,
}

impl RangeTotals {
    /// Adds clicks or differences by device.
    pub fn add_devices(&mut self, devices: [i64; 4]) {
        for (sum, difference) in self.devices.iter_mut().zip(devices) {
            *sum += difference;
        }
    }

    /// Adds clicks or differences by referring host, a JSON object of numbers.
    pub fn add_referrers(&mut self, json: &str) -> Result<(), serde_json::Error> {
        let mut parser = serde_json::Deserializer::from_str(json);
        parser.deserialize_map(Adding(&mut self.referrers))?;
        parser.end()
    }

    /// Adds clicks by referring host.
    pub fn add_hosts(&mut self, hosts: &BTreeMap<Box<str>, u64>) {
        for (host, clicks) in hosts {
            *self.referrers.entry(host.clone()).or_default() += clicks.cast_signed();
        }
    }

    /// Adds differences by referring host.
    pub fn add_differences(&mut self, hosts: &BTreeMap<Box<str>, i64>) {
        for (host, difference) in hosts {
            *self.referrers.entry(host.clone()).or_default() += difference;
        }
    }

    /// Adds the sums of other rows.
    pub fn merge(&mut self, more: Self) {
        self.visitors.merge(&more.visitors);
        self.add_devices(more.devices);
        for (host, count) in more.referrers {
            *self.referrers.entry(host).or_default() += count;
        }
    }

    /// Hosts with clicks, the most frequent first, then by name.
    pub(super) fn referrers(&self) -> Vec<(String, u64)> {
        let mut list: Vec<(String, u64)> = self
            .referrers
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(host, count)| (host.to_string(), whole(*count)))
            .collect();
        list.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        list.truncate(REFERRERS_MAX);
        list
    }
}

struct Adding<'a>(&'a mut HashMap<Box<str>, i64>);

impl<'de> Visitor<'de> for Adding<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Host(host), count)) = map.next_entry::<Host<'de>, i64>()? {
            match self.0.get_mut(&*host) {
                Some(sum) => *sum += count,
                None => {
                    self.0.insert(host.into(), count);
                }
            }
        }
        Ok(())
    }
}

/// Borrowed unless it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Host<'a>(#[serde(borrow)] Cow<'a, str>);
