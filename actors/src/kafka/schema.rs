//! The message of `clicks.judged` as Rust, made of `proto/judged_click.proto`, and what it is made from.

use gonggumoa_core::click::{
    self, ClickMethod, HeldReason, InvalidReason, JudgedClick as Judged, Verdict as Given,
};
use gonggumoa_core::ids::PartitionId;

#[allow(missing_docs, clippy::all, reason = "made by prost-build; the schema documents each field")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/gonggumoa.clicks.v1.rs"));
}

pub use generated::{Device, DuplicateOf, Endpoint, JudgedClick, Member, Method, Reason, Verdict};

/// The header that names the schema's version.
pub const SCHEMA_VERSION_HEADER: &str = "schema-version";
/// The version written now.
pub const SCHEMA_VERSION: &str = "1";

/// The message for a click judged in `partition`.
pub fn message(partition: PartitionId, judged: &Judged) -> JudgedClick {
    let Judged { position, click, judgement } = judged;
    let (verdict, reason) = verdict(judgement.verdict);
    JudgedClick {
        click_id: click.id.0.as_bytes().to_vec(),
        gonggu_id: click.gonggu_id.0.as_bytes().to_vec(),
        clicked_at_millis: click.clicked_at.0,
        judged_at_millis: judgement.judged_at.0,
        verdict: verdict.into(),
        reason: reason.into(),
        rules_version: judgement.rules_version,
        duplicate_of: judgement
            .duplicate_of
            .map(|of| DuplicateOf { position: of.position.0, judged_at_millis: of.judged_at.0 }),
        flag_id: judgement.flag_id.map(|flag| flag.0.as_bytes().to_vec()),
        device: device(judgement.device).into(),
        visitor: judgement.visitor,
        member: click.member.as_ref().map(|member| Member {
            user_id: member.id.0.as_bytes().to_vec(),
            created_at_millis: member.created_at.0,
        }),
        address_masked: click.address_masked.to_string(),
        address_hash: click.address_hash.0.to_vec(),
        network_hash: click.network_hash.0.to_vec(),
        user_agent: click.user_agent.to_string(),
        referer: click.referer.to_string(),
        endpoint: match click.endpoint {
            click::Endpoint::Go => Endpoint::Go,
            click::Endpoint::Post => Endpoint::Post,
        }
        .into(),
        method: match click.method {
            ClickMethod::Get => Method::Get,
            ClickMethod::Head => Method::Head,
            ClickMethod::Post => Method::Post,
        }
        .into(),
        opens_at_millis: click.opens_at.0,
        closes_at_millis: click.closes_at.0,
        run: click.run.0.as_bytes().to_vec(),
        sequence: click.sequence,
        partition: partition.0,
        position: position.0,
    }
}

fn verdict(given: Given) -> (Verdict, Reason) {
    match given {
        Given::Billable => (Verdict::Billable, Reason::Unspecified),
        Given::Duplicate => (Verdict::Duplicate, Reason::Unspecified),
        Given::Held(HeldReason::MassClick) => (Verdict::Held, Reason::MassClick),
        Given::Held(HeldReason::Quarantined) => (Verdict::Held, Reason::Quarantined),
        Given::Invalid(reason) => (
            Verdict::Invalid,
            match reason {
                InvalidReason::Head => Reason::Head,
                InvalidReason::Prefetch => Reason::Prefetch,
                InvalidReason::Bot => Reason::Bot,
                InvalidReason::Embedded => Reason::Embedded,
                InvalidReason::NotActive => Reason::NotActive,
                InvalidReason::Fraud => Reason::Fraud,
            },
        ),
    }
}

fn device(told: click::Device) -> Device {
    match told {
        click::Device::Mobile => Device::Mobile,
        click::Device::Tablet => Device::Tablet,
        click::Device::Desktop => Device::Desktop,
        click::Device::Other => Device::Other,
    }
}
