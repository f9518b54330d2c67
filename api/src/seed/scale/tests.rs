#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::secrets::SecretsFolder;
use crate::seed;
use indicatif::ProgressBar;
use std::cell::RefCell;

const SIZES: ScaleSizes = ScaleSizes {
    buyers: 400,
    influencers: 100,
    gonggus: 600,
    subscriptions: 2_000,
    bookmarks: 3_000,
    reviews: 800,
};

async fn accounts(pool: &PgPool) -> Vec<DemoAccount> {
    let folder = tempfile::tempdir().unwrap();
    let secrets = SecretsFolder::open(folder.path()).unwrap();
    seed::sow(pool, &secrets, &ProgressBar::hidden()).await.unwrap().accounts
}

async fn numbers_of(pool: &PgPool) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT 'users', count(*) FROM users WHERE id::text LIKE 'dec0de00%'
         UNION ALL SELECT 'passwords', count(*) FROM users WHERE id::text LIKE 'dec0de00%' AND password_hash IS NOT NULL
         UNION ALL SELECT 'gonggus', count(*) FROM gonggus WHERE id::text LIKE 'dec0de00%'
         UNION ALL SELECT 'subscriptions', count(*) FROM subscriptions
         UNION ALL SELECT 'bookmarks', count(*) FROM bookmarks
         UNION ALL SELECT 'reviews', count(*) FROM reviews
         UNION ALL SELECT 'wrong counts', count(*) FROM influencer_profiles p WHERE subscriber_count
             <> (SELECT count(*) FROM subscriptions s WHERE s.influencer_id = p.user_id)
         UNION ALL SELECT 'first reviews', count(*) FROM reviews WHERE gonggu_id = $1
         UNION ALL SELECT 'open of a hundred', count(*) * 100 / 600 FROM gonggus
             WHERE id::text LIKE 'dec0de00%' AND gonggu_status_at(open_at, close_at, closed_at, now()) = 'active'",
    )
    .bind(Uuid::try_parse("dec0de00-0003-8000-8000-000000000000").unwrap())
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn every_size_is_met_and_sowing_again_adds_nothing(pool: PgPool) {
    let accounts = accounts(&pool).await;
    let steps = RefCell::new(Vec::new());
    let tell = |step: &ScaleStep| steps.borrow_mut().push((step.done, step.added));
    let added = sow(&pool, SIZES, &accounts, &tell).await.unwrap();
    assert_eq!((added, steps.borrow().last().copied()), (SIZES.rows(), Some((SIZES.rows(), SIZES.rows()))));
    let expected = [
        ("users", 500),
        ("passwords", 0),
        ("gonggus", 600),
        ("subscriptions", 2_000),
        ("bookmarks", 3_000),
        ("reviews", 800),
        ("wrong counts", 0),
        ("first reviews", 200),
        ("open of a hundred", 20),
    ];
    assert_eq!(numbers_of(&pool).await, expected.map(|(name, count)| (name.to_owned(), count)));
    assert_eq!(sow(&pool, SIZES, &accounts, &tell).await.unwrap(), 0);
    assert_eq!(steps.borrow().last(), Some(&(SIZES.rows(), 0)));
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn what_a_stop_left_out_is_made_by_the_next_run(pool: PgPool) {
    let accounts = accounts(&pool).await;
    // Stopped in the middle: the future is dropped while the gonggus are made, as Ctrl-C does it.
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sender = RefCell::new(Some(sender));
    let stop = |step: &ScaleStep| {
        if step.kind == "공구"
            && let Some(sender) = sender.borrow_mut().take()
        {
            sender.send(()).unwrap();
        }
    };
    tokio::select! {
        biased;
        told = receiver => told.unwrap(),
        ended = sow(&pool, SIZES, &accounts, &stop) => panic!("not stopped: {ended:?}"),
    }
    let added = sow(&pool, SIZES, &accounts, &|_| {}).await.unwrap();
    assert!(added > 0 && added < SIZES.rows(), "{added}");
    let after = numbers_of(&pool).await;
    for whole in [("gonggus", 600), ("subscriptions", 2_000), ("reviews", 800), ("wrong counts", 0)] {
        assert!(after.contains(&(whole.0.to_owned(), whole.1)), "{whole:?} of {after:?}");
    }
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn too_few_people_are_named_before_anything_is_made(pool: PgPool) {
    let error = sow(&pool, ScaleSizes { buyers: 20, ..SIZES }, &[], &|_| {}).await.unwrap_err();
    assert!(matches!(error, SeedError::Sizes { buyers_min: 100.. }) && !error.retryable(), "{error}");
    let people: i64 = sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&pool).await.unwrap();
    assert_eq!(people, 0);
}
