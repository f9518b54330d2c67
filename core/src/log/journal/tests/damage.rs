//! Every byte of a small journal cut off or flipped, and files of arbitrary bytes.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A journal of a few groups: the disk, its only segment, and how many bytes of it are used.
async fn small_journal(clean: bool) -> (FaultyIo, PathBuf, usize) {
    let io = FaultyIo::new();
    let journal = open(&io).unwrap();
    for number in 0..5 {
        record(&journal, &format!("click {number}")).await.unwrap();
    }
    if clean {
        journal.close().await.unwrap();
    }
    let used_bytes = journal.0.shared.segments.lock().find(1).unwrap().0.end_offset;
    let after = io.kill();
    let paths = after.paths();
    assert_eq!(paths.len(), 1);
    (after, paths[0].clone(), usize::try_from(used_bytes).unwrap())
}

/// Where the last click's record begins: an unclean stop cannot tell its damage from a tear.
fn last_record_start(contents: &[u8], used_bytes: usize) -> usize {
    let header = SegmentHeader::parse(contents).unwrap();
    let mut offset = header.size_bytes();
    loop {
        let size = record::parse(&contents[offset..], record::seed(header.run)).unwrap().size_bytes;
        if offset + size >= used_bytes {
            return offset;
        }
        offset += size;
    }
}

/// Opens the disk with `contents` as its segment; the names of the clicks, or where it is corrupt.
async fn outcome(io: &FaultyIo, path: &Path, contents: &[u8]) -> Result<usize, u64> {
    let io = io.copy();
    io.put(path, contents);
    let report = verify::verify_with(&io, Path::new(FOLDER)).unwrap();
    match open(&io) {
        Ok(journal) => {
            let read = read_all(&journal).await;
            for (number, (_, name)) in read.iter().enumerate() {
                assert_eq!(**name, *format!("click {number}"), "only a prefix is kept");
            }
            assert!(report.problems.is_empty(), "verify agrees: {report:?}");
            assert_eq!(report.clicks(), read.len() as u64);
            Ok(read.len())
        }
        Err(JournalOpenError::Corrupt { segment, offset, problem }) => {
            assert!(parse_name(&segment).is_some() && !problem.is_empty());
            assert!(report.problems.iter().any(|found| found.offset == offset && found.problem == problem));
            Err(offset)
        }
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_file_cut_anywhere_is_named_or_whole() {
    for clean in [false, true] {
        let (io, path, used_bytes) = small_journal(clean).await;
        let contents = io.contents(&path).unwrap();
        let slack = (used_bytes..contents.len()).step_by(997);
        for length in (0..used_bytes).chain(slack) {
            match outcome(&io, &path, &contents[..length]).await {
                Ok(clicks) => assert!(clean && clicks == 5 && length >= used_bytes, "lost at {length}"),
                Err(offset) => assert!(offset <= length as u64),
            }
        }
        assert_eq!(outcome(&io, &path, &contents).await, Ok(5));
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_named_or_in_the_last_group() {
    for clean in [false, true] {
        let (io, path, used_bytes) = small_journal(clean).await;
        let contents = io.contents(&path).unwrap();
        let last_start = last_record_start(&contents, used_bytes);
        let mut outcomes = BTreeSet::new();
        for offset in 0..used_bytes.next_multiple_of(64).min(contents.len()) {
            let mut damaged = contents.clone();
            damaged[offset] ^= 1 << (offset % 8);
            let outcome = outcome(&io, &path, &damaged).await;
            match outcome {
                Ok(4) => assert!(!clean && (last_start..used_bytes).contains(&offset)),
                Ok(5) => assert!(offset >= used_bytes, "{offset}"),
                Ok(other) => panic!("{other} clicks after a flip at {offset}"),
                Err(named) => assert!(named <= offset as u64 && (clean || offset < last_start)),
            }
            outcomes.insert(outcome.is_ok());
        }
        assert_eq!(outcomes.contains(&true), !clean);
    }
}

#[tokio::test]
async fn damage_in_a_sealed_segment_stops_the_start() {
    let io = FaultyIo::new();
    let journal = open(&io).unwrap();
    let mut number = 0;
    while journal.stats().segments < 3 {
        record(&journal, &bulky(number)).await.unwrap();
        number += 1;
    }
    let io = io.kill();
    drop(journal);
    let path = io.paths()[0].clone();
    let contents = io.contents(&path).unwrap();
    for offset in (0..contents.len() - record::CLOSING_BYTES).step_by(331) {
        let disk = io.copy();
        let mut damaged = contents.clone();
        damaged[offset] ^= 0x10;
        disk.put(&path, &damaged);
        match open(&disk) {
            Err(JournalOpenError::Corrupt { segment, offset: named, .. }) => {
                assert_eq!(path.file_name().unwrap().to_str().unwrap(), segment);
                assert!(named <= offset as u64);
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("damage at {offset} was not seen"),
        }
    }
    let disk = io.copy();
    disk.remove(&io.paths()[1]).unwrap();
    assert!(matches!(open(&disk), Err(JournalOpenError::Corrupt { .. })), "a missing segment");
}

#[tokio::test]
async fn damage_under_a_running_journal_is_named_by_its_reader() {
    let io = FaultyIo::new();
    let journal = open(&io).unwrap();
    record(&journal, "first").await.unwrap();
    let second = record(&journal, "second").await.unwrap();
    let path = io.paths()[0].clone();
    let contents = io.contents(&path).unwrap();
    let at = contents.windows(6).position(|bytes| bytes == b"second").unwrap();
    io.open(&path, true).unwrap().write_at(b"zecond", at as u64).unwrap();
    let mut reader = journal.reader(PARTITION, None).await.unwrap();
    let batch = reader.next(100).await.unwrap();
    assert_eq!(batch.end.through.0, second.sequence - 1, "what is good goes out first");
    for _ in 0..2 {
        assert!(matches!(reader.next(100).await, Err(LogError::Corrupt { .. })));
    }
}

#[tokio::test]
async fn an_unfinished_segment_and_an_empty_one_are_no_obstacle() {
    let (io, path, _) = small_journal(true).await;
    io.put(&Path::new(FOLDER).join("00000000000000000009.new"), b"half a header");
    let empty = open(&io).unwrap();
    let io = io.kill();
    drop(empty);
    assert!(io.paths().iter().all(|path| path.extension().unwrap() == "seg"));
    let journal = open(&io).unwrap();
    assert_eq!(read_all(&journal).await.len(), 5);
    assert!(io.contents(&path).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_a_segment_are_opened_or_named(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        keep_header in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (io, path, _) = small_journal(false).await;
            let mut contents = io.contents(&path).unwrap();
            let from = if keep_header { SegmentHeader::parse(&contents).unwrap().size_bytes() } else { 0 };
            contents[from..from + bytes.len()].copy_from_slice(&bytes);
            let disk = io.copy();
            disk.put(&path, &contents);
            match open(&disk) {
                Ok(_) | Err(JournalOpenError::Corrupt { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        });
    }
}
