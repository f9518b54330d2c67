//! Figures: hours and days by `clicked_at`, visitors, referrers, devices, absolute rows.

use super::court::{Court, settings};
use crate::click::testing::{TEST_EPOCH, test_gonggu};
use crate::ids::Position;
use crate::judge::totals::{RollupKey, RollupLevel};
use crate::kst::{DAY_MILLIS, MINUTE_MILLIS};

#[test]
fn a_click_is_in_the_minute_hour_and_day_of_its_clicked_at() {
    let mut court = Court::new(settings());
    court.judge(court.click().at(10 * MINUTE_MILLIS));
    // Behind the gonggu by a day: its own day, though it is judged at the gonggu's time.
    court.judge(court.click().from(2).at(-DAY_MILLIS));
    court.judge(court.click().from(2).at(-DAY_MILLIS).agent(""));
    court.store();
    for level in RollupLevel::ALL {
        let row =
            &court.store.rollups[&RollupKey::of(test_gonggu(), level, TEST_EPOCH.plus_millis(-DAY_MILLIS))];
        assert_eq!((row.counts.billable, row.counts.gross(), row.visitors.estimate()), (1, 2, 1));
        assert_eq!((row.referrers["instagram.com"], row.devices), (1, [1, 0, 0, 0]));
    }
    assert_eq!(court.store.rollups.len(), 6);
}

#[test]
fn rows_in_the_store_are_asked_for_before_they_are_written_to() {
    let mut court = Court::new(settings());
    court.judge(court.click());
    court.judge(court.click().from(2).at(5 * MINUTE_MILLIS));
    assert!(court.state.missing_rollups(&court.click().build()).is_empty(), "all in memory");
    court.store();
    // The first minute is stored and not open any more; hour and day are.
    let asked = court.state.missing_rollups(&court.click().build());
    assert_eq!(asked.iter().map(|key| key.level).collect::<Vec<_>>(), [RollupLevel::Minute]);
    let ahead = court.click().at(2 * DAY_MILLIS).build();
    assert!(court.state.missing_rollups(&ahead).is_empty(), "no row starts after the last click");
    court.judge(court.click().from(3).at(10));
    court.store();
    let minute = &court.store.rollups[&RollupKey::of(test_gonggu(), RollupLevel::Minute, TEST_EPOCH)];
    assert_eq!(minute.counts.billable, 2);
}

#[test]
fn a_row_loaded_for_a_click_outlives_a_store_of_earlier_batches() {
    let mut court = Court::new(settings());
    court.judge(court.click());
    court.judge(court.click().from(2).at(5 * MINUTE_MILLIS));
    court.restart();
    let late = court.click().from(3).build();
    for key in court.state.missing_rollups(&late) {
        court.state.insert_rollup(key, court.store.rollups.get(&key).cloned());
    }
    court.state.forget_stored(Position(2));
    assert!(court.state.missing_rollups(&late).is_empty());
}

#[test]
fn distinct_visitors_are_those_of_billable_duplicate_and_held_clicks() {
    let mut court = Court::new(settings());
    court.judge(court.click());
    court.judge(court.click());
    court.judge(court.click().member(1)); // takes the mark: another visitor by its strongest identity
    court.judge(court.click().from(3).agent(""));
    court.quarantine(court.click().from(4));
    assert_eq!(court.state.unique_visitors(), 3);
}
