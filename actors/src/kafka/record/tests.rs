use super::*;
use gonggumoa_core::click::testing::{ClickBuilder, TEST_EPOCH};
use proptest::prelude::*;

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

fn encoded(entry: &LogEntry, outgoing: &Outgoing) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(entry, outgoing, &mut bytes);
    bytes
}

fn click(sequence: u64) -> (LogEntry, Outgoing) {
    let click = ClickBuilder::new(sequence).member(3).build();
    let outgoing =
        Outgoing { run: click.run, sequence, previous: sequence.saturating_sub(1), predecessor: None };
    (LogEntry::Click(click), outgoing)
}

fn mark(predecessor: Option<RunId>) -> (LogEntry, Outgoing) {
    let outgoing = Outgoing { run: run(5), sequence: 9, previous: 2, predecessor };
    (LogEntry::TimeMark { run: run(5), at: TEST_EPOCH }, outgoing)
}

fn closing() -> (LogEntry, Outgoing) {
    let outgoing = Outgoing { run: run(5), sequence: 10, previous: 9, predecessor: None };
    (LogEntry::Closing { run: run(5) }, outgoing)
}

fn all() -> Vec<(LogEntry, Outgoing)> {
    vec![click(7), mark(None), mark(Some(run(4))), closing()]
}

#[test]
fn each_kind_comes_back() {
    for (entry, outgoing) in all() {
        let Outgoing { run, sequence, previous, predecessor } = outgoing;
        let decoded = decode(&encoded(&entry, &outgoing)).unwrap();
        assert_eq!(decoded, Decoded { entry, run, sequence, previous, predecessor });
    }
}

#[test]
fn it_is_appended_to_what_is_there() {
    let mut out = b"before".to_vec();
    let (entry, outgoing) = click(7);
    encode(&entry, &outgoing, &mut out);
    assert_eq!(decode(&out[6..]).unwrap().entry, entry);
}

/// Printed once and kept: what edges wrote must stay readable.
#[test]
fn the_bytes_of_a_mark_never_change() {
    let (entry, outgoing) = mark(Some(run(4)));
    let hex: String = encoded(&entry, &outgoing).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(&hex[..8], "47430102");
    assert_eq!(
        &hex[16..],
        "00000000000000000000000000000005\
         0900000000000000\
         0200000000000000\
         809b5806a2010000\
         01\
         00000000000000000000000000000004"
    );
}

#[test]
fn a_key_is_the_gonggus_id() {
    let (LogEntry::Click(made), _) = click(1) else { panic!("a click") };
    assert_eq!(key(&LogEntry::Click(made.clone())), Some(*made.gonggu_id.0.as_bytes()));
    assert_eq!(key(&closing().0), None);
}

#[test]
fn what_is_wrong_is_told_apart() {
    let (entry, outgoing) = click(7);
    let good = encoded(&entry, &outgoing);
    assert_eq!(decode(b"{\"click\": 1}"), Err(RecordError::NotOurs));
    assert_eq!(decode(b""), Err(RecordError::NotOurs));
    assert_eq!(decode(&good[..3]), Err(RecordError::Damaged("it ends too early")));

    let mut newer = good.clone();
    newer[2] = 2;
    assert_eq!(decode(&newer), Err(RecordError::Newer(2)));
    assert_eq!(decode(&newer[..9]), Err(RecordError::Newer(2)), "whatever follows");

    for index in HEAD_BYTES..good.len() {
        let mut changed = good.clone();
        changed[index] ^= 0x40;
        assert_eq!(decode(&changed), Err(RecordError::Checksum));
    }
    assert_eq!(decode(&good[..good.len() - 1]), Err(RecordError::Checksum));

    let other = Outgoing { sequence: 8, ..outgoing };
    assert_eq!(decode(&encoded(&entry, &other)), Err(RecordError::Damaged("its click is another one")));
    let back = Outgoing { previous: 9, ..closing().1 };
    let back = Outgoing { sequence: 9, ..back };
    assert_eq!(
        decode(&encoded(&closing().0, &back)),
        Err(RecordError::Damaged("its sequence does not ascend"))
    );
    let mut kind = good;
    kind[3] = 9;
    assert_eq!(decode(&kind), Err(RecordError::Damaged("its kind is unknown")));
}

/// A click payload of a later codec inside a record with a right checksum.
#[test]
fn a_newer_click_payload_is_newer_not_damaged() {
    let (entry, outgoing) = click(7);
    let mut bytes = encoded(&entry, &outgoing);
    bytes[HEAD_BYTES + 32] = 9;
    let checksum = crc32c::crc32c(&bytes[HEAD_BYTES..]);
    bytes[4..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(decode(&bytes), Err(RecordError::Newer(9)));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    /// Past magic, version and checksum, where the parser does its work.
    #[test]
    fn any_body_is_read_without_a_panic(kind in 0_u8..5, body in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = vec![b'G', b'C', VERSION, kind];
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        if let Ok(decoded) = decode(&bytes) {
            let Decoded { entry, run, sequence, previous, predecessor } = decoded;
            let outgoing = Outgoing { run, sequence, previous, predecessor };
            prop_assert_eq!(encoded(&entry, &outgoing), bytes);
        }
    }

    #[test]
    fn any_entry_comes_back(
        sequence in 1_u64..,
        step in 1_u64..1_000,
        at: i64,
        predecessor in prop::option::of(any::<u128>()),
        agent in ".{0,80}",
        address: u32,
        which in 0_u8..3,
    ) {
        let click = ClickBuilder::new(sequence).from(address).agent(&agent).build();
        let entry = match which {
            0 => LogEntry::Click(click.clone()),
            1 => LogEntry::TimeMark { run: click.run, at: UnixMillis(at) },
            _ => LogEntry::Closing { run: click.run },
        };
        let predecessor = predecessor.filter(|_| which == 1).map(run);
        let previous = sequence.saturating_sub(step);
        let outgoing = Outgoing { run: click.run, sequence, previous, predecessor };
        let decoded = decode(&encoded(&entry, &outgoing)).unwrap();
        prop_assert_eq!(decoded, Decoded { entry, run: click.run, sequence, previous, predecessor });
    }
}
