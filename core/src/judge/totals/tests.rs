#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::click::HeldReason;
use proptest::prelude::*;

/// A uniform hash of a number.
fn visitor(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn sketch(numbers: impl IntoIterator<Item = u64>) -> VisitorSketch {
    let mut sketch = VisitorSketch::default();
    for number in numbers {
        sketch.insert(visitor(number));
    }
    sketch
}

#[test]
fn up_to_256_visitors_are_exact() {
    for count in [0, 1, 2, 100, 255, 256] {
        assert_eq!(sketch((0..count).chain(0..count)).estimate(), count);
    }
}

#[test]
fn many_visitors_are_told_within_five_standard_errors() {
    for count in [257u64, 1_000, 5_000, 20_000, 300_000] {
        let told = sketch(0..count).estimate() as f64;
        assert!((told / count as f64 - 1.0).abs() < 0.08, "{told} instead of {count}");
    }
}

#[test]
fn large_sketches_merge_register_by_register() {
    for (left, right) in [(0..20_000, 15_000..60_000), (0..300_000, 1_000..2_000), (5..400, 90_000..400_000)]
    {
        let mut merged = sketch(left.clone());
        merged.merge(&sketch(right.clone()));
        assert_eq!(merged, sketch(left.chain(right)));
    }
}

#[test]
fn damaged_bytes_are_refused() {
    let good = sketch(0..10).as_bytes().to_vec();
    assert!(VisitorSketch::from_bytes(&good).is_ok());
    let mut swapped = good.clone();
    swapped[1..11].rotate_left(5);
    for bad in [&good[..good.len() - 1], &[3], &[1], &[2, 0], &swapped] {
        assert!(VisitorSketch::from_bytes(bad).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_sketch_depends_on_the_set_only(
        left in proptest::collection::vec(0u64..700, 0..400),
        right in proptest::collection::vec(0u64..700, 0..400),
    ) {
        let both = sketch(left.iter().chain(&right).copied());
        prop_assert_eq!(&both, &sketch(right.iter().rev().chain(left.iter().rev()).copied()));
        let mut merged = sketch(left);
        merged.merge(&sketch(right));
        prop_assert_eq!(&both, &merged);
        prop_assert_eq!(&VisitorSketch::from_bytes(both.as_bytes()).unwrap(), &both);
    }
}

#[test]
fn gross_is_the_sum_whatever_is_added_or_moved() {
    let mut verdicts = vec![Verdict::Billable, Verdict::Duplicate];
    verdicts.extend([HeldReason::MassClick, HeldReason::Quarantined].map(Verdict::Held));
    verdicts.extend(InvalidReason::ALL.map(Verdict::Invalid));
    let mut counts = Counts::default();
    verdicts.iter().for_each(|verdict| counts.add(*verdict));
    assert_eq!(counts.gross(), 10);
    assert_eq!(counts.to_array(), [1, 1, 2, 1, 1, 1, 1, 1, 1]);
    assert_eq!(Counts::from_array(counts.to_array()), counts);
    let held = Verdict::Held(HeldReason::MassClick);
    let cleared = counts.adjusted(&Counts::moved(held, Verdict::Billable)).unwrap();
    assert_eq!((cleared.billable, cleared.held, cleared.gross()), (2, 1, 10));
    let void = Counts::moved(held, Verdict::Invalid(InvalidReason::Fraud));
    assert_eq!(Counts::default().adjusted(&void), None);
}

#[test]
fn reasons_are_counted_in_their_listed_order() {
    for (index, reason) in InvalidReason::ALL.into_iter().enumerate() {
        assert_eq!(reason_index(reason), index);
    }
}
