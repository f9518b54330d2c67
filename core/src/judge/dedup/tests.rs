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
fn marks_pack_positions_on_both_sides_of_their_base() {
    let base = 10_000_000_000;
    for position in [base, base + 1, base - 1, base + (1 << 33) - 1, base - (1 << 33)] {
        let mark = Mark { position: Position(position), signed_out: true, taken: false };
        assert_eq!(mark.pack(base).map(|bits| Mark::unpack(bits, base)), Some(mark));
    }
    let far = Mark { position: Position(base + (1 << 33)), signed_out: true, taken: true };
    assert_eq!(far.pack(base), None);
}
