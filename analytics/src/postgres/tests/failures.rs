//! What fails on a real server, whether it is worth another try, and that nothing is stored twice.

use crate::postgres::PostgresClickStore;
use crate::postgres::testing::TestStore;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::totals::RollupLevel;
use gonggumoa_core::store::conformance::fixture::{self, Writer};
use gonggumoa_core::store::{ClickQueries, ClickStore, JudgedBatch, StoreError};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A gonggu with ten stored clicks, the store that writes it, and a second session.
struct Case {
    subject: TestStore,
    store: Arc<PostgresClickStore>,
    writer: Writer,
    gonggu_id: GongguId,
    other: PgConnection,
}

impl Case {
    async fn open() -> Option<Self> {
        let subject = TestStore::open().await?;
        let other = PgConnection::connect_with(&subject.options()).await.unwrap();
        let (writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
        let mut case = Self { store: subject.store.clone(), subject, writer, gonggu_id, other };
        let batch = case.batch();
        case.store.store(&batch).await.unwrap();
        Some(case)
    }

    /// The next ten clicks.
    fn batch(&mut self) -> JudgedBatch {
        let clicks = self.writer.clicks(&[self.gonggu_id], 10);
        self.writer.batch(clicks)
    }

    async fn run(&mut self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut self.other).await.unwrap();
    }

    /// The process of a session that waits for a lock in this database.
    async fn waiting(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // Within a transaction the view would stay as it was first seen.
            self.run("SELECT pg_stat_clear_snapshot()").await;
            let query = "SELECT pid FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
            if let Some(pid) = sqlx::query_scalar(query).fetch_optional(&mut self.other).await.unwrap() {
                return pid;
            }
            assert!(Instant::now() < deadline, "nobody waits");
            tokio::task::yield_now().await;
        }
    }

    /// Stores in the background.
    fn spawn(&self, batch: &JudgedBatch) -> tokio::task::JoinHandle<Result<(), StoreError>> {
        let (store, batch) = (self.store.clone(), batch.clone());
        tokio::spawn(async move { store.store(&batch).await })
    }

    /// The batch goes in after all, and one after it: every click once, every figure as it must be.
    async fn settle(mut self, batch: &JudgedBatch) {
        self.store.store(batch).await.unwrap();
        let next = self.batch();
        self.store.store(&next).await.unwrap();
        let read = &self.subject.store;
        let clicks =
            read.clicks(self.gonggu_id, UnixMillis::MIN, UnixMillis::MAX, None, 1_000).await.unwrap();
        let positions: Vec<u64> = clicks.iter().map(|click| click.position.0).collect();
        assert_eq!(positions, (1..=next.to.position.through.0).collect::<Vec<_>>());
        assert_eq!(read.heads(&[self.gonggu_id]).await.unwrap(), vec![self.writer.head(self.gonggu_id)]);
        let mut rollups = Vec::new();
        for level in RollupLevel::ALL {
            rollups
                .extend(read.rollups(self.gonggu_id, level, UnixMillis::MIN, UnixMillis::MAX).await.unwrap());
        }
        assert_eq!(rollups, self.writer.rollups(self.gonggu_id));
        self.store.pool().close().await;
        self.other.close().await.unwrap();
        self.subject.close().await;
    }
}

fn assert_passing(error: &StoreError) {
    assert!(matches!(error, StoreError::Unavailable(_)) && error.retryable(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_session_is_worth_another_try() {
    let Some(mut case) = Case::open().await else { return };
    let batch = case.batch();
    // In the middle of the transaction: its clicks are copied, its heads are not written.
    case.run("BEGIN; LOCK TABLE click_heads IN ACCESS EXCLUSIVE MODE").await;
    let storing = case.spawn(&batch);
    let pid = case.waiting().await;
    case.run(&format!("SELECT pg_terminate_backend({pid})")).await;
    assert_passing(&storing.await.unwrap().unwrap_err());
    case.run("ROLLBACK").await;
    case.settle(&batch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_statement_is_worth_another_try() {
    let Some(mut case) = Case::open().await else { return };
    let batch = case.batch();
    case.run("BEGIN; LOCK TABLE click_heads IN ACCESS EXCLUSIVE MODE").await;
    let storing = case.spawn(&batch);
    let pid = case.waiting().await;
    case.run(&format!("SELECT pg_cancel_backend({pid})")).await;
    assert_passing(&storing.await.unwrap().unwrap_err());
    case.run("ROLLBACK").await;
    case.settle(&batch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_worth_another_try() {
    let Some(mut case) = Case::open().await else { return };
    let batch = case.batch();
    // The server gives up whoever looks first: the other session looks late.
    case.run("SET deadlock_timeout = '60s'; BEGIN; SELECT FROM click_heads FOR UPDATE").await;
    let storing = case.spawn(&batch);
    case.waiting().await;
    case.run("SELECT FROM click_partitions FOR UPDATE").await;
    let error = storing.await.unwrap().unwrap_err();
    assert_passing(&error);
    assert!(format!("{error:?}").contains("40P01"), "{error:?}");
    case.run("ROLLBACK").await;
    case.settle(&batch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serialisation_failure_is_worth_another_try() {
    let Some(mut case) = Case::open().await else { return };
    let batch = case.batch();
    let options = case.subject.options().options([("default_transaction_isolation", "repeatable read")]);
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
    case.store = Arc::new(PostgresClickStore::new(pool));
    case.run("BEGIN; UPDATE click_partitions SET updated_at = now()").await;
    let storing = case.spawn(&batch);
    case.waiting().await;
    case.run("COMMIT").await;
    let error = storing.await.unwrap().unwrap_err();
    assert_passing(&error);
    assert!(format!("{error:?}").contains("40001"), "{error:?}");
    case.settle(&batch).await;
}

/// A trigger that raises this state: at the row, or only at COMMIT.
fn trigger(state: &str, timing: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'refused by the test' USING ERRCODE = '{state}'; END $$;
         CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON click_heads {timing}
             FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_say_whether_to_try_again() {
    let Some(mut case) = Case::open().await else { return };
    let batch = case.batch();
    let passing = [
        "53000", "53100", "53200", "53300", "53400", "08000", "08006", "40001", "40P01", "57P01", "57P02",
        "57P03", "57014", "55P03", "25006",
    ];
    let lasting = ["P0001", "22003", "23502", "42501", "XX001"];
    // In a statement, and from COMMIT, after which the transaction is gone like any other that failed.
    for timing in ["NOT DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"] {
        for (state, passes) in
            passing.iter().map(|state| (state, true)).chain(lasting.iter().map(|state| (state, false)))
        {
            case.run(&trigger(state, timing)).await;
            let error = case.store.store(&batch).await.unwrap_err();
            assert_eq!(error.retryable(), passes, "{state} {timing}: {error:?}");
            assert!(format!("{error:?}").contains(state), "{state} {timing}: {error:?}");
            case.run("DROP TRIGGER refuse ON click_heads").await;
            let progress = case.store.progress(batch.partition).await.unwrap().unwrap();
            assert_eq!(Some(progress.position), batch.from, "{state} {timing} left nothing");
        }
    }
    case.settle(&batch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_connections_are_worth_another_try() {
    let Some(mut case) = Case::open().await else { return };
    let batch = case.batch();
    let role = format!("limited_{}", uuid::Uuid::new_v4().simple());
    case.run(&format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")).await;
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_secs(1))
        .connect_lazy_with(case.subject.options().username(&role));
    let error = PostgresClickStore::new(pool).store(&batch).await.unwrap_err();
    assert_passing(&error);
    case.run(&format!("DROP ROLE {role}")).await;
    case.settle(&batch).await;
}

/// Between client and server; once told to, it loses the answer to the next COMMIT.
async fn losing_proxy(
    server: PgConnectOptions,
    lose: Arc<std::sync::atomic::AtomicBool>,
) -> PgConnectOptions {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = (server.get_host().to_owned(), server.get_port());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(address.clone()).await.unwrap();
            tokio::spawn(relay(client, server, lose.clone()));
        }
    });
    server.host("127.0.0.1").port(port).ssl_mode(sqlx::postgres::PgSslMode::Disable)
}

async fn relay(mut client: TcpStream, mut server: TcpStream, lose: Arc<std::sync::atomic::AtomicBool>) {
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let sent = &from_client[..length];
                if server.write_all(sent).await.is_err() {
                    return;
                }
                let commits = sent.windows(6).any(|window| window == b"COMMIT");
                if commits && lose.swap(false, std::sync::atomic::Ordering::SeqCst) {
                    // The server has answered, so it has committed; the client never learns.
                    let _ = server.read(&mut from_server).await;
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_found_done() {
    let Some(mut case) = Case::open().await else { return };
    let lose = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let options = losing_proxy(case.subject.options(), lose.clone()).await;
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
    case.store = Arc::new(PostgresClickStore::new(pool));
    let before = case.batch();
    case.store.store(&before).await.unwrap();

    let batch = case.batch();
    lose.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_passing(&case.store.store(&batch).await.unwrap_err());
    let progress = case.subject.store.progress(batch.partition).await.unwrap();
    assert_eq!(progress.as_ref(), Some(&batch.to), "it was committed all the same");
    case.settle(&batch).await;
}
