//! What a gonggu's state needs of its stored clicks.
//!
//! A busy gonggu has millions of rows inside its windows. The state is rebuilt from marks and counts only, so
//! a store leaves out what has left neither, and hands over the few fields they are made of.

use crate::click::{
    ClickMethod, Device, Endpoint, HeldReason, JudgedClick, Judgement, OriginKind, RawClick, Verdict,
};
use crate::clock::UnixMillis;
use crate::ids::{ClickId, RunId};
use uuid::Uuid;

/// Where the windows of a load begin: both are exclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowStarts {
    /// Of marks: a mark may have been made by any rules version, so it is the longest window of all.
    pub marks: UnixMillis,
    /// Of the counts toward the limits; not before `marks`.
    pub counts: UnixMillis,
}

impl WindowStarts {
    /// At the head's `last_judged_at`. `limit_window_millis` is the longest window of a limit of any rules version;
    /// `None` where that is not known.
    pub fn new(last_judged_at: UnixMillis, window_millis: i64, limit_window_millis: Option<i64>) -> Self {
        let limit_millis = limit_window_millis.unwrap_or(window_millis).min(window_millis);
        let start = |millis: i64| UnixMillis(last_judged_at.0.saturating_sub(millis));
        Self { marks: start(window_millis), counts: start(limit_millis) }
    }
}

/// Whether a click left something that may still count. A click that is not a duplicate left marks, a duplicate
/// may have taken one, and all of them may have been counted; invalid and quarantined ones left nothing.
pub fn is_needed(judgement: &Judgement, starts: &WindowStarts) -> bool {
    let left_mark = match judgement.verdict {
        Verdict::Invalid(_) | Verdict::Held(HeldReason::Quarantined) => return false,
        Verdict::Billable | Verdict::Held(HeldReason::MassClick) => true,
        Verdict::Duplicate => judgement.took_mark,
    };
    judgement.judged_at > if left_mark { starts.marks } else { starts.counts }
}

/// The click with all else emptied: what a store MUST hand over, and need not exceed.
#[must_use]
pub fn reduced(judged: &JudgedClick) -> JudgedClick {
    let JudgedClick { position, click, judgement } = judged;
    let empty: Box<str> = "".into();
    JudgedClick {
        position: *position,
        click: RawClick {
            run: RunId(Uuid::nil()),
            sequence: 0,
            id: ClickId(Uuid::nil()),
            clicked_at: click.clicked_at,
            gonggu_id: click.gonggu_id,
            opens_at: UnixMillis::MIN,
            closes_at: UnixMillis::MAX,
            member: click.member,
            address: None,
            address_masked: empty.clone(),
            address_hash: click.address_hash,
            network_hash: click.network_hash,
            // A signed-out click's identity is its visitor; a member's other one is made of the agent.
            user_agent: if click.member.is_some() { click.user_agent.clone() } else { empty.clone() },
            referer: empty.clone(),
            endpoint: Endpoint::Go,
            method: ClickMethod::Get,
            purpose: empty.clone(),
            fetch_site: empty.clone(),
            fetch_mode: empty.clone(),
            fetch_dest: empty.clone(),
            fetch_user: empty,
            origin: OriginKind::Absent,
        },
        judgement: Judgement { flag_id: None, device: Device::Other, ..judgement.clone() },
    }
}
