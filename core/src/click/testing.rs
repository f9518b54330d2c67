//! Clicks for tests: a person on a phone who follows an open link, and what differs from that.

use super::{ClickMethod, Endpoint, OriginKind, RawClick};
use crate::clock::UnixMillis;
use crate::ids::{ClickId, GongguId, RunId, UserId};
use crate::visitor::{AddressKey, Member, masked};
use std::net::{IpAddr, Ipv4Addr};
use uuid::Uuid;

/// 2026-11-23 12:00 in Seoul: the time from which test clicks count theirs.
pub const TEST_EPOCH: UnixMillis = UnixMillis(1_795_402_800_000);
/// A phone's browser.
pub const PHONE_AGENT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 \
     (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";

/// The gonggu that test clicks are on unless they say otherwise.
pub fn test_gonggu() -> GongguId {
    GongguId(Uuid::from_u128(0x0193_5000_0000_7000_8000_0000_0000_0001))
}

/// Test user number `number`.
pub fn test_user(number: u64) -> UserId {
    UserId(Uuid::from_u128(0x0193_5000_0000_7000_9000_0000_0000_0000 | u128::from(number)))
}

/// A fixed key, so that hashes of test clicks never change.
pub fn test_address_key() -> AddressKey {
    AddressKey::new([7; 32])
}

/// Builds a [`RawClick`] step by step.
#[derive(Clone, Debug)]
pub struct ClickBuilder(RawClick);

impl ClickBuilder {
    /// A signed-out GET of `/go` at [`TEST_EPOCH`] from address 203.0.113.1, in an open gonggu.
    /// `sequence` also makes its id.
    pub fn new(sequence: u64) -> Self {
        let click = RawClick {
            run: RunId(Uuid::from_u128(0x5eed)),
            sequence,
            id: ClickId(Uuid::from_u128(0x0193_5000_0000_7000_a000_0000_0000_0000 | u128::from(sequence))),
            clicked_at: TEST_EPOCH,
            gonggu_id: test_gonggu(),
            opens_at: UnixMillis(0),
            closes_at: UnixMillis(i64::MAX),
            member: None,
            address: None,
            address_masked: "".into(),
            address_hash: Default::default(),
            network_hash: Default::default(),
            user_agent: PHONE_AGENT.into(),
            referer: "https://www.instagram.com/".into(),
            endpoint: Endpoint::Go,
            method: ClickMethod::Get,
            purpose: "".into(),
            fetch_site: "".into(),
            fetch_mode: "".into(),
            fetch_dest: "".into(),
            fetch_user: "".into(),
            origin: OriginKind::Absent,
        };
        Self(click).address(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)))
    }

    /// `millis` after [`TEST_EPOCH`].
    #[must_use]
    pub fn at(mut self, millis: i64) -> Self {
        self.0.clicked_at = TEST_EPOCH.plus_millis(millis);
        self
    }

    /// On another gonggu.
    #[must_use]
    pub fn gonggu(mut self, gonggu_id: GongguId) -> Self {
        self.0.gonggu_id = gonggu_id;
        self
    }

    /// Signed in as [`test_user`] `number`, whose account is 30 days old.
    #[must_use]
    pub fn member(self, number: u64) -> Self {
        let created_at = TEST_EPOCH.plus_millis(-30 * crate::kst::DAY_MILLIS);
        self.member_since(number, created_at)
    }

    /// Signed in as [`test_user`] `number`, whose account was made at `created_at`.
    #[must_use]
    pub fn member_since(mut self, number: u64, created_at: UnixMillis) -> Self {
        self.0.member = Some(Member { id: test_user(number), created_at });
        self
    }

    /// From this address, hashed under [`test_address_key`].
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        let key = test_address_key();
        self.0.address = Some(address);
        self.0.address_masked = masked(address).into();
        self.0.address_hash = key.address_hash(address);
        self.0.network_hash = key.network_hash(address);
        self
    }

    /// From address number `number` of 10.0.0.0/8.
    #[must_use]
    pub fn from(self, number: u32) -> Self {
        self.address(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | (number & 0x00ff_ffff))))
    }

    /// With this user agent.
    #[must_use]
    pub fn agent(mut self, user_agent: &str) -> Self {
        self.0.user_agent = user_agent.into();
        self
    }

    /// With this referer.
    #[must_use]
    pub fn referer(mut self, referer: &str) -> Self {
        self.0.referer = referer.into();
        self
    }

    /// As `POST /tracking/click` with this kind of origin.
    #[must_use]
    pub fn post(mut self, origin: OriginKind) -> Self {
        self.0.endpoint = Endpoint::Post;
        self.0.method = ClickMethod::Post;
        self.0.origin = origin;
        self
    }

    /// Whatever else differs.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut RawClick)) -> Self {
        change(&mut self.0);
        self
    }

    /// The click.
    pub fn build(self) -> RawClick {
        self.0
    }
}
