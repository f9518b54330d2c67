use super::*;
use uuid::Uuid;

/// Printed once and kept: another answer would move gonggus while their clicks are in the log.
#[test]
fn the_assignment_never_changes() {
    let eight = Partitioning::new(NonZeroU32::new(8).unwrap());
    let assigned: Vec<u32> = (0..12).map(|id| eight.of(GongguId(Uuid::from_u128(id))).0).collect();
    assert_eq!(assigned, [5, 7, 2, 4, 4, 3, 0, 5, 5, 7, 1, 7]);
    assert_eq!(Partitioning::ONE.of(GongguId(Uuid::from_u128(5))), PartitionId(0));
}
