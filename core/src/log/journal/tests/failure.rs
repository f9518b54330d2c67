//! Disks that fail and disks that are full.

use super::*;
use std::sync::atomic::AtomicBool;

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

/// Whether the segment has no room for one more `bulky` click, whose record has `record_bytes`.
fn is_used_up(journal: &Journal, record_bytes: u64) -> bool {
    let newest = journal.0.shared.segments.lock().find(u64::MAX).unwrap().0;
    newest.end_offset + record_bytes + record::CLOSING_BYTES as u64 > newest.file_bytes
}

/// Records clicks until the next one needs a new segment; how many.
async fn use_up_the_segment(journal: &Journal) -> usize {
    let mut before = 0;
    for number in 0.. {
        record(journal, &bulky(number)).await.unwrap();
        let end = journal.0.shared.segments.lock().find(u64::MAX).unwrap().0.end_offset;
        if number > 0 && is_used_up(journal, end - before) {
            return number + 1;
        }
        before = end;
    }
    unreachable!()
}

/// A disk on which files cannot be created, or not be removed, while a switch is on.
fn switched(io: &FaultyIo) -> (HookedIo, [Arc<AtomicBool>; 2]) {
    let switches = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
    let [creating, removing] = switches.clone();
    let hooked = HookedIo::new(io, move |call| match call {
        Call::Create(_) if creating.load(Ordering::SeqCst) => Err(std::io::Error::other("no handle")),
        Call::Remove(_) if removing.load(Ordering::SeqCst) => Err(std::io::Error::other("not now")),
        _ => Ok(()),
    });
    (hooked, switches)
}

#[tokio::test]
async fn a_segment_that_cannot_be_made_poisons_nothing() {
    type Fail = fn(&FaultyIo, &AtomicBool);
    let failures: [Fail; 3] = [
        |_, creating| creating.store(true, Ordering::SeqCst),
        // The write or sync of the header, in a file that is not yet in use.
        |io, _| io.fail_write_after(0, 10),
        |io, _| io.fail_sync_after(0),
    ];
    for fail in failures {
        let io = FaultyIo::new();
        let (hooked, [creating, removing]) = switched(&io);
        let journal =
            Journal::open(config(Path::new(FOLDER)), Arc::new(SystemClock), Arc::new(hooked)).unwrap();
        let taken = use_up_the_segment(&journal).await;
        io.put(&Path::new(FOLDER).join("00000000000000000007.new"), b"left by an earlier failure");
        fail(&io, &creating);
        removing.store(true, Ordering::SeqCst);
        assert_eq!(record(&journal, &bulky(taken)).await, Err(AppendError::Full));
        assert_eq!(journal.health(), SinkHealth::Full);
        creating.store(false, Ordering::SeqCst);
        removing.store(false, Ordering::SeqCst);
        until(|| journal.health() == SinkHealth::Ready).await;
        record(&journal, &bulky(taken)).await.unwrap();
        assert_eq!(read_all(&journal).await.len(), taken + 1);
        assert!(io.paths().iter().all(|path| path.extension().unwrap() == "seg"), "nothing is left over");
    }
}

#[tokio::test]
async fn an_aged_segment_goes_on_while_the_next_cannot_be_made() {
    let io = FaultyIo::new();
    let (hooked, [creating, _]) = switched(&io);
    let aged = JournalConfig { segment_millis: 1, mark_interval_millis: 1, ..config(Path::new(FOLDER)) };
    let journal = Journal::open(aged, Arc::new(SystemClock), Arc::new(hooked)).unwrap();
    creating.store(true, Ordering::SeqCst);
    record(&journal, "first").await.unwrap();
    let records = journal.stats().records;
    until(|| journal.stats().records > records + 20).await;
    record(&journal, "second").await.unwrap();
    assert_eq!((journal.health(), journal.stats().segments), (SinkHealth::Ready, 1));
    creating.store(false, Ordering::SeqCst);
    until(|| journal.stats().segments == 2).await;
    assert_eq!(read_all(&journal).await.len(), 2);
}
