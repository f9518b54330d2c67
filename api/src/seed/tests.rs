#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use secrecy::ExposeSecret;

async fn counts(pool: &PgPool) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT 'users', count(*) FROM users UNION ALL SELECT 'profiles', count(*) FROM influencer_profiles
         UNION ALL SELECT 'categories', count(*) FROM categories
         UNION ALL SELECT 'links', count(*) FROM gonggu_categories
         UNION ALL SELECT gonggu_status_at(open_at, close_at, closed_at, now())::text, count(*)
         FROM gonggus GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn sowing_again_changes_nothing_and_puts_times_right(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let secrets = SecretsFolder::open(folder.path()).unwrap();
    let bar = ProgressBar::hidden();
    let first = sow(&pool, &secrets, &bar).await.unwrap();
    assert_eq!(bar.position(), steps());
    let before = counts(&pool).await;
    let expected = [
        ("active", 6),
        ("categories", 16),
        ("closed", 3),
        ("links", 15),
        ("profiles", 3),
        ("scheduled", 3),
        ("users", 9),
    ];
    assert_eq!(before, expected.map(|(name, count)| (name.to_owned(), count)));

    sqlx::query("UPDATE gonggus SET closed_at = now() WHERE id = $1")
        .bind(first.gonggus[0].id)
        .execute(&pool)
        .await
        .unwrap();
    let second = sow(&pool, &secrets, &bar).await.unwrap();
    assert_eq!(counts(&pool).await, before);
    for (one, other) in first.accounts.iter().zip(&second.accounts) {
        assert_eq!((one.id, one.password.expose_secret()), (other.id, other.password.expose_secret()));
    }

    // Another folder knows no passwords: they are set anew, and those that are told fit.
    let other = tempfile::tempdir().unwrap();
    let third = sow(&pool, &SecretsFolder::open(other.path()).unwrap(), &bar).await.unwrap();
    let admin = &third.accounts[0];
    assert_ne!(admin.password.expose_secret(), first.accounts[0].password.expose_secret());
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = $1")
        .bind(admin.id)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(bcrypt::verify(admin.password.expose_secret(), &hash).unwrap());
}

/// Stands in for the server: what the sender relies on of it is fixed by the HTTP contract.
fn fake_server(
    seen: std::sync::Arc<parking_lot::Mutex<Vec<(axum::http::Method, axum::http::HeaderMap)>>>,
) -> axum::Router {
    use axum::http::{HeaderMap, Method, StatusCode};
    use axum::routing::{any, post};
    let login = post(async |axum::Json(body): axum::Json<serde_json::Value>| {
        assert_eq!(body["password"], "secret");
        axum::Json(serde_json::json!({ "access_token": "token", "token_type": "bearer" }))
    });
    let go = any(async move |method: Method, headers: HeaderMap| {
        seen.lock().push((method, headers));
        (StatusCode::FOUND, [("location", "https://example.com/"), ("x-click-id", "1")])
    });
    axum::Router::new().route("/api/v1/auth/login", login).route("/go/{id}", go)
}

#[tokio::test]
async fn demo_clicks_are_of_every_kind_and_below_the_limit() {
    let seen = std::sync::Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        tokio::spawn(axum::serve(listener, fake_server(std::sync::Arc::clone(&seen))).into_future());
    let account =
        DemoAccount { id: uuid::Uuid::nil(), email: "a@b.example", role: "buyer", password: "secret".into() };
    let gonggu = |status| DemoGonggu { id: uuid::Uuid::new_v4(), title: "", status };
    let gonggus = [gonggu("active"), gonggu("closed")];
    let sent = send_clicks(address, &[account], &gonggus, &ProgressBar::hidden()).await.unwrap();

    let seen = seen.lock().clone();
    assert_eq!(sent, seen.len() as u64);
    assert!(seen.len() < 60, "below FRAUD_IP_LIMIT: {}", seen.len());
    let agents = |text: &str| {
        seen.iter().filter(|(_, headers)| headers["user-agent"].to_str().unwrap().contains(text)).count()
    };
    assert!(agents("KAKAOTALK") > 0 && agents("Googlebot") == 1 && agents("kakaotalk-scrap") == 1);
    assert_eq!(seen.iter().filter(|(method, _)| method == "HEAD").count(), 1);
    assert_eq!(seen.iter().filter(|(_, headers)| headers.contains_key("authorization")).count(), 1);
    serving.abort();

    let nobody: std::net::SocketAddr = "127.0.0.1:1".parse().unwrap();
    let error = send_clicks(nobody, &[], &[gonggu("active")], &ProgressBar::hidden()).await.unwrap_err();
    assert!(error.to_string().contains("gonggumoa serve") && error.retryable(), "{error}");
}
