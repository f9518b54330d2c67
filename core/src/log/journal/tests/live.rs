//! A journal that changes while it is verified.

use super::*;
use parking_lot::Mutex;
use std::path::PathBuf;

fn verify_in(io: &dyn JournalIo) -> VerifyReport {
    verify::verify_with(io, Path::new(FOLDER)).unwrap()
}

/// Does `change` before the read number `at`, from 0.
fn changing_at(io: &FaultyIo, at: usize, change: impl FnOnce(&FaultyIo) + Send + Sync + 'static) -> HookedIo {
    let disk = io.clone();
    let state = Mutex::new((0, Some(change)));
    HookedIo::new(io, move |call| {
        let mut state = state.lock();
        if call == Call::Read {
            if state.0 == at
                && let Some(change) = state.1.take()
            {
                change(&disk);
            }
            state.0 += 1;
        }
        Ok(())
    })
}

/// Changes a file where it stands, as its writer would.
fn overwrite(io: &FaultyIo, path: &Path, contents: &[u8]) {
    let file = io.open(path, true).unwrap();
    file.write_at(contents, 0).unwrap();
    file.set_length(contents.len() as u64).unwrap();
}

async fn record_many(journal: &Journal, count: usize) {
    let pending: Vec<_> = (0..count).map(|number| journal.append(&facts(&bulky(number)))).collect();
    for click in pending {
        click.await.unwrap();
    }
}

#[tokio::test]
async fn a_segment_that_grows_or_is_closed_under_the_walk_is_not_corrupt() {
    let io = FaultyIo::new();
    let settings = JournalConfig { segment_bytes: 4 << 20, ..config(Path::new(FOLDER)) };
    let journal = open_with(&io, settings).unwrap();
    record_many(&journal, 300).await;
    let path = io.paths()[0].clone();
    let mut stages = vec![io.contents(&path).unwrap()];
    for _ in 0..3 {
        record_many(&journal, 700).await;
        stages.push(io.contents(&path).unwrap());
    }
    journal.close().await.unwrap();
    stages.push(io.contents(&path).unwrap());
    for later in &stages[1..] {
        for at in 0..12 {
            let disk = io.copy();
            disk.put(&path, &stages[0]);
            let (path, contents) = (path.clone(), later.clone());
            let report = verify_in(&changing_at(&disk, at, move |disk| overwrite(disk, &path, &contents)));
            assert!(report.problems.is_empty(), "changed before read {at}: {report:?}");
            assert!(report.clicks() >= 300);
            assert_ne!(report.segments[0].state, SegmentState::Torn);
        }
    }
    // Damage that stays is still named.
    let mut damaged = stages[1].clone();
    damaged[100_000] ^= 1;
    io.put(&path, &damaged);
    assert_eq!(verify_in(&io).problems.len(), 1);
}

#[tokio::test]
async fn a_start_under_the_walk_may_shorten_what_was_the_newest() {
    let io = FaultyIo::new();
    let journal = open(&io).unwrap();
    record(&journal, "one").await.unwrap();
    let io = io.kill();
    drop(journal);
    let path = io.paths()[0].clone();
    let started = io.copy();
    let next = open(&started).unwrap();
    until(|| next.stats().records > 0).await;
    let after: Vec<(PathBuf, Vec<u8>)> =
        started.paths().into_iter().map(|path| (path.clone(), started.contents(&path).unwrap())).collect();
    assert_eq!(after.len(), 2);
    assert!(after[0].1.len() < io.contents(&path).unwrap().len(), "the slack was given back");
    for at in 0..6 {
        let (disk, after) = (io.copy(), after.clone());
        let report = verify_in(&changing_at(&disk, at, move |disk| {
            disk.put(&after[1].0, &after[1].1);
            overwrite(disk, &after[0].0, &after[0].1);
        }));
        assert!(report.problems.is_empty(), "changed before read {at}: {report:?}");
        assert_eq!(report.clicks(), 1);
    }
}

#[tokio::test]
async fn segments_deleted_under_the_walk_are_no_error() {
    let io = FaultyIo::new();
    let journal = open(&io).unwrap();
    let mut number = 0;
    while journal.stats().segments < 4 {
        record(&journal, &bulky(number)).await.unwrap();
        number += 1;
    }
    let paths = io.paths();
    for opened in 0..4 {
        for deleted in 1..4 {
            let disk = io.copy();
            let (paths, under, calls) = (paths.clone(), disk.clone(), Mutex::new(0));
            let hooked = HookedIo::new(&disk, move |call| {
                let mut calls = calls.lock();
                if matches!(call, Call::Open(_)) {
                    if *calls == opened {
                        for path in &paths[..deleted] {
                            under.remove(path).unwrap();
                        }
                    }
                    *calls += 1;
                }
                Ok(())
            });
            let report = verify_in(&hooked);
            assert!(report.problems.is_empty(), "{deleted} deleted at {opened}: {report:?}");
            assert!(report.segments.len() >= 4 - deleted);
        }
    }
}

#[tokio::test]
async fn a_name_without_a_file_is_an_error_and_no_endless_walk() {
    let io = FaultyIo::new();
    drop(open(&io).unwrap());
    let hooked = HookedIo::new(&io, |call| match call {
        Call::Open(_) => Err(std::io::ErrorKind::NotFound.into()),
        _ => Ok(()),
    });
    assert!(matches!(verify::verify_with(&hooked, Path::new(FOLDER)), Err(JournalOpenError::Io(_))));
}
