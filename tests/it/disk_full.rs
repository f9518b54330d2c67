//! A full disk: buyers are redirected all the same, nobody is told that a click was recorded that was
//! not, and room is used as soon as there is some.
//!
//! The journal's folder is a small tmpfs, so this needs the right to mount; without it the test says
//! so. With `CI=true` and as root a mount that fails is a failure.

use crate::harness::ledger::{balance, journal_verifies};
use crate::harness::{Api, Deployment, LONG, Load, LoadPlan, SHORT, Visitor, eventually};
use reqwest::{Client, StatusCode};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;

struct Mount(PathBuf);

impl Mount {
    fn at(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=320m", "tmpfs"]).arg(folder).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self(folder.to_owned())),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // lazily: the process on it may not be gone yet when the test fails
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// Takes all the room that is left.
fn fill(file: &Path) {
    let mut ballast = File::create(file).unwrap();
    let mut block = vec![b'x'; 1 << 20];
    while !block.is_empty() {
        if ballast.write_all(&block).is_err() {
            block.truncate(block.len() / 2);
        }
    }
}

/// Makes clicks of 5 KB, so that a segment is full after some thousands.
fn padding() -> String {
    "가".repeat(850)
}

/// A segment is named by its first sequence.
fn oldest_sequence(journal: &Path) -> i64 {
    let names = std::fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.to_str()?.strip_suffix(".seg")?.parse().ok()).min().expect("a segment")
}

async fn unrecorded_metric(deployment: &Deployment) -> f64 {
    let text = Client::new().get(deployment.metrics_url()).send().await.unwrap().text().await.unwrap();
    text.lines()
        .filter(|line| line.starts_with("clicks_unrecorded_total"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_redirects_without_recording_and_recovers() {
    let mut deployment = Deployment::new();
    std::fs::create_dir(deployment.data_dir()).unwrap();
    let _mount = match Mount::at(&deployment.data_dir().join("journal")) {
        Ok(mount) => mount,
        Err(reason) => {
            let must =
                std::env::var("CI").is_ok_and(|ci| ci == "true") && rustix::process::getuid().is_root();
            assert!(!must, "CI as root must be able to mount a tmpfs: {reason}");
            eprintln!("skipped: no tmpfs could be mounted: {reason}");
            return;
        }
    };
    deployment
        .set("DISK_RESERVE_BYTES", "0")
        .set("FRAUD_IP_LIMIT", "1000000")
        .set("FRAUD_IP_MEMBER_LIMIT", "1000000");
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggus = admin.open_gonggus(3).await;
    let ballast = deployment.data_dir().join("journal").join("ballast");
    fill(&ballast);

    let plan = LoadPlan { padding: padding(), ..LoadPlan::new(deployment.address(), &gonggus) };
    let load = Load::start(&plan);
    eventually("the segments in hand are full", 3 * LONG, async || {
        let unrecorded = load.tally.unrecorded.load(Ordering::Relaxed);
        if unrecorded > 50 { Ok(()) } else { Err(format!("{} recorded", load.tally.given_count())) }
    })
    .await;

    let visitor = Visitor::new();
    let go = visitor.go(&admin, gonggus[0]).await;
    assert_eq!(go.status, StatusCode::FOUND);
    assert!(
        go.header("location").is_some() && go.click_id().is_none(),
        "redirected, and no id for what is not kept"
    );
    let post = visitor.post(&admin, gonggus[0]).await;
    assert_eq!(post.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(post.header("retry-after").is_some());
    eventually("readiness says why", SHORT, async || {
        let (status, ready) = admin.get("/health/ready").await;
        let text = ready.to_string();
        let says_why = text.contains("journal") && text.contains("full");
        if status == StatusCode::SERVICE_UNAVAILABLE && says_why { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(admin.get("/health/live").await.0, StatusCode::OK);
    assert!(unrecorded_metric(&deployment).await >= 50.0);

    std::fs::remove_file(&ballast).unwrap();
    load.more_given(500).await;
    let tally = load.stop().await;
    deployment.ready().await;
    let unrecorded = tally.unrecorded.load(Ordering::Relaxed) as f64;
    assert!(unrecorded_metric(&deployment).await >= unrecorded + 1.0, "all of them are counted");
    let only = [503];
    assert!(tally.strange().keys().all(|status| only.contains(status)), "{:?}", tally.strange());
    let rows =
        balance(&deployment, &admin, &gonggus, &tally.given(), tally.sent.load(Ordering::Relaxed)).await;
    deployment.stop().await;
    // a full segment of these large clicks is enough for an archive file, after which it may go
    let oldest = oldest_sequence(&deployment.data_dir().join("journal"));
    let kept = rows.iter().filter(|row| row.sequence >= oldest).count();
    assert_eq!(journal_verifies(&deployment).await, kept as u64);
}
