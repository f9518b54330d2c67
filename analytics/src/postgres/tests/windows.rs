//! A state that was loaded is the one that folded the log itself, though most rows are left out.

use crate::postgres::testing::TestStore;
use gonggumoa_core::click::testing::{ClickBuilder, PHONE_AGENT, TEST_EPOCH, test_gonggu};
use gonggumoa_core::click::{ClickMethod, JudgedClick, Verdict};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::GongguState;
use gonggumoa_core::judge::rules::{
    BurstLimit, LimitScope, Rules, RulesActivation, RulesHistory, RulesSettings,
};
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::{ClickQueries, ClickStore, JudgedBatch, LoadRequest, PartitionProgress};
use std::sync::Arc;

const PARTITION: PartitionId = PartitionId(0);
const CLICKS: u64 = 900;

fn settings(dedup_window_millis: i64, limits: &[(LimitScope, i64, u32)]) -> RulesSettings {
    RulesSettings {
        dedup_window_millis,
        limits: limits
            .iter()
            .map(|(scope, window_millis, limit)| BurstLimit {
                scope: *scope,
                window_millis: *window_millis,
                limit: *limit,
                member_limit: 3,
            })
            .collect(),
        ..RulesSettings::standard("fingerprint".into())
    }
}

/// Three versions whose windows differ, each from a position on.
async fn history(store: &dyn ClickStore) -> RulesHistory {
    let versions = [
        (1, settings(300_000, &[(LimitScope::Address, 10_000, 4)])),
        (300, settings(40_000, &[(LimitScope::Address, 30_000, 5), (LimitScope::Network, 10_000, 6)])),
        (600, settings(120_000, &[(LimitScope::Network, 20_000, 7)])),
    ];
    let mut rules = Vec::new();
    let mut activations = Vec::new();
    for (from, settings) in versions {
        let stored = store.put_rules(&settings).await.unwrap();
        activations.push(RulesActivation {
            partition: PARTITION,
            from: Position(from),
            version: stored.version,
        });
        rules.push(Arc::new(Rules::compile(&stored).unwrap()));
    }
    RulesHistory::new(rules, activations).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loaded_state_is_the_continuous_one() {
    let Some(subject) = TestStore::open().await else { return };
    let store = &*subject.store;
    let history = history(store).await;
    let window_millis = history.longest_window_millis();
    let mut state = GongguState::new(test_gonggu());
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (random >> 33) % below
    };
    let owner = uuid::Uuid::new_v4();
    store.claim(PARTITION, owner).await.unwrap();
    let (mut stored, mut position, mut now) = (None, 0, 0i64);
    let (mut in_window, mut loaded) = (0, 0);
    while position < CLICKS {
        let mut clicks = Vec::new();
        let mut quarantined = Vec::new();
        for _ in 0..1 + next(25) {
            position += 1;
            now += [0, 1, 700, 1_500, 9_999][next(5) as usize];
            let behind = if next(12) == 0 { next(100_000) as i64 } else { 0 };
            let from = next(4);
            let mut click = ClickBuilder::new(position)
                .at(now - behind)
                .address(format!("10.0.{}.{}", from / 2, from).parse().unwrap())
                .agent(if next(4) == 0 {
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0"
                } else {
                    PHONE_AGENT
                });
            if next(3) == 0 {
                click = click.member_since(next(5), TEST_EPOCH.plus_millis(-90_000_000));
            }
            if next(15) == 0 {
                click = click.with(|click| click.method = ClickMethod::Head);
            }
            let click = click.build();
            for key in state.missing_rollups(&click) {
                state.insert_rollup(key, None);
            }
            let position = Position(position);
            let judgement = if next(40) == 0 {
                quarantined.push(position);
                state.quarantine(position, &click, history.at(position))
            } else {
                state.fold(position, &click, history.at(position))
            };
            clicks.push(JudgedClick { position, click, judgement });
        }
        let run = clicks[0].click.run;
        let to = LogPosition { through: Position(position), run };
        let changes = state.take_changes();
        let batch = JudgedBatch {
            partition: PARTITION,
            owner,
            from: stored,
            to: PartitionProgress { position: to, marks: Vec::new() },
            clicks,
            heads: vec![changes.head],
            rollups: changes.rollups,
            flags: changes.flags,
            quarantined,
        };
        store.store(&batch).await.unwrap();
        stored = Some(to);

        let request = LoadRequest { gonggu_id: test_gonggu(), window_millis, rollups: Vec::new() };
        let snapshot = store.load(&[request]).await.unwrap().remove(0);
        let restored = GongguState::restore(test_gonggu(), &snapshot, &history).unwrap();
        assert_eq!(restored.canonical_bytes(), state.canonical_bytes(), "after {position}");
        let after = snapshot.head.unwrap().last_judged_at.plus_millis(-window_millis);
        let all = store.clicks(test_gonggu(), UnixMillis::MIN, UnixMillis::MAX, None, 10_000).await.unwrap();
        in_window += all.iter().filter(|click| click.judgement.judged_at > after).count();
        loaded += snapshot.clicks.len();
        let needed = |click: &JudgedClick| !matches!(click.judgement.verdict, Verdict::Invalid(_));
        assert!(snapshot.clicks.iter().all(needed));
    }
    assert!(loaded * 2 < in_window, "{loaded} of {in_window} rows are needed");
    subject.close().await;
}
