#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn place(cluster_id: &str, partitions: u32) -> LogPlace {
    LogPlace { cluster_id: cluster_id.to_owned(), topic: "clicks.raw".to_owned(), partitions }
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_number_belongs_to_one_log(pool: PgPool) {
    let first = place("one", 24);
    let (a, b) = tokio::join!(enter_epoch(&pool, 1, &first), enter_epoch(&pool, 1, &first));
    let history = a.unwrap();
    assert_eq!(history, b.unwrap(), "all processes are in the same history");
    for other in [place("two", 24), place("one", 12)] {
        let error = enter_epoch(&pool, 1, &other).await.unwrap_err();
        assert!(!error.retryable());
        let text = error.to_string();
        assert!(text.contains(&first.to_string()) && text.contains(&other.to_string()), "{text}");
        assert!(text.ends_with("KAFKA_LOG_EPOCH=2"), "{text}");
    }
    let second = enter_epoch(&pool, 2, &place("two", 48)).await.unwrap();
    assert_ne!(second, history);
    let error = enter_epoch(&pool, 1, &first).await.unwrap_err();
    assert!(matches!(error, EpochError::Over { number: 1, newest: 2 }), "{error}");
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_retired_run_is_heard_of(pool: PgPool) {
    let run = RunId::random();
    assert!(retire(&pool, run).await.unwrap());
    assert!(!retire(&pool, run).await.unwrap(), "once is enough");
    let (mut retired, _task) = watch_retired(pool);
    let heard = retired.wait_for(|runs| runs.contains(&run));
    tokio::time::timeout(Duration::from_secs(30), heard).await.unwrap().unwrap();
}
