//! The plans of lists, as the running statements themselves tell them (`auto_explain`), on a smaller scale.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::gonggus::testing::{Catalog, Person, plans_of};
use crate::secrets::SecretsFolder;
use crate::users::types::UserRole;
use indicatif::ProgressBar;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

const SIZES: ScaleSizes = ScaleSizes {
    buyers: 20_000,
    influencers: 400,
    gonggus: 20_000,
    subscriptions: 30_000,
    bookmarks: 30_000,
    reviews: 12_000,
};
const FIRST_GONGGU: &str = "dec0de00-0003-8000-8000-000000000000";
const FIRST_INFLUENCER: &str = "dec0de00-0002-8000-8000-000000000000";
/// Never read from end to end, but where a test says so.
const LARGE: [&str; 6] = ["gonggus", "users", "subscriptions", "bookmarks", "reviews", "audit_log"];

async fn scaled(pool: &PgPool) -> Vec<DemoAccount> {
    let folder = tempfile::tempdir().unwrap();
    let secrets = SecretsFolder::open(folder.path()).unwrap();
    let accounts = crate::seed::sow(pool, &secrets, &ProgressBar::hidden()).await.unwrap().accounts;
    sow(pool, SIZES, &accounts, &|_| {}).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO audit_log (id, at, actor_id, action, target_type, target_id, details)
         SELECT gen_random_uuid(), now() - make_interval(mins => n), gen_random_uuid(),
                'action.' || n % 20, 'user', n, '{}' FROM generate_series(1, 20000) AS n",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::raw_sql("VACUUM (ANALYZE) audit_log").execute(pool).await.unwrap();
    accounts
}

/// A pool as the private cluster's would be, whose statements tell their plans.
async fn telling(options: PgPoolOptions, connect: PgConnectOptions) -> PgPool {
    let connect = connect.options([
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_level", "notice"),
        ("random_page_cost", "1.1"),
        ("max_parallel_workers_per_gather", "0"),
        ("jit", "off"),
    ]);
    options.connect_with(connect).await.unwrap()
}

fn public_questions(category: Uuid) -> Vec<String> {
    let mut questions = Vec::new();
    for sort in ["created_at", "open_at", "close_at", "gonggu_price", "discount_rate"] {
        for narrowed in ["", "&status=active", "&status=scheduled", "&status=closed", "&order=asc"] {
            questions.push(format!("/gonggus?sort={sort}{narrowed}"));
        }
        questions.push(format!("/gonggus?sort={sort}&category={category}"));
    }
    questions.extend(
        [
            "/gonggus/active",
            "/gonggus/upcoming",
            "/gonggus/closing-soon",
            "/gonggus?page=500",
            "/gonggus/active?page=100",
            // 텐트, and what is nowhere
            "/gonggus?q=%ED%85%90%ED%8A%B8",
            "/gonggus?q=zzzz",
            "/influencers",
            "/influencers?sort=created_at",
            "/influencers?sort=nickname",
        ]
        .map(str::to_owned),
    );
    questions.push(format!("/gonggus?influencer_id={FIRST_INFLUENCER}"));
    questions.push(format!("/gonggus?influencer_id={FIRST_INFLUENCER}&status=active"));
    questions.push(format!("/influencers/{FIRST_INFLUENCER}"));
    let today = Utc::now().date_naive();
    questions.push(format!("/calendar?from={today}&to={}", today + chrono::TimeDelta::days(29)));
    for sort in ["created_at", "rating"] {
        questions.push(format!("/gonggus/{FIRST_GONGGU}/reviews?sort={sort}&page=20"));
    }
    questions.push(format!("/gonggus/{FIRST_GONGGU}"));
    questions
}

fn of_buyer() -> Vec<String> {
    let detail = format!("/gonggus/{FIRST_GONGGU}");
    [
        "/subscriptions",
        "/subscriptions?page=10",
        "/subscriptions/feed",
        "/subscriptions/feed?page=20",
        "/users/me/bookmarks",
        "/users/me/bookmarks?page=40",
        &detail,
    ]
    .map(str::to_owned)
    .to_vec()
}

fn of_admin() -> Vec<String> {
    [
        "/admin/users",
        "/admin/users?page=500",
        "/admin/users?sort=email",
        "/admin/users?sort=nickname",
        "/admin/users?role=influencer",
        "/admin/users?status=suspended",
        "/admin/influencers?status=pending",
        "/admin/audit-log",
        "/admin/audit-log?page=500",
        "/admin/audit-log?action=action.3",
        "/admin/audit-log?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Which large tables the statements of a question read from end to end, and the plans.
async fn read_whole(catalog: &Catalog, path: &str, person: Option<&Person>) -> (Vec<&'static str>, String) {
    let plans = plans_of(catalog, path, person).await.join("\n");
    assert!(plans.contains("Scan"), "{path} told no plan");
    let whole = LARGE.into_iter().filter(|table| plans.contains(&format!("Seq Scan on {table} ")));
    (whole.collect(), plans)
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn no_list_reads_a_large_table_from_end_to_end(options: PgPoolOptions, connect: PgConnectOptions) {
    let plain = options.clone().connect_with(connect.clone()).await.unwrap();
    let accounts = scaled(&plain).await;
    let category = "SELECT id FROM categories WHERE parent_id IS NOT NULL LIMIT 1";
    let category: Uuid = sqlx::query_scalar(category).fetch_one(&plain).await.unwrap();
    plain.close().await;
    let catalog = Catalog::new(telling(options, connect).await);
    let buyer = accounts.iter().find(|account| account.role == "buyer").unwrap();
    let buyer = Catalog::signed_in(buyer.id, UserRole::Buyer);
    let admin = catalog.person(UserRole::Admin).await;

    let questions =
        [(public_questions(category), None), (of_buyer(), Some(&buyer)), (of_admin(), Some(&admin))];
    for (paths, person) in questions {
        for path in paths {
            let (whole, plans) = read_whole(&catalog, &path, person).await;
            assert!(whole.is_empty(), "{path} reads all of {whole:?}:\n{plans}");
        }
    }
    // Meant so: no index holds what changes with every click. (And the eye that sees it is not blind.)
    assert_eq!(read_whole(&catalog, "/gonggus?sort=click_count", None).await.0, ["gonggus"]);
}
