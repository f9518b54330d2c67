//! Data folders that were copied: a clone never repeats an identity, a journal older than the store is
//! refused, a damaged one too.

use crate::harness::deployment::{copy_folder, said};
use crate::harness::ledger::{StoredClick, journal_verifies, stored_clicks};
use crate::harness::{Api, Deployment, Gonggu, LONG, Visitor, eventually};
use chrono::{TimeDelta, Utc};
use sqlx::Row;
use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use uuid::Uuid;

async fn click(deployment: &Deployment, gonggu: Gonggu, count: usize) -> Vec<StoredClick> {
    let admin = Api::new(deployment).admin().await;
    let before = admin.stats(gonggu).await.totals.gross;
    for _ in 0..count {
        Visitor::new().go(&admin, gonggu).await.redirected();
    }
    admin.settled(gonggu, before + count as u64).await;
    let mut database = deployment.database().await;
    stored_clicks(&mut database, &[gonggu]).await
}

#[tokio::test]
async fn a_cloned_folder_never_gives_two_clicks_one_identity() {
    let mut original = Deployment::new();
    original.start().await;
    let gonggu = Api::new(&original).admin().await.open_gonggu().await;
    let common = click(&original, gonggu, 3).await;
    original.stop().await;
    let mut clone = original.cloned();
    original.start().await;
    clone.start().await;
    let mine = click(&original, gonggu, 4).await;
    let theirs = click(&clone, gonggu, 4).await;
    assert_eq!((mine.len(), theirs.len()), (7, 7));
    let identities: HashSet<(Uuid, i64)> =
        mine.iter().chain(&theirs).map(|row| (row.run, row.sequence)).collect();
    assert_eq!(identities.len(), common.len() + 4 + 4);
    original.stop().await;
    clone.stop().await;
    journal_verifies(&clone).await;
}

/// A run's two spellings: as the store shows it, and without hyphens.
fn names_run(text: &str, run: Uuid) -> bool {
    text.contains(&run.to_string()) || text.contains(&run.simple().to_string())
}

#[tokio::test]
async fn a_journal_older_than_the_store_is_refused() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let gonggu = Api::new(&deployment).admin().await.open_gonggu().await;
    let old_run = click(&deployment, gonggu, 3).await.last().unwrap().run;
    deployment.stop().await;
    let journal = deployment.data_dir().join("journal");
    let backup = deployment.scratch("journal-backup");
    copy_folder(&journal, &backup);

    deployment.start().await;
    click(&deployment, gonggu, 3).await;
    let mut database = deployment.database().await;
    let row =
        sqlx::query("SELECT run, position FROM click_partitions").fetch_one(&mut database).await.unwrap();
    let (stored_run, stored_position): (Uuid, i64) = (row.get(0), row.get(1));
    drop(database);
    deployment.stop().await;

    let newer = deployment.scratch("journal-newer");
    fs::rename(&journal, &newer).unwrap();
    copy_folder(&backup, &journal);
    let reason = deployment.refusal().await;
    assert!(names_run(&reason, stored_run), "the store's run {stored_run} is not named:\n{reason}");
    assert!(names_run(&reason, old_run), "the journal's last run {old_run} is not named:\n{reason}");
    // the stop moved it on a little after it was looked at
    let names_position = reason.split("position ").skip(1).any(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().is_ok_and(|position: i64| position >= stored_position)
    });
    assert!(names_position, "no position from {stored_position} on is named:\n{reason}");

    // and with its own journal it goes on as if nothing had been
    fs::remove_dir_all(&journal).unwrap();
    fs::rename(&newer, &journal).unwrap();
    deployment.start().await;
    assert_eq!(click(&deployment, gonggu, 1).await.len(), 7);
    deployment.stop().await;
}

/// The segments that hold these bytes, and where.
fn segment_with(deployment: &Deployment, wanted: &[u8]) -> Option<(PathBuf, usize)> {
    fs::read_dir(deployment.data_dir().join("journal")).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).ok()?;
        let offset = bytes.windows(wanted.len()).position(|window| window == wanted)?;
        Some((path, offset))
    })
}

#[tokio::test]
async fn a_flipped_bit_in_what_was_acknowledged_is_refused_by_name() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    click(&deployment, gonggu, 3).await;
    // later groups vouch for what is before them: the marks of each second are such groups
    let made = Utc::now();
    eventually("two marks after the clicks", LONG, async || {
        match admin.stats(gonggu).await.complete_through {
            Some(through) if through > made + TimeDelta::seconds(2) => Ok(()),
            through => Err(format!("{through:?}")),
        }
    })
    .await;
    deployment.kill();
    let (path, offset) = segment_with(&deployment, gonggu.0.as_bytes()).expect("a segment holds the clicks");
    let mut bytes = fs::read(&path).unwrap();
    bytes[offset] ^= 0x10;
    fs::write(&path, &bytes).unwrap();

    let segment = path.file_name().unwrap().to_string_lossy().into_owned();
    let output = deployment.run(&["journal", "verify"]).await;
    let report = said(&output);
    assert!(!output.status.success(), "verify finds nothing wrong:\n{report}");
    assert!(report.contains(&segment), "verify does not name {segment}:\n{report}");
    let reason = deployment.refusal().await;
    assert!(reason.contains(&segment) && reason.contains("offset"), "{segment} is not named:\n{reason}");

    // mended, it goes on
    bytes[offset] ^= 0x10;
    fs::write(&path, &bytes).unwrap();
    deployment.start().await;
    assert_eq!(click(&deployment, gonggu, 1).await.len(), 4);
    deployment.stop().await;
}
