#![allow(clippy::unwrap_used, clippy::expect_used)]
//! A row stands in exactly one place, and comes back from it as it was.

use super::*;
use crate::postgres::testing::TestStore;
use gonggumoa_core::ids::Position;
use gonggumoa_core::judge::totals::{GongguHead, VisitorSketch};
use gonggumoa_core::kst::{DAY_MILLIS, HOUR_MILLIS, MINUTE_MILLIS};
use gonggumoa_core::store::conformance::fixture::{self, START, Writer};
use gonggumoa_core::store::{ClickQueries, ClickStore, LoadRequest};
use std::collections::BTreeMap;

fn row(gonggu_id: GongguId, level: RollupLevel, at: UnixMillis, clicks: u64, visitors: u64) -> Rollup {
    let mut row = empty(RollupKey { gonggu_id, level, at });
    row.counts = Counts::from_array([clicks, 2, 0, u64::MAX >> 1, 300, 0, 0, 0, 1 << 40]);
    row.devices = [clicks, 0, 128, 127];
    for visitor in 0..visitors {
        row.visitors.insert((visitor + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
    row
}

#[test]
fn packed_rows_come_back() {
    let gonggu_id = fixture::gonggu();
    let times = [UnixMillis(-62_135_596_800_000), UnixMillis::MAX, START];
    for (level, at) in RollupLevel::ALL.into_iter().zip(times) {
        let mut one = row(gonggu_id, level, at, 7, 3);
        one.referrers = BTreeMap::from([("".into(), 1), ("예시.kr".into(), 900)]);
        let rows = OpenRows::default().place(&[&one]).open;
        let packed = rows.pack();
        assert_eq!(OpenRows::unpack(gonggu_id, &packed).unwrap(), rows);
        for cut in 1..packed.len() {
            assert!(OpenRows::unpack(gonggu_id, &packed[..cut]).is_err(), "cut at {cut}");
        }
    }
    let empty = OpenRows::unpack(gonggu_id, &[]).unwrap();
    assert_eq!((empty.starts(), empty.pack()), ([None; 3], Vec::new()));
    assert!(OpenRows::unpack(gonggu_id, &[0xff; 40]).is_err());
}

#[test]
fn one_visitor_is_few_bytes() {
    let gonggu_id = fixture::gonggu();
    let mut rows = RollupLevel::ALL.map(|level| row(gonggu_id, level, START, 1, 1));
    for row in &mut rows {
        row.counts = Counts { billable: 1, ..Counts::default() };
        row.devices = [1, 0, 0, 0];
        row.referrers = BTreeMap::from([("instagram.com".into(), 1)]);
    }
    let packed = OpenRows::default().place(&rows.each_ref()).open.pack();
    assert!(packed.len() <= 150, "{}", packed.len());
}

#[test]
fn the_newest_small_row_of_a_level_is_open() {
    let gonggu_id = fixture::gonggu();
    let minute = |number: i64, visitors| {
        row(gonggu_id, RollupLevel::Minute, START.plus_millis(number * MINUTE_MILLIS), 1, visitors)
    };
    let (first, second, third) = (minute(1, 1), minute(2, 1), minute(3, 1));
    let placed = OpenRows::default().place(&[&first, &second]);
    assert_eq!(placed.open.starts(), [Some(second.key.at), None, None]);
    assert_eq!((placed.table.len(), &*placed.table[0]), (1, &first));
    assert_eq!(placed.opened, vec![second.key]);

    // The open one again: only it changes. Older ones go past it. A newer one closes it.
    let open = placed.open.clone();
    assert!(!OpenRows::unmoved(&open.starts(), &[&second]), "other levels are not open");
    let placed = open.clone().place(&[&second]);
    assert!(placed.table.is_empty() && placed.opened.is_empty());
    let placed = open.clone().place(&[&first]);
    assert_eq!((placed.open.starts()[0], placed.table.len()), (Some(second.key.at), 1));
    let placed = open.clone().place(&[&third]);
    assert_eq!((placed.open.starts()[0], &*placed.table[0]), (Some(third.key.at), &second));
    // No row of a level leaves what is open.
    assert_eq!(open.clone().place(&[]).open, open);

    // One that has grown leaves; a large one never comes.
    let grown = minute(2, 250);
    let placed = open.clone().place(&[&grown]);
    assert_eq!((placed.open.starts()[0], &*placed.table[0]), (None, &grown));
    let large = minute(4, 250);
    let placed = open.place(&[&large]);
    let table: Vec<&Rollup> = placed.table.iter().map(|row| &**row).collect();
    assert_eq!((placed.open.starts()[0], table), (None, vec![&large, &second]));
}

fn head(gonggu_id: GongguId, position: Position) -> GongguHead {
    GongguHead {
        gonggu_id,
        counts: Counts::default(),
        visitors: VisitorSketch::default(),
        last_judged_at: START,
        last_clicked_at: START,
        applied_through: position,
    }
}

/// Random batches, some of them twice, over stores that forget: what is read is what was written last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_in_one_place() {
    let Some(subject) = TestStore::open().await else { return };
    let gonggus = [fixture::gonggu(), fixture::gonggu(), fixture::gonggu()];
    let mut writer = Writer::claim(&*subject.store, 0).await;
    let mut written: BTreeMap<RollupKey, Rollup> = BTreeMap::new();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (random >> 33) % below
    };
    for step in 0..150u64 {
        let clicks = writer.clicks(&[fixture::gonggu()], 1);
        let mut batch = writer.batch(clicks);
        let position = batch.to.position.through;
        batch.clicks.clear();
        let touched: Vec<GongguId> = gonggus.into_iter().filter(|_| next(3) > 0).collect();
        batch.heads = touched.iter().map(|id| head(*id, position)).collect();
        batch.rollups.clear();
        let mut rows: BTreeMap<RollupKey, Rollup> = BTreeMap::new();
        for gonggu_id in touched {
            for _ in 0..1 + next(4) {
                // Mostly the newest times, sometimes late ones; now and then a level is left out.
                let at = START.plus_millis((step.saturating_sub(next(3) * next(20)) * 40_000) as i64);
                for level in RollupLevel::ALL {
                    let key = RollupKey::of(gonggu_id, level, at);
                    let visitors = if next(12) == 0 { 200 } else { next(6) };
                    let before = written.get(&key).map_or(0, |row| row.counts.billable);
                    let row = row(gonggu_id, level, key.at, before + 1, visitors);
                    if next(10) > 0 {
                        rows.insert(key, row);
                    }
                }
            }
        }
        batch.rollups = rows.values().cloned().collect();
        subject.store.store(&batch).await.unwrap();
        written.extend(rows);
        if next(5) == 0 {
            subject.store.store(&batch).await.unwrap();
        }
        if next(4) == 0 {
            // Another process, or a restart.
            subject.store.known_open.lock().clear();
        }
    }
    assert_read(&subject, &gonggus, &written).await;
    assert_eq!(count(&subject, "SELECT count(*) FROM click_rollups_all").await as usize, written.len());
    assert!(count(&subject, "SELECT count(*) FROM click_rollups").await > 50);

    // The way back puts all of them into the table.
    let all = digest(&subject, "click_rollups_all").await;
    let down = include_str!("../../../../migrations/postgres/20261123000004_open_rollups.down.sql");
    sqlx::raw_sql(down).execute(subject.store.pool()).await.unwrap();
    assert_eq!(digest(&subject, "click_rollups").await, all);
    subject.close().await;
}

/// What is asked for and what is loaded are what was written.
async fn assert_read(subject: &TestStore, gonggus: &[GongguId], written: &BTreeMap<RollupKey, Rollup>) {
    for gonggu_id in gonggus {
        let of = |level| {
            written.values().filter(move |row| row.key.gonggu_id == *gonggu_id && row.key.level == level)
        };
        for level in RollupLevel::ALL {
            let found =
                subject.store.rollups(*gonggu_id, level, UnixMillis::MIN, UnixMillis::MAX).await.unwrap();
            assert_eq!(found, of(level).cloned().collect::<Vec<_>>());
            // A range that begins and ends inside.
            let (from, to) =
                (START.plus_millis(HOUR_MILLIS), START.plus_millis(DAY_MILLIS / 24 + 40 * MINUTE_MILLIS));
            let found = subject.store.rollups(*gonggu_id, level, from, to).await.unwrap();
            let inside = of(level).filter(|row| from <= row.key.at && row.key.at < to);
            assert_eq!(found, inside.cloned().collect::<Vec<_>>());
        }
        let rollups = written.keys().filter(|key| key.gonggu_id == *gonggu_id).copied().collect();
        let request = LoadRequest { gonggu_id: *gonggu_id, window_millis: 1, rollups };
        let snapshot = subject.store.load(&[request]).await.unwrap().remove(0);
        let all = written.values().filter(|row| row.key.gonggu_id == *gonggu_id);
        assert_eq!(snapshot.rollups, all.cloned().collect::<Vec<_>>());
    }
}

async fn count(subject: &TestStore, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(subject.store.pool()).await.unwrap()
}

async fn digest(subject: &TestStore, table: &str) -> String {
    let query = format!(
        "SELECT md5(string_agg(r::text, '|' ORDER BY gonggu_id, level, at))
         FROM (SELECT gonggu_id, level, at, counts, visitors, referrers, devices FROM {table}) r"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(subject.store.pool()).await.unwrap()
}
