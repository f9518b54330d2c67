#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Evidence is what the figures count.

use super::*;
use crate::testing::{RecordedUnderTest, on_both_stores};
use gonggumoa_core::store::conformance::fixture::{self, START, Writer};

on_both_stores! { every_click_once_with_the_last_decision }

async fn every_click_once_with_the_last_decision(subject: &dyn RecordedUnderTest) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.writes(), 0).await, fixture::gonggu());
    // More than two pages, several in one millisecond.
    let mut clicks = fixture::every_kind(&mut writer, gonggu_id);
    clicks.extend((0..2_300).map(|index| writer.click(gonggu_id, START.plus_millis(20_000 + index / 50))));
    subject.writes().store(&writer.batch(clicks.clone())).await.unwrap();
    for (reason, decided_at) in [(codes::INVALID, "2026-11-25"), (codes::BILLABLE, "2026-11-24")] {
        sqlx::query(
            "INSERT INTO click_adjustments
             VALUES (gen_random_uuid(), $1, $2, now(), 3, $3, CASE WHEN $3 = 4 THEN 6 END, $4::timestamptz)",
        )
        .bind(clicks[2].click.id.0)
        .bind(gonggu_id.0)
        .bind(reason)
        .bind(decided_at)
        .execute(subject.recorded().catalog())
        .await
        .unwrap();
    }
    let rows: Vec<EvidenceRow> =
        evidence(subject.recorded(), gonggu_id, START, UnixMillis::MAX).try_collect().await.unwrap();
    assert_eq!(rows.len(), clicks.len());
    for (row, judged) in rows.iter().zip(&clicks) {
        assert_eq!(row.click_id, judged.click.id);
    }
    assert_eq!((rows[2].verdict, rows[2].reason), ("invalid", Some("fraud")));
    assert_eq!((rows[0].verdict, rows[0].reason), ("billable", None));
    assert_eq!((rows[4].verdict, rows[4].reason), ("invalid", Some("head")));
    assert_eq!(rows[0].visitor, format!("{:016x}", clicks[0].judgement.visitor));
    assert_eq!(rows[1].visitor, clicks[1].click.member.unwrap().id.to_string());
    assert_eq!(rows[1].ip_address, "2001:db8:1:2:3:4:5:6");
    assert_eq!(rows[1].ip_masked, "2001:db8:1::*");
}
