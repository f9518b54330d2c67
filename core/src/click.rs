//! A click: the facts the edge saw, the record the log keeps, and the click as judged.
//!
//! Invariant: whatever a verdict depends on is in [`RawClick`] or in the rules version in force at its
//! position. Nothing is looked up later.

use crate::clock::UnixMillis;
use crate::ids::{ClickId, FlagId, GongguId, Position, RunId};
use crate::visitor::{AddressHash, Member};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// User agent and referer are cut at this many characters: enough for every real browser, and a
/// 16 KB header cannot fill the journal.
pub const TEXT_MAX_CHARS: usize = 1_000;
/// Purpose and `Sec-Fetch-*` values are single tokens; longer ones are cut here.
pub const TOKEN_MAX_CHARS: usize = 64;

/// The door that a click came through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/go/{id}`.
    Go,
    /// `POST /tracking/click`.
    Post,
}

/// The request's method, as far as the judge cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClickMethod {
    /// GET.
    Get,
    /// HEAD: never billed.
    Head,
    /// POST.
    Post,
}

/// The `Origin` header, judged by the edge against its own list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginKind {
    /// No such header.
    Absent,
    /// One of ours.
    Ours,
    /// Somebody else's page.
    Foreign,
}

/// What the edge saw of one request, borrowed from it. The log's writer adds run, sequence, time and
/// id. Text is passed as it came; the codec cuts it (see [`TEXT_MAX_CHARS`]).
#[derive(Clone, Copy, Debug)]
pub struct ClickFacts<'a> {
    /// The gonggu clicked.
    pub gonggu_id: GongguId,
    /// Its opening, as the edge knew it.
    pub opens_at: UnixMillis,
    /// Its closing, as the edge knew it: an early close or a suspension sets it earlier.
    pub closes_at: UnixMillis,
    /// The signed-in user, if any.
    pub member: Option<Member>,
    /// The buyer's address, raw.
    pub address: IpAddr,
    /// Keyed hash of the normalised address.
    pub address_hash: AddressHash,
    /// Keyed hash of the wider network.
    pub network_hash: AddressHash,
    /// `User-Agent`, empty if absent.
    pub user_agent: &'a str,
    /// `Referer`, empty if absent.
    pub referer: &'a str,
    /// The door.
    pub endpoint: Endpoint,
    /// The method.
    pub method: ClickMethod,
    /// Values of `Sec-Purpose`, `Purpose`, `X-Purpose`, `X-Moz`, joined by `, `; empty if none.
    pub purpose: &'a str,
    /// `Sec-Fetch-Site`, empty if absent.
    pub fetch_site: &'a str,
    /// `Sec-Fetch-Mode`, empty if absent.
    pub fetch_mode: &'a str,
    /// `Sec-Fetch-Dest`, empty if absent.
    pub fetch_dest: &'a str,
    /// `Sec-Fetch-User`, empty if absent.
    pub fetch_user: &'a str,
    /// Whether `Origin` is ours.
    pub origin: OriginKind,
}

/// One click as the log keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawClick {
    /// The run that wrote it; with `sequence` its identity.
    pub run: RunId,
    /// Its number in the run's chain.
    pub sequence: u64,
    /// The id that the client was given (UUIDv7).
    pub id: ClickId,
    /// When it was written down: never earlier than the record before it.
    pub clicked_at: UnixMillis,
    /// The gonggu clicked.
    pub gonggu_id: GongguId,
    /// Its opening, as the edge knew it.
    pub opens_at: UnixMillis,
    /// Its closing, as the edge knew it.
    pub closes_at: UnixMillis,
    /// The signed-in user, if any.
    pub member: Option<Member>,
    /// The raw address; `None` when read from an archive, which never holds it.
    pub address: Option<IpAddr>,
    /// The form of the address that may be shown.
    pub address_masked: Box<str>,
    /// Keyed hash of the normalised address.
    pub address_hash: AddressHash,
    /// Keyed hash of the wider network.
    pub network_hash: AddressHash,
    /// `User-Agent`, at most [`TEXT_MAX_CHARS`]; empty if absent.
    pub user_agent: Box<str>,
    /// `Referer`, at most [`TEXT_MAX_CHARS`]; empty if absent.
    pub referer: Box<str>,
    /// The door.
    pub endpoint: Endpoint,
    /// The method.
    pub method: ClickMethod,
    /// Purpose headers joined by `, `; empty if none.
    pub purpose: Box<str>,
    /// `Sec-Fetch-Site`, empty if absent.
    pub fetch_site: Box<str>,
    /// `Sec-Fetch-Mode`, empty if absent.
    pub fetch_mode: Box<str>,
    /// `Sec-Fetch-Dest`, empty if absent.
    pub fetch_dest: Box<str>,
    /// `Sec-Fetch-User`, empty if absent.
    pub fetch_user: Box<str>,
    /// Whether `Origin` is ours.
    pub origin: OriginKind,
}

/// Why a click is invalid. Tried in this order; `Fraud` only ever comes from an admin's decision.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvalidReason {
    /// A HEAD request.
    Head,
    /// A prefetch or prerender.
    Prefetch,
    /// A crawler, link preview, HTTP library, or no browser at all.
    Bot,
    /// Loaded by somebody else's page instead of clicked.
    Embedded,
    /// Outside the gonggu's open time.
    NotActive,
    /// Voided by an admin.
    Fraud,
}

impl InvalidReason {
    /// All, in the order in which figures list them.
    pub const ALL: [Self; 6] =
        [Self::Head, Self::Prefetch, Self::Bot, Self::Embedded, Self::NotActive, Self::Fraud];

    /// The stable name used in stores, files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Prefetch => "prefetch",
            Self::Bot => "bot",
            Self::Embedded => "embedded",
            Self::NotActive => "not_active",
            Self::Fraud => "fraud",
        }
    }
}

/// What a held click is held for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldReason {
    /// Its address was over a mass-click limit.
    MassClick,
    /// The judge itself failed on it twice.
    Quarantined,
}

/// Exactly one per click.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Paid for.
    Billable,
    /// The same visitor within the window of a counted click.
    Duplicate,
    /// Waits for an admin.
    Held(HeldReason),
    /// Never paid for.
    Invalid(InvalidReason),
}

impl Verdict {
    /// `billable`, `duplicate`, `held` or `invalid`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Billable => "billable",
            Self::Duplicate => "duplicate",
            Self::Held(_) => "held",
            Self::Invalid(_) => "invalid",
        }
    }

    /// The reason's stable name, for held and invalid clicks.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Billable | Self::Duplicate => None,
            Self::Held(HeldReason::MassClick) => Some("mass_click"),
            Self::Held(HeldReason::Quarantined) => Some("quarantined"),
            Self::Invalid(reason) => Some(reason.as_str()),
        }
    }

    /// The verdict that [`as_str`](Self::as_str) and [`reason`](Self::reason) were taken from.
    pub fn parse(verdict: &str, reason: Option<&str>) -> Option<Self> {
        match (verdict, reason) {
            ("billable", None) => Some(Self::Billable),
            ("duplicate", None) => Some(Self::Duplicate),
            ("held", Some("mass_click")) => Some(Self::Held(HeldReason::MassClick)),
            ("held", Some("quarantined")) => Some(Self::Held(HeldReason::Quarantined)),
            ("invalid", Some(reason)) => {
                InvalidReason::ALL.into_iter().find(|known| known.as_str() == reason).map(Self::Invalid)
            }
            _ => None,
        }
    }

    /// Counted clicks leave marks: billable ones and those held for mass clicks.
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Billable | Self::Held(HeldReason::MassClick))
    }
}

/// What a click was made on, told from its user agent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// A phone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A computer.
    Desktop,
    /// Anything else.
    Other,
}

impl Device {
    /// All, in the order in which figures list them.
    pub const ALL: [Self; 4] = [Self::Mobile, Self::Tablet, Self::Desktop, Self::Other];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Desktop => "desktop",
            Self::Other => "other",
        }
    }
}

/// How a click entered one mass-click limit's count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum BurstCount {
    /// Not at all.
    None = 0,
    /// As a click.
    Click = 1,
    /// As a member's first, toward the members' own limit.
    MemberFirst = 2,
}

/// The counted click that made a duplicate one: its position, and its `judged_at`, from which the
/// window runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct DuplicateOf {
    /// Where the counted click stands in the same partition.
    pub position: Position,
    /// When it was judged to have happened.
    pub judged_at: UnixMillis,
}

/// What the judge said of a click, with all that is needed to rebuild the state from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// The verdict, with its reason.
    pub verdict: Verdict,
    /// The later of `clicked_at` and the gonggu's last `judged_at`.
    pub judged_at: UnixMillis,
    /// The rules version that judged it.
    pub rules_version: u32,
    /// For duplicates: of what.
    pub duplicate_of: Option<DuplicateOf>,
    /// Whether this signed-in duplicate took a signed-out mark for its user.
    pub took_mark: bool,
    /// How it counted, one entry for each limit of its rules version, in their order.
    pub burst: Box<[BurstCount]>,
    /// The flag it is held under.
    pub flag_id: Option<FlagId>,
    /// Told from the user agent.
    pub device: Device,
    /// The strongest identity it carried, hashed (see `judge::dedup`); counts unique visitors.
    pub visitor: u64,
}

/// A click with its place in the log and its judgement: one row of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JudgedClick {
    /// Its place in the partition.
    pub position: Position,
    /// The click as logged.
    pub click: RawClick,
    /// What was said of it.
    pub judgement: Judgement,
}

#[cfg(any(test, feature = "conformance"))]
pub mod testing;
