//! The numbers that stand for enumerations in rows: one table, in one place, never renumbered.
//!
//! Rows outlive binaries, so a code keeps its meaning for ever; a new variant takes a new number.

use gonggumoa_core::click::{ClickMethod, Device, Endpoint, HeldReason, InvalidReason, OriginKind, Verdict};
use gonggumoa_core::judge::rules::LimitScope;
use gonggumoa_core::judge::totals::RollupLevel;

macro_rules! codes {
    ($($kind:ty, $to:ident, $from:ident { $($variant:path = $code:literal),+ $(,)? })+) => {$(
        #[doc = concat!("The stored code of a [`", stringify!($kind), "`].")]
        pub fn $to(value: $kind) -> i16 {
            match value { $($variant => $code),+ }
        }
        #[doc = concat!("The [`", stringify!($kind), "`] of a stored code.")]
        pub fn $from(code: i16) -> Option<$kind> {
            match code { $($code => Some($variant),)+ _ => None }
        }
    )+};
}

codes! {
    InvalidReason, reason_code, reason_of {
        InvalidReason::Head = 1,
        InvalidReason::Prefetch = 2,
        InvalidReason::Bot = 3,
        InvalidReason::Embedded = 4,
        InvalidReason::NotActive = 5,
        InvalidReason::Fraud = 6,
    }
    HeldReason, held_code, held_of {
        HeldReason::MassClick = 20,
        HeldReason::Quarantined = 21,
    }
    Device, device_code, device_of {
        Device::Mobile = 1,
        Device::Tablet = 2,
        Device::Desktop = 3,
        Device::Other = 4,
    }
    Endpoint, endpoint_code, endpoint_of {
        Endpoint::Go = 1,
        Endpoint::Post = 2,
    }
    ClickMethod, method_code, method_of {
        ClickMethod::Get = 1,
        ClickMethod::Head = 2,
        ClickMethod::Post = 3,
    }
    OriginKind, origin_code, origin_of {
        OriginKind::Absent = 0,
        OriginKind::Ours = 1,
        OriginKind::Foreign = 2,
    }
    LimitScope, scope_code, scope_of {
        LimitScope::Address = 1,
        LimitScope::Network = 2,
    }
    RollupLevel, level_code, level_of {
        RollupLevel::Minute = 1,
        RollupLevel::Hour = 2,
        RollupLevel::Day = 3,
    }
}

/// `verdict` of a billable click.
pub const BILLABLE: i16 = 1;
/// `verdict` of a duplicate.
pub const DUPLICATE: i16 = 2;
/// `verdict` of a held click; `reason` says for what.
pub const HELD: i16 = 3;
/// `verdict` of an invalid click; `reason` says why.
pub const INVALID: i16 = 4;

/// The stored `verdict` and `reason`.
pub fn verdict_codes(verdict: Verdict) -> (i16, Option<i16>) {
    match verdict {
        Verdict::Billable => (BILLABLE, None),
        Verdict::Duplicate => (DUPLICATE, None),
        Verdict::Held(reason) => (HELD, Some(held_code(reason))),
        Verdict::Invalid(reason) => (INVALID, Some(reason_code(reason))),
    }
}

/// The verdict of a stored `verdict` and `reason`.
pub fn verdict_of(verdict: i16, reason: Option<i16>) -> Option<Verdict> {
    match (verdict, reason) {
        (BILLABLE, None) => Some(Verdict::Billable),
        (DUPLICATE, None) => Some(Verdict::Duplicate),
        (HELD, Some(reason)) => held_of(reason).map(Verdict::Held),
        (INVALID, Some(reason)) => reason_of(reason).map(Verdict::Invalid),
        _ => None,
    }
}
