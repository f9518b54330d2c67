#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use sqlx::Row;

/// Per kind: the table, and rows of which the first five are over at `now` and the last is not; `$1` is an account.
const ROWS: &[(Kind, &str, &str)] = &[
    (
        Kind::IdempotencyKeys,
        "idempotency_keys",
        "INSERT INTO idempotency_keys (user_id, route, key, request_hash, status, body, created_at)
         SELECT $1, 'POST /x', n::text, ''::bytea, 201, '', now() - CASE WHEN n < 6 THEN interval '25 hours' ELSE '23 hours' END
         FROM generate_series(1, 6) n",
    ),
    (
        Kind::EmailCodes,
        "email_codes",
        "INSERT INTO email_codes (code_hash, user_id, purpose, email_folded, expires_at)
         SELECT convert_to(n::text, 'UTF8'), $1, 'verify_email', 'a', now() + CASE WHEN n < 6 THEN interval '-1 s' ELSE '1 hour' END
         FROM generate_series(1, 6) n",
    ),
    (
        Kind::CodeMails,
        "code_mails",
        "INSERT INTO code_mails (address_hash, purpose, sent_at)
         SELECT ''::bytea, 'verify_email', now() - CASE WHEN n < 6 THEN interval '61 min' ELSE '59 min' END
         FROM generate_series(1, 6) n WHERE $1::uuid IS NOT NULL",
    ),
    (
        Kind::RefreshTokens,
        "refresh_tokens",
        "INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at, family_expires_at)
         SELECT convert_to(n::text, 'UTF8'), $1, $1, now() + CASE WHEN n < 6 THEN interval '-1 s' ELSE '1 day' END, now()
         FROM generate_series(1, 6) n",
    ),
    (
        Kind::LoginNetworks,
        "login_networks",
        "INSERT INTO login_networks (user_id, network_hash, last_seen_at)
         SELECT $1, convert_to(n::text, 'UTF8'), now() - CASE WHEN n < 6 THEN interval '91 days' ELSE '89 days' END
         FROM generate_series(1, 6) n",
    ),
    (
        Kind::SocialLogins,
        "social_login_states",
        "INSERT INTO social_login_states (state_hash, provider, browser_hash, return_to, expires_at)
         SELECT convert_to(n::text, 'UTF8'), 'kakao', ''::bytea, '', now() + CASE WHEN n < 6 THEN interval '-1 s' ELSE '1 min' END
         FROM generate_series(1, 6) n WHERE $1::uuid IS NOT NULL",
    ),
];

/// Of people who never come back nothing is left, however many batches it takes, and of the others all.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn what_is_over_goes_and_nothing_else(pool: PgPool) {
    let user_id = uuid::Uuid::now_v7();
    let insert = "INSERT INTO users (id, email, nickname) VALUES ($1, 'a@b.example', 'a')";
    sqlx::query(insert).bind(user_id).execute(&pool).await.unwrap();
    assert_eq!(ROWS.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(), Kind::ALL);
    for (_, _, insert) in ROWS {
        sqlx::query(*insert).bind(user_id).execute(&pool).await.unwrap();
    }
    let now = Utc::now();
    for (kind, ..) in ROWS {
        assert_eq!(kind.delete(&pool, now, 2).await.unwrap(), 2, "{kind:?}: a batch is bounded");
    }
    clean(&pool, now, 2).await;
    for (kind, table, _) in ROWS {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let left: i64 = sqlx::query(count).fetch_one(&pool).await.unwrap().get(0);
        assert_eq!(left, 1, "{kind:?}");
    }
}

/// A row that a rotation holds is left for the next pass instead of waited for.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn it_waits_for_nobody(pool: PgPool) {
    let user_id = uuid::Uuid::now_v7();
    let insert = "INSERT INTO users (id, email, nickname) VALUES ($1, 'a@b.example', 'a')";
    sqlx::query(insert).bind(user_id).execute(&pool).await.unwrap();
    sqlx::query(ROWS[3].2).bind(user_id).execute(&pool).await.unwrap();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT token_hash FROM refresh_tokens WHERE token_hash = '1' FOR UPDATE")
        .fetch_one(&mut *other)
        .await
        .unwrap();
    assert_eq!(Kind::RefreshTokens.delete_all(&pool, Utc::now(), 10).await.unwrap(), 4);
    other.rollback().await.unwrap();
    assert_eq!(Kind::RefreshTokens.delete_all(&pool, Utc::now(), 10).await.unwrap(), 1);
}
