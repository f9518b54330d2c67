//! Many handlers at once: all are answered, and one sync answers many.

use super::*;
use std::collections::HashSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_handlers_share_syncs_and_get_ids_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let wide = JournalConfig { segment_bytes: 4 << 20, ..config(folder.path()) };
    let journal = Journal::open(wide, Arc::new(SystemClock), Arc::new(RealIo)).unwrap();
    let mut handlers = Vec::new();
    for handler in 0..200 {
        let journal = journal.clone();
        handlers.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            for number in 0..50 {
                let receipt = record(&journal, &format!("{handler} {number}")).await.unwrap();
                assert!(receipt.sequence <= journal.durable_position().through.0, "acknowledged is durable");
                ids.push((receipt.id, receipt.sequence));
            }
            ids
        }));
    }
    let (mut ids, mut sequences) = (HashSet::new(), HashSet::new());
    for handler in handlers {
        for (id, sequence) in handler.await.unwrap() {
            assert!(ids.insert(id) && sequences.insert(sequence));
        }
    }
    let stats = journal.stats();
    assert_eq!(read_all(&journal).await.len(), 10_000);
    assert!(stats.groups * 4 < stats.records, "{stats:?}");
    assert!(verify(folder.path()).unwrap().problems.is_empty());
}
