#![allow(deprecated)]

use super::*;
use std::hash::{Hasher, SipHasher};

#[test]
fn the_hash_is_siphash_2_4() {
    for seed in 0..50u64 {
        let key = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), !seed);
        let message = (seed.rotate_left(17) ^ 0xabcd, seed.wrapping_mul(31));
        let mut theirs = SipHasher::new_with_keys(key.0, key.1);
        theirs.write(&message.0.to_le_bytes());
        theirs.write(&message.1.to_le_bytes());
        assert_eq!(siphash_2_4(key, message), theirs.finish());
    }
}

#[test]
fn identities_of_revision_one_never_change() {
    let user = UserId(uuid::Uuid::from_u128(7));
    assert_eq!(user_key(user), 1_305_036_355_580_993_689);
    let agent = AgentDigest::of("Mozilla/5.0");
    assert_eq!(address_agent_key(AddressHash([9; 16]), agent), 5_607_731_089_174_930_442);
}

#[test]
fn marks_keep_any_position_and_a_key_has_one() {
    let (now, window_millis) = (UnixMillis(1_795_392_000_000), crate::kst::DAY_MILLIS);
    let mut marks = Marks::default();
    let identity = Identity { user: None, address_agent: 7 << 50 };
    for position in [1 << 40, (1 << 40) + (1 << 34) - 1, (1 << 40) + (1 << 34), 1, u64::MAX, 1 << 40] {
        marks.expire(now);
        marks.count(&identity, Position(position), now, window_millis);
        let repeat = marks.repeat(&identity, now).map(|repeat| repeat.of.position);
        assert_eq!(repeat, Some(Position(position)));
        assert_eq!(marks.0.iter().map(|table| table.table.live(now).count()).sum::<usize>(), 1);
    }
    marks.expire(now.plus_millis(window_millis));
    assert_eq!(marks.repeat(&identity, now.plus_millis(window_millis)), None);
}
