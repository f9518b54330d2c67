#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The outbox on PostgreSQL, with a folder as the way out.

use super::*;
use sqlx::PgPool;
use std::path::Path;
use std::time::{Duration, Instant};

fn mail(to: &str, subject: &str) -> Mail {
    Mail { to: to.to_owned(), subject: subject.to_owned(), text: "안녕하세요\n".to_owned(), html: None }
}

fn settings(transport: Transport) -> MailSettings {
    let from = sender_mailbox("공구모아 <no-reply@gonggumoa.example>").unwrap();
    MailSettings { transport, from, retention_days: 7 }
}

async fn queued(pool: &PgPool, mail: &Mail) -> Uuid {
    queue(&mut pool.acquire().await.unwrap(), mail).await.unwrap()
}

async fn until(pool: &PgPool, condition: &'static str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !sqlx::query_scalar::<_, bool>(condition).fetch_one(pool).await.unwrap() {
        assert!(Instant::now() < deadline, "never: {condition}");
        tokio::task::yield_now().await;
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect()
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_mail_goes_out_exactly_if_its_transaction_commits(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let handle = spawn(settings(Transport::Folder(folder.path().join("mails"))), pool.clone());
    let mut undone = pool.begin().await.unwrap();
    queue(&mut undone, &mail("undone@b.example", "없던 일")).await.unwrap();
    undone.rollback().await.unwrap();
    let mut whole = mail("a@b.example", "한국어 제목");
    whole.html = Some("<p>안녕하세요</p>".to_owned());
    let id = queued(&pool, &whole).await;
    until(
        &pool,
        "SELECT count(*) = 1 FROM mails WHERE sent_at IS NOT NULL AND text_body = '' AND html_body IS NULL",
    )
    .await;
    handle.stop(Duration::from_secs(5)).await;
    let files = files(&folder.path().join("mails"));
    assert_eq!(files.len(), 1);
    for line in [
        &*format!("Message-ID: <{}@gonggumoa.example>", id.simple()),
        "To: a@b.example",
        "Subject: =?utf-8?",
        "Content-Type: multipart/alternative;",
    ] {
        assert!(files[0].contains(line), "{line}: {}", files[0]);
    }
    assert!(files[0].is_ascii());
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn several_senders_send_each_mail_once(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..40 {
        queued(&pool, &mail(&format!("{number}@b.example"), "제목")).await;
    }
    let path = folder.path().join("mails");
    let handles: Vec<_> =
        (0..4).map(|_| spawn(settings(Transport::Folder(path.clone())), pool.clone())).collect();
    until(&pool, "SELECT count(*) = 40 FROM mails WHERE sent_at IS NOT NULL").await;
    for handle in handles {
        handle.stop(Duration::from_secs(5)).await;
    }
    let tries: i64 = sqlx::query_scalar("SELECT sum(tries) FROM mails").fetch_one(&pool).await.unwrap();
    assert_eq!((tries, files(&path).len()), (40, 40));
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn what_is_no_mail_is_not_taken(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    for (to, subject) in [
        ("a@b.example\r\nBcc: c@d.example", "제목"),
        ("a@b.example, c@d.example", "제목"),
        ("", "제목"),
        ("a@b.example", "제목\r\nBcc: c@d.example"),
        ("a@b.example", "제목\0"),
    ] {
        let refused = queue(&mut connection, &mail(to, subject)).await.unwrap_err();
        assert!(!refused.retryable(), "{to:?} {subject:?}");
    }
    assert!(sender_mailbox("a@b.example\r\nBcc: c@d.example").is_err());
    // a row that got in some other way ends instead of stopping the others
    sqlx::query("INSERT INTO mails (id, recipient, subject, text_body) VALUES ($1, 'nobody', 's', 't')")
        .bind(Uuid::now_v7())
        .execute(&pool)
        .await
        .unwrap();
    queued(&pool, &mail("a@b.example", "제목")).await;
    let folder = tempfile::tempdir().unwrap();
    let handle = spawn(settings(Transport::Folder(folder.path().join("mails"))), pool.clone());
    until(&pool, "SELECT count(*) = 1 FROM mails WHERE sent_at IS NOT NULL").await;
    until(&pool, "SELECT count(*) = 1 FROM mails WHERE failed_at IS NOT NULL AND last_problem IS NOT NULL")
        .await;
    handle.stop(Duration::from_secs(5)).await;
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_dead_sender_leaves_its_mail_to_others_and_old_rows_go(pool: PgPool) {
    let id = queued(&pool, &mail("a@b.example", "제목")).await;
    let taken = outbox::take(&pool, 120.0).await.unwrap().unwrap();
    assert_eq!((taken.id, taken.tries), (id, 1));
    assert!(outbox::take(&pool, 120.0).await.unwrap().is_none(), "under lease");
    sqlx::query("UPDATE mails SET next_try_at = now() - interval '1 second'").execute(&pool).await.unwrap();
    assert_eq!(outbox::take(&pool, 120.0).await.unwrap().unwrap().tries, 2, "the lease is over");

    assert_eq!(outbox::delete_old(&pool, 0).await.unwrap(), 0, "it has not ended");
    outbox::mark_sent(&pool, id).await.unwrap();
    assert_eq!(outbox::delete_old(&pool, 7).await.unwrap(), 0);
    sqlx::query("UPDATE mails SET sent_at = now() - interval '8 days'").execute(&pool).await.unwrap();
    assert_eq!(outbox::delete_old(&pool, 7).await.unwrap(), 1);
}

/// Nobody listens on the port: the mail is tried again, later and later.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_server_that_is_away_is_tried_again_with_growing_pauses(pool: PgPool) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let id = queued(&pool, &mail("a@b.example", "제목")).await;
    let handle = spawn(settings(Transport::smtp(&format!("smtp://127.0.0.1:{port}")).unwrap()), pool.clone());
    until(
        &pool,
        "SELECT count(*) = 1 FROM mails WHERE tries = 2 AND last_problem IS NOT NULL AND next_try_at > now()",
    )
    .await;
    handle.stop(Duration::from_secs(5)).await;
    let (pause, text): (f64, String) = sqlx::query_as(
        "SELECT extract(epoch FROM next_try_at - now())::float8, text_body FROM mails WHERE id = $1",
    )
    .bind(id)
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!((1.0..=4.0).contains(&pause), "{pause}");
    assert_eq!(text, "안녕하세요\n");
}
