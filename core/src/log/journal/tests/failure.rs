//! Disks that fail and disks that are full.

use super::*;

#[tokio::test]
async fn a_failed_sync_or_write_is_final() {
    for fail in [|io: &FaultyIo| io.fail_sync_after(0), |io: &FaultyIo| io.fail_write_after(0, 100)] {
        let io = FaultyIo::new();
        let journal = open(&io).unwrap();
        record(&journal, "good").await.unwrap();
        let end = journal.durable_position();
        fail(&io);
        for _ in 0..3 {
            let error = record(&journal, "bad").await.unwrap_err();
            assert!(matches!(error, AppendError::Poisoned(_)) && !error.retryable());
        }
        assert!(matches!(journal.health(), SinkHealth::Poisoned(_)));
        assert_eq!(journal.durable_position(), end);
        assert_eq!(read_all(&journal).await.len(), 1);
        assert!(matches!(journal.close().await, Err(AppendError::Poisoned(_))));
        let mut reader = journal.reader(PARTITION, Some(end)).await.unwrap();
        assert!(matches!(reader.next(1).await, Err(LogError::Closed)));
        // The next start may find the refused click or not, but finds what it answered for.
        let next = open(&io.kill()).unwrap();
        assert_eq!(&*read_all(&next).await[0].1, "good");
    }
}

#[tokio::test]
async fn what_a_start_reads_after_a_failed_sync_survives_a_power_loss() {
    for seed in 0..40 {
        let io = FaultyIo::new();
        let journal = open(&io).unwrap();
        record(&journal, "good").await.unwrap();
        io.set_seed(seed);
        io.fail_sync_after(0);
        record(&journal, "in the cache only").await.unwrap_err();
        let io = io.kill();
        drop(journal);
        let second = open(&io).unwrap();
        let seen = read_all(&second).await;
        let io = io.lose_power(seed);
        drop(second);
        assert_eq!(read_all(&open(&io).unwrap()).await, seen);
    }
}

#[tokio::test]
async fn a_failed_rename_or_folder_sync_at_rotation_loses_nothing() {
    for after in 0..5 {
        let io = FaultyIo::new();
        let journal = open(&io).unwrap();
        let mut acknowledged = 0;
        for number in 0..25 {
            record(&journal, &bulky(number)).await.unwrap();
            acknowledged += 1;
        }
        io.fail_sync_after(8 + after);
        while record(&journal, &bulky(acknowledged)).await.is_ok() {
            acknowledged += 1;
        }
        let next = open(&io.lose_power(after)).unwrap();
        assert!(read_all(&next).await.len() >= acknowledged);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let io = FaultyIo::new();
    let journal = open(&io).unwrap();
    io.set_capacity_bytes(2 * SMALL_SEGMENT_BYTES);
    let mut taken = Vec::new();
    let mut number = 0;
    let error = loop {
        match record(&journal, &bulky(number)).await {
            Ok(receipt) => taken.push(receipt.sequence),
            Err(error) => break error,
        }
        number += 1;
    };
    assert!(error == AppendError::Full && error.retryable());
    assert_eq!(journal.health(), SinkHealth::Full);
    assert_eq!(record(&journal, "still").await, Err(AppendError::Full));
    io.set_capacity_bytes(1 << 30);
    until(|| journal.health() == SinkHealth::Ready).await;
    taken.push(record(&journal, "again").await.unwrap().sequence);
    let read = read_all(&journal).await;
    assert!(read.iter().map(|(sequence, _)| *sequence).eq(taken), "numbers go on without a gap");
}

#[tokio::test]
async fn the_budget_is_kept_and_releasing_makes_room() {
    let io = FaultyIo::new();
    let tight = JournalConfig { max_bytes: 3 * SMALL_SEGMENT_BYTES, ..config(Path::new(FOLDER)) };
    let journal = open_with(&io, tight.clone()).unwrap();
    let mut number = 0;
    while record(&journal, &bulky(number)).await.is_ok() {
        number += 1;
        assert!(journal.stats().bytes <= tight.max_bytes);
    }
    let end = journal.durable_position();
    let io = io.kill();
    drop(journal);
    // A start without space begins full: what is there can be read, and released.
    let journal =
        open_with(&io, JournalConfig { max_bytes: 2 * SMALL_SEGMENT_BYTES, ..tight.clone() }).unwrap();
    assert_eq!(journal.health(), SinkHealth::Full);
    assert_eq!(journal.durable_position(), end);
    assert_eq!(read_all(&journal).await.len(), number);
    journal.release(PARTITION, "judge", end).await;
    journal.release(PARTITION, "archive", end).await;
    until(|| journal.health() == SinkHealth::Ready).await;
    record(&journal, "room again").await.unwrap();
    assert_eq!(read_from(&journal, Some(end)).await.len(), 1);
}

#[tokio::test]
async fn the_reserve_is_left_to_others() {
    let io = FaultyIo::new();
    io.set_capacity_bytes(10 * SMALL_SEGMENT_BYTES);
    let reserving =
        JournalConfig { disk_reserve_bytes: 9 * SMALL_SEGMENT_BYTES + 1, ..config(Path::new(FOLDER)) };
    let journal = open_with(&io, reserving).unwrap();
    assert_eq!(journal.health(), SinkHealth::Full);
    assert_eq!(record(&journal, "no").await, Err(AppendError::Full));
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_client_that_went_away_does_not_take_its_click_back() {
    let io = FaultyIo::new();
    let journal = open(&io).unwrap();
    drop(journal.append(&facts("gone")));
    record(&journal, "waiting").await.unwrap();
    let names: Vec<_> = read_all(&journal).await.into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["gone".into(), "waiting".into()]);
}

/// A small real file system of one's own; gone with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where one may not mount.
    fn mount(kibibytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={kibibytes}k");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        mount.stderr(std::process::Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_real_full_file_system_refuses_and_goes_on_when_there_is_space() {
    // Where mounting is not allowed the disk in memory above is all there is.
    let Some(disk) = SmallDisk::mount(256) else { return };
    let others = disk.0.path().join("others");
    std::fs::write(&others, vec![1; 120 << 10]).unwrap();
    let open = || {
        Journal::open(config(&disk.0.path().join("journal")), Arc::new(SystemClock), Arc::new(RealIo))
            .unwrap()
    };
    let journal = open();
    let mut number = 0;
    while record(&journal, &bulky(number)).await.is_ok() {
        number += 1;
    }
    assert_eq!(journal.health(), SinkHealth::Full);
    assert_eq!(read_all(&journal).await.len(), number);
    std::fs::remove_file(&others).unwrap();
    until(|| journal.health() == SinkHealth::Ready).await;
    record(&journal, &bulky(number)).await.unwrap();
    drop(journal);
    let journal = open();
    assert_eq!(read_all(&journal).await.len(), number + 1);
    assert!(number > 10);
}
