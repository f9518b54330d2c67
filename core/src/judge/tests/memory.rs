//! Memory: bounded by what the windows hold, and small.

use super::court::{Court, settings};
use crate::click::testing::ClickBuilder;
use crate::ids::Position;
use crate::judge::rules::RulesSettings;

/// The visitors of one dedup window, none twice; no mass-click limit, to see the marks alone.
#[test]
fn a_signed_out_visitor_inside_the_window_takes_at_most_32_bytes() {
    let mut court = Court::new(RulesSettings { limits: Vec::new(), ..settings() });
    let rules = court.history.at(Position(1)).clone();
    let empty = court.state.memory_bytes();
    let mut worst: f64 = 0.0;
    for number in 1..=120_000u32 {
        let click = ClickBuilder::new(number.into()).from(number).build();
        court.state.fold(Position(number.into()), &click, &rules);
        if number > 20_000 && number % 1_000 == 0 {
            let each = (court.state.memory_bytes() - empty) as f64 / f64::from(number);
            worst = worst.max(each);
        }
    }
    assert!(worst <= 32.0, "{worst} bytes a visitor");
}

#[test]
fn expired_marks_and_counts_leave_as_time_moves_even_if_nothing_is_counted() {
    let mut court = Court::new(settings());
    for number in 1..=5_000u32 {
        court.judge(ClickBuilder::new(number.into()).from(number).at(i64::from(number)));
    }
    court.store();
    let full = court.state.memory_bytes();
    // Only a crawler comes by.
    court.judge(court.click().agent("curl/8").at(400_000));
    court.store();
    assert!(court.state.memory_bytes() < full / 10);
    assert!(court.state.memory_bytes() < 4_096 + 3 * 2_600, "{}", court.state.memory_bytes());
}

#[test]
fn an_idle_gonggu_of_few_visitors_takes_at_most_4_kilobytes() {
    let mut court = Court::new(settings());
    for number in 0..20 {
        court.judge(court.click().from(number));
    }
    court.store();
    assert!(court.state.memory_bytes() <= 4_096, "{}", court.state.memory_bytes());
}

#[test]
fn a_flood_from_one_address_shares_entries() {
    let mut court = Court::new(settings());
    for number in 0..50_000i64 {
        court.judge(court.click().at(number / 1_000));
    }
    assert!(court.state.memory_bytes() < 64 << 10, "{}", court.state.memory_bytes());
    assert_eq!(court.state.counts().duplicate, 49_999);
}
