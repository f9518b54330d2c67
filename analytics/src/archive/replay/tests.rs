#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Promise 3 on a real PostgreSQL: what was judged, stored and archived folds again to the same; one
//! changed figure, row or verdict is found and named.

use super::*;
use crate::archive::{ArchiveConfig, local_folder, spawn};
use crate::postgres::codes;
use crate::postgres::testing::TestStore;
use gonggumoa_core::click::Verdict;
use gonggumoa_core::click::testing::{ClickBuilder, PHONE_AGENT, TEST_EPOCH};
use gonggumoa_core::ids::RunId;
use gonggumoa_core::judge::rules::{RulesActivation, RulesSettings};
use gonggumoa_core::judge::totals::{RollupKey, RollupLevel};
use gonggumoa_core::judge::{GongguState, Rules, RulesHistory};
use gonggumoa_core::log::memory::MemoryLog;
use gonggumoa_core::log::{LogEntry, LogPosition};
use gonggumoa_core::store::{JudgedBatch, PartitionProgress, RunMark};
use sqlx::AssertSqlSafe;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

const PARTITION: PartitionId = PartitionId(0);
const CLICKS: u64 = 1_200;
/// Stored, and beyond the end of the archive.
const CLICKS_BEYOND: u64 = 150;
const BATCH: u64 = 100;
/// The first position of the second and of the third rules version; the third is beyond the archive.
const BORDERS: [u64; 2] = [501, CLICKS + 51];
/// The judge is said to have failed here.
const QUARANTINED: [u64; 2] = [350, CLICKS + 60];

fn gonggu(number: u64) -> GongguId {
    GongguId(Uuid::from_u128(0x0193_5000_0000_7000_8000_0000_0000_0100 + u128::from(number)))
}

/// Visitors who come back, crowds on one address, members, crawlers, and clicks that come late.
fn click(number: u64, pause_millis: i64) -> ClickBuilder {
    let at = number as i64 * 1_700 + number as i64 / 400 * pause_millis;
    let click = ClickBuilder::new(number).gonggu(gonggu(number % 5)).at(at).from((number % 7) as u32);
    match number % 11 {
        0 => click.agent("curl/8.5.0"),
        1 => click.member(number % 3),
        2 => click.at(at - 9_000),
        3 => click.referer("https://m.blog.naver.com/post/1"),
        4 => click.with(|click| click.method = gonggumoa_core::click::ClickMethod::Head),
        5..=8 => click.from(100).agent(&format!("{PHONE_AGENT} {number}")),
        _ => click,
    }
}

struct Case {
    subject: TestStore,
    objects: Arc<dyn ObjectStore>,
    log: MemoryLog,
    states: HashMap<GongguId, GongguState>,
    history: RulesHistory,
    stored: Option<LogPosition>,
    /// After every 400 clicks.
    owner: Uuid,
    pause_millis: i64,
    _folder: tempfile::TempDir,
}

impl Case {
    async fn open() -> Option<Self> {
        let subject = TestStore::open().await?;
        let folder = tempfile::tempdir().unwrap();
        let first = RulesSettings::standard("fingerprint".into());
        let mut second = first.clone();
        second.limits[0].limit = 3;
        second.dedup_window_millis = 20_000;
        let third = RulesSettings { late_after_millis: 60_000, ..second.clone() };
        let owner = Uuid::new_v4();
        subject.store.claim(PARTITION, owner).await.unwrap();
        let mut rules = Vec::new();
        for (settings, from) in [(first, 1), (second, BORDERS[0]), (third, BORDERS[1])] {
            let stored = subject.store.put_rules(&settings).await.unwrap();
            let from = Position(from);
            let version = stored.version;
            let activation = RulesActivation { partition: PARTITION, from, version };
            subject.store.activate(owner, activation).await.unwrap();
            rules.push(Arc::new(Rules::compile(&stored).unwrap()));
        }
        let activations = subject.store.activations(PARTITION).await.unwrap();
        Some(Self {
            subject,
            objects: local_folder(folder.path()).unwrap(),
            log: MemoryLog::new(RunId::random()),
            states: HashMap::new(),
            history: RulesHistory::new(rules, activations).unwrap(),
            stored: None,
            owner,
            pause_millis: 2 * HOUR_MILLIS,
            _folder: folder,
        })
    }

    /// Logs and judges the next clicks and stores them as one batch.
    async fn batch(&mut self, numbers: std::ops::RangeInclusive<u64>) {
        let mut clicks = Vec::new();
        let mut quarantined = Vec::new();
        for number in numbers {
            let click = click(number, self.pause_millis).build();
            let position = self.log.push(LogEntry::Click(click.clone()));
            let state =
                self.states.entry(click.gonggu_id).or_insert_with(|| GongguState::new(click.gonggu_id));
            let rules = self.history.at(position);
            let judgement = if QUARANTINED.contains(&position.0) {
                quarantined.push(position);
                state.quarantine(position, &click, rules)
            } else {
                state.fold(position, &click, rules)
            };
            clicks.push(JudgedClick { position, click, judgement });
        }
        let through = clicks.last().unwrap().position;
        let touched: BTreeSet<GongguId> = clicks.iter().map(|judged| judged.click.gonggu_id).collect();
        let run = self.run();
        let position = LogPosition { through, run };
        let mut batch = JudgedBatch {
            partition: PARTITION,
            owner: self.owner,
            from: self.stored,
            to: PartitionProgress { position, marks: vec![RunMark::new(run, TEST_EPOCH)] },
            clicks,
            heads: Vec::new(),
            rollups: Vec::new(),
            flags: Vec::new(),
            quarantined,
        };
        for gonggu_id in touched {
            let changes = self.states.get_mut(&gonggu_id).unwrap().take_changes();
            batch.heads.push(changes.head);
            batch.rollups.extend(changes.rollups);
            batch.flags.extend(changes.flags);
        }
        self.subject.store.store(&batch).await.unwrap();
        self.stored = Some(position);
    }

    fn run(&self) -> RunId {
        click(1, 0).build().run
    }

    /// Archives all that is stored, in several files.
    async fn archive(&self) {
        let config = ArchiveConfig {
            file_bytes_max: 40_000,
            file_age_max: Duration::from_millis(5),
            poll_interval: Duration::from_millis(1),
            entries_max: 64,
        };
        let store = self.subject.store.clone();
        let handle = spawn(config, Arc::new(self.log.clone()), store, self.objects.clone());
        let end = self.stored.unwrap().through;
        let archived = async {
            while handle.through().first().is_none_or(|(_, through)| *through < end) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), archived).await.expect("archived in time");
        handle.stop().await;
    }

    async fn replay(&self) -> ReplayReport {
        replay(self.objects.clone(), &*self.subject.store, PARTITION).await.unwrap()
    }

    /// Runs a statement on one row, expects this to be found and nothing else, and takes it back.
    async fn plant(&self, statement: &str, back: &str, expected: &[Compared]) {
        let pool = self.subject.store.pool();
        let run = async |sql: &str| {
            let sql = sql.replace("GONGGU", &format!("'{}'", gonggu(1)));
            for sql in sql.split(';') {
                sqlx::query(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap().rows_affected();
            }
        };
        run(statement).await;
        let report = self.replay().await;
        run(back).await;
        let mut found: Vec<Compared> = report.named.iter().map(|difference| difference.of).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{statement}: {:?}", report.named);
        assert_eq!(report.differences, expected.len() as u64);
        assert!(!report.is_identical());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_differs_by_nothing_and_finds_a_planted_one() {
    let Some(mut case) = Case::open().await else { return };
    for first in (1..=CLICKS).step_by(BATCH as usize) {
        case.batch(first..=first + BATCH - 1).await;
    }
    case.archive().await;
    assert!(crate::archive::files(&*case.objects, PARTITION).await.unwrap().len() >= 3);
    let report = case.replay().await;
    assert!(report.is_identical(), "{:?}", report.named);
    assert_eq!((report.clicks, report.clicks_beyond, report.gonggus), (CLICKS, 0, 5));
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM click_rollups_all")
        .fetch_one(case.subject.store.pool())
        .await
        .unwrap();
    assert_eq!(report.rollups, rows as u64, "all of them");

    let mixed: i64 = sqlx::query_scalar("SELECT count(DISTINCT (verdict, reason)) FROM click_trackings")
        .fetch_one(case.subject.store.pool())
        .await
        .unwrap();
    assert_eq!(mixed, 6, "billable, duplicate, held for two reasons, invalid for two");

    // The store runs ahead of the archive, over another change of rules and another quarantined click.
    case.batch(CLICKS + 1..=CLICKS + CLICKS_BEYOND).await;
    let report = case.replay().await;
    assert!(report.is_identical(), "{:?}", report.named);
    assert_eq!((report.clicks, report.clicks_beyond), (CLICKS, CLICKS_BEYOND));
    assert_eq!(report.through, Some(Position(CLICKS)));

    plants(&case).await;
    assert!(case.replay().await.is_identical(), "all is as before");
    case.subject.close().await;
}

/// Where a row stands is all the same; in the table it is easier to plant something in.
async fn rows_in_their_table(case: &Case) {
    sqlx::raw_sql(
        "CREATE TABLE all_rollups AS SELECT * FROM click_rollups_all; TRUNCATE click_rollups;
         INSERT INTO click_rollups SELECT * FROM all_rollups; DROP TABLE all_rollups;
         UPDATE click_heads SET open = ''",
    )
    .execute(case.subject.store.pool())
    .await
    .unwrap();
}

async fn plants(case: &Case) {
    rows_in_their_table(case).await;
    let gonggu_id = gonggu(1);
    let day = RollupKey::of(gonggu_id, RollupLevel::Day, TEST_EPOCH);
    for change in [
        "counts[1] = counts[1] + 1|counts[1] = counts[1] - 1",
        "counts[2] = counts[2] - 1|counts[2] = counts[2] + 1",
        "devices[1] = devices[1] + 1|devices[1] = devices[1] - 1",
    ] {
        let (plus, minus) = change.split_once('|').unwrap();
        let update =
            |set: &str| format!("UPDATE click_rollups SET {set} WHERE gonggu_id = GONGGU AND level = 3");
        case.plant(&update(plus), &update(minus), &[Compared::Rollup(day)]).await;
    }
    let head =
        |sign| format!("UPDATE click_heads SET counts[1] = counts[1] {sign} 1 WHERE gonggu_id = GONGGU");
    case.plant(&head('+'), &head('-'), &[Compared::Head { gonggu_id }]).await;
    let beyond_day = RollupKey { at: day.at.plus_millis(-gonggumoa_core::kst::DAY_MILLIS * 400), ..day };
    case.plant(
        "INSERT INTO click_rollups SELECT gonggu_id, level, at - interval '400 days', counts, visitors, \
         referrers, devices FROM click_rollups WHERE gonggu_id = GONGGU AND level = 3",
        "DELETE FROM click_rollups WHERE gonggu_id = GONGGU AND at < '2026-01-01'",
        &[Compared::Rollup(beyond_day)],
    )
    .await;

    let position = |position| Compared::Click { gonggu_id, position: Position(position) };
    case.plant(
        "CREATE TABLE aside AS SELECT * FROM click_trackings WHERE position = 606;
         DELETE FROM click_trackings WHERE position = 606",
        "INSERT INTO click_trackings SELECT * FROM aside; DROP TABLE aside",
        &[position(606)],
    )
    .await;
    // One in the archive, one beyond it.
    for range in [format!("position <= {CLICKS}"), format!("position > {CLICKS}")] {
        let billable: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT max(position) FROM click_trackings WHERE gonggu_id = '{gonggu_id}' AND verdict = {} AND {range}",
            codes::verdict_codes(Verdict::Billable).0
        )))
        .fetch_one(case.subject.store.pool())
        .await
        .unwrap();
        let set = |verdict| {
            let code = codes::verdict_codes(verdict).0;
            format!("UPDATE click_trackings SET verdict = {code} WHERE position = {billable}")
        };
        let (changed, back) = (set(Verdict::Duplicate), set(Verdict::Billable));
        case.plant(&changed, &back, &[position(billable as u64)]).await;
    }
    case.plant(
        "INSERT INTO click_trackings SELECT (t).* FROM (SELECT jsonb_populate_record(c, jsonb_build_object(
             'id', 'ffffffff-ffff-4fff-bfff-ffffffffffff')) AS t FROM click_trackings c WHERE position = 711) twice",
        "DELETE FROM click_trackings c USING click_trackings d
         WHERE c.position = 711 AND d.position = 711 AND c.id > d.id",
        &[position(711)],
    )
    .await;
}

/// In month 14: the first files are gone, and with them what led to the first verdicts that are left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_without_its_beginning_is_a_proof_from_its_third_day_on() {
    let Some(mut case) = Case::open().await else { return };
    case.pause_millis = 50 * HOUR_MILLIS;
    for first in (1..=CLICKS).step_by(BATCH as usize) {
        case.batch(first..=first + BATCH - 1).await;
    }
    case.archive().await;
    let files = crate::archive::files(&*case.objects, PARTITION).await.unwrap();
    for file in &files[..2] {
        object_store::ObjectStoreExt::delete(&*case.objects, &file.as_str().into()).await.unwrap();
    }
    let report = case.replay().await;
    assert!(report.is_identical(), "{:?}", report.named);
    let beginning = report.beginning.unwrap();
    assert!(report.clicks < CLICKS && report.believed > 0, "{report:?}");
    assert!(report.clicks - report.believed >= 300, "{report:?}");

    case.batch(CLICKS + 1..=CLICKS + CLICKS_BEYOND).await;
    let report = case.replay().await;
    assert!(report.is_identical() && report.clicks_beyond == CLICKS_BEYOND, "{:?}", report.named);

    // The store's clicks of that time went as well; rows and heads stay.
    let pool = case.subject.store.pool();
    let delete = format!("DELETE FROM click_trackings WHERE position < {}", beginning.position.0);
    sqlx::query(AssertSqlSafe(delete)).execute(pool).await.unwrap();
    let report = case.replay().await;
    assert!(report.is_identical(), "{:?}", report.named);
    plants_without_beginning(&case, &beginning).await;
    assert!(case.replay().await.is_identical(), "all is as before");
    case.subject.close().await;
}

async fn plants_without_beginning(case: &Case, beginning: &Beginning) {
    rows_in_their_table(case).await;
    let gonggu_id = gonggu(1);
    let head = Compared::Head { gonggu_id };
    let change =
        |sign| format!("UPDATE click_heads SET counts[1] = counts[1] {sign} 1 WHERE gonggu_id = GONGGU");
    case.plant(&change('+'), &change('-'), &[head]).await;
    // Of a day before nothing is left but its row and the head.
    let row = |which: &str, sign| {
        format!(
            "UPDATE click_rollups SET counts[1] = counts[1] {sign} 1 WHERE gonggu_id = GONGGU AND level = 3 \
             AND at = (SELECT {which}(at) FROM click_rollups WHERE gonggu_id = GONGGU AND level = 3)"
        )
    };
    case.plant(&row("min", '+'), &row("min", '-'), &[head]).await;
    let last = click(CLICKS + CLICKS_BEYOND - 4, case.pause_millis).build();
    let day = RollupKey::of(gonggu_id, RollupLevel::Day, last.clicked_at);
    case.plant(&row("max", '+'), &row("max", '-'), &[Compared::Rollup(day)]).await;

    // Gone: one whose verdict was taken over, one that was judged anew.
    let pool = case.subject.store.pool();
    for (order, position) in [("min", beginning.position.0), ("max", CLICKS)] {
        let range = if order == "min" { ">=" } else { "<=" };
        // an invalid one: no other click depends on it
        let found: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT {order}(position) FROM click_trackings WHERE gonggu_id = '{gonggu_id}' \
             AND position {range} {position} AND verdict = {}",
            codes::verdict_codes(Verdict::Invalid(gonggumoa_core::click::InvalidReason::Head)).0
        )))
        .fetch_one(pool)
        .await
        .unwrap();
        case.plant(
            &format!(
                "CREATE TABLE aside AS SELECT * FROM click_trackings WHERE position = {found};
                 DELETE FROM click_trackings WHERE position = {found}"
            ),
            "INSERT INTO click_trackings SELECT * FROM aside; DROP TABLE aside",
            &[Compared::Click { gonggu_id, position: Position(found as u64) }],
        )
        .await;
    }
    let billable = codes::verdict_codes(Verdict::Billable).0;
    let duplicate = codes::verdict_codes(Verdict::Duplicate).0;
    let judged: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT max(position) FROM click_trackings WHERE gonggu_id = '{gonggu_id}' AND verdict = {billable} \
         AND position <= {CLICKS}"
    )))
    .fetch_one(pool)
    .await
    .unwrap();
    let set = |verdict| format!("UPDATE click_trackings SET verdict = {verdict} WHERE position = {judged}");
    let position = Position(judged as u64);
    case.plant(&set(duplicate), &set(billable), &[Compared::Click { gonggu_id, position }]).await;
}
