//! Copies, restored folders, the lock, deletion: what tells one history from another.

use super::*;

fn refused(result: Result<Box<dyn LogReader>, LogError>) -> LogError {
    match result {
        Err(error) => error,
        Ok(_) => panic!("the place was taken"),
    }
}

#[tokio::test]
async fn two_copies_of_a_folder_become_two_histories() {
    let io = FaultyIo::new();
    let journal = open(&io).unwrap();
    record(&journal, "before").await.unwrap();
    let shared_place = journal.close().await.unwrap();
    let (left, right) = (io.copy(), io.copy());
    let (left, right) = (open(&left).unwrap(), open(&right).unwrap());
    let a = record(&left, "left").await.unwrap();
    let b = record(&right, "right").await.unwrap();
    assert_ne!(a.run, b.run, "the identities differ");
    assert_ne!(a.id, b.id);
    let left_place = left.durable_position();
    left.reader(PARTITION, Some(shared_place)).await.map(drop).unwrap();
    right.reader(PARTITION, Some(shared_place)).await.map(drop).unwrap();
    let error = refused(right.reader(PARTITION, Some(left_place)).await);
    let text = error.to_string();
    assert!(matches!(error, LogError::ForeignPosition { .. }) && !error.retryable());
    assert!(text.contains(&left.run().to_string()) && text.contains(&right.run().to_string()), "{text}");
}

#[tokio::test]
async fn a_restored_older_folder_is_refused_by_a_newer_store() {
    let io = FaultyIo::new();
    let journal = open(&io).unwrap();
    record(&journal, "one").await.unwrap();
    let backup = io.copy();
    let old_end = journal.durable_position();
    record(&journal, "two").await.unwrap();
    let stored = journal.durable_position();
    let restored = open(&backup).unwrap();
    for number in 0..10 {
        record(&restored, &format!("other {number}")).await.unwrap();
    }
    let error = refused(restored.reader(PARTITION, Some(stored)).await);
    let text = error.to_string();
    assert!(matches!(error, LogError::ForeignPosition { .. }));
    let run_end = format!("{} through {}", old_end.run, old_end.through);
    assert!(text.contains(&run_end) && text.contains(&stored.through.to_string()), "{text}");
    restored.reader(PARTITION, Some(old_end)).await.map(drop).unwrap();
}

#[tokio::test]
async fn a_second_process_is_refused_until_the_first_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Journal::open(config(folder.path()), Arc::new(SystemClock), Arc::new(RealIo));
    let first = open().unwrap();
    assert!(matches!(open().map(drop), Err(JournalOpenError::InUse(_))));
    first.close().await.unwrap();
    let second = open().unwrap();
    drop(second);
    let third = open().unwrap();
    assert_eq!(third.append(&facts("a")).await.unwrap().run, third.run());
    assert_eq!(first.append(&facts("b")).await, Err(AppendError::Closed));
    assert!(verify(folder.path()).unwrap().problems.is_empty(), "a journal in use may be walked");
}

#[tokio::test]
async fn a_segment_goes_when_all_have_passed_and_a_place_before_it_is_named() {
    let io = FaultyIo::new();
    let journal = open(&io).unwrap();
    let begin = journal.durable_position();
    let mut number = 0;
    while journal.stats().segments < 4 {
        record(&journal, &bulky(number)).await.unwrap();
        number += 1;
    }
    let end = journal.durable_position();
    journal.release(PARTITION, "export", begin).await;
    journal.release(PARTITION, "judge", end).await;
    journal.release(PARTITION, "archive", end).await;
    assert_eq!(journal.stats().segments, 4, "an extra reader that ever released counts too");
    journal.release(PARTITION, "export", end).await;
    assert_eq!(journal.stats().segments, 1);
    assert_eq!(io.paths().len(), 1);
    for place in [None, Some(begin)] {
        let error = refused(journal.reader(PARTITION, place).await);
        assert!(matches!(error, LogError::Deleted { .. }), "{error}");
    }
    let io = io.lose_power(3);
    drop(journal);
    let journal = open(&io).unwrap();
    journal.reader(PARTITION, Some(end)).await.map(drop).unwrap();
}

#[tokio::test]
async fn the_chain_reaches_back_over_many_starts() {
    let mut io = FaultyIo::new();
    let journal = open(&io).unwrap();
    record(&journal, "long ago").await.unwrap();
    let place = journal.durable_position();
    drop(journal);
    for _ in 0..400 {
        io = io.kill();
        drop(open(&io).unwrap());
    }
    let journal = open(&io).unwrap();
    let receipt = record(&journal, "now").await.unwrap();
    let read = read_from(&journal, Some(place)).await;
    assert_eq!(read.last().unwrap().0, receipt.sequence);
}

#[tokio::test]
async fn a_segment_with_clicks_is_sealed_by_age_and_an_idle_one_is_not() {
    let io = FaultyIo::new();
    let aged = JournalConfig { segment_millis: 1, mark_interval_millis: 1, ..config(Path::new(FOLDER)) };
    let journal = open_with(&io, aged).unwrap();
    until(|| journal.stats().records > 20).await;
    assert_eq!(journal.stats().segments, 1);
    record(&journal, "a click").await.unwrap();
    until(|| journal.stats().segments == 2).await;
    let slack_is_gone = io.contents(&io.paths()[0]).unwrap().len() < 4_096;
    assert!(slack_is_gone);
}
