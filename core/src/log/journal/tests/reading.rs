//! Batches: as large as they may be, no larger, and none lost when a call is dropped.

use super::*;
use crate::log::LogBatch;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use tokio::sync::Notify;

/// Records `count` clicks of more than 1 KB at once.
async fn record_many(journal: &Journal, count: usize) {
    let pending: Vec<_> = (0..count).map(|number| journal.append(&facts(&bulky(number)))).collect();
    for click in pending {
        click.await.unwrap();
    }
}

async fn next(reader: &mut Box<dyn LogReader>, entries_max: usize) -> LogBatch {
    tokio::time::timeout(DEADLINE, reader.next(entries_max)).await.unwrap().unwrap()
}

/// Positions follow each other from `after` on.
fn check_order(batch: &LogBatch, after: u64) -> u64 {
    let mut through = after;
    for (position, _) in &batch.entries {
        assert_eq!(position.0, through + 1, "no gap, nothing twice");
        through = position.0;
    }
    assert_eq!(batch.end.through.0, through);
    through
}

fn long_segments() -> JournalConfig {
    JournalConfig { segment_bytes: 4 << 20, ..config(Path::new(FOLDER)) }
}

#[tokio::test]
async fn a_batch_is_filled_over_buffers_segments_and_runs() {
    for settings in [long_segments(), config(Path::new(FOLDER))] {
        let io = FaultyIo::new();
        let journal = open_with(&io, settings.clone()).unwrap();
        record_many(&journal, 1_500).await;
        assert!(journal.stats().bytes > 1 << 20);
        let io = io.kill();
        drop(journal);
        let journal = open_with(&io, settings).unwrap();
        record_many(&journal, 100).await;
        let end = journal.durable_position();
        let mut reader = journal.reader(PARTITION, None).await.unwrap();
        let batch = next(&mut reader, 1_550).await;
        assert_eq!((batch.entries.len(), batch.more), (1_550, true), "as many as were asked for");
        let through = check_order(&batch, 0);
        assert_eq!(batch.end.run, journal.run(), "the run of the last entry");
        let batch = next(&mut reader, 1_550).await;
        check_order(&batch, through);
        assert_eq!((batch.end, batch.more), (end, false));
    }
}

#[tokio::test]
async fn a_batch_of_large_records_is_bounded() {
    let io = FaultyIo::new();
    let journal = open_with(&io, JournalConfig { segment_bytes: 16 << 20, ..long_segments() }).unwrap();
    record_many(&journal, 9_000).await;
    let end = journal.durable_position().through.0;
    let used_bytes = journal.0.shared.segments.lock().find(end).unwrap().0.end_offset as usize;
    assert!(used_bytes > 9 << 20 && used_bytes < 15 << 20, "{used_bytes}");
    let mut reader = journal.reader(PARTITION, None).await.unwrap();
    let first = next(&mut reader, usize::MAX).await;
    let through = check_order(&first, 0);
    assert!(first.more && through < end);
    let record_bytes = used_bytes / end as usize;
    let batch_bytes = first.entries.len() * record_bytes;
    assert!((7 << 20..=9 << 20).contains(&batch_bytes), "{batch_bytes}");
    let rest = next(&mut reader, usize::MAX).await;
    assert_eq!((check_order(&rest, through), rest.more), (end, false));
}

#[tokio::test]
async fn a_call_dropped_between_two_reads_loses_nothing() {
    let io = FaultyIo::new();
    let journal = open_with(&io, long_segments()).unwrap();
    record_many(&journal, 1_500).await;
    let io = io.kill();
    drop(journal);
    let (reads, watching) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Barrier::new(2)));
    let hooked = HookedIo::new(&io, {
        let (watching, reached, go_on) = (Arc::clone(&watching), Arc::clone(&reached), Arc::clone(&go_on));
        move |call| {
            let watched = call == Call::Read && watching.load(Ordering::SeqCst);
            if watched && reads.fetch_add(1, Ordering::SeqCst) == 1 {
                reached.notify_one();
                go_on.wait();
            }
            Ok(())
        }
    });
    let journal = Journal::open(long_segments(), Arc::new(SystemClock), Arc::new(hooked)).unwrap();
    until(|| journal.stats().records > 0).await;
    let mut reader = journal.reader(PARTITION, None).await.unwrap();
    watching.store(true, Ordering::SeqCst);
    // The first read was gathered, the second is under way.
    tokio::select! {
        biased;
        () = reached.notified() => {}
        _ = reader.next(usize::MAX) => panic!("the notice comes first"),
    }
    go_on.wait();
    let few = next(&mut reader, 5).await;
    assert_eq!((few.entries.len(), few.more), (5, true));
    let through = check_order(&few, 0);
    let rest = next(&mut reader, usize::MAX).await;
    let through = check_order(&rest, through);
    let rest = if rest.more { next(&mut reader, usize::MAX).await } else { rest };
    assert!(!rest.more && through.max(rest.end.through.0) == journal.durable_position().through.0);
}
