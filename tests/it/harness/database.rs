//! A look into the deployment's own PostgreSQL, past the API: what was stored, not what is said of it.

use super::deployment::Deployment;
use super::process::find_files;
use super::wait::{LONG, eventually};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Row};
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The embedded cluster's role and database.
const CLUSTER_NAME: &str = "gonggumoa";

impl Deployment {
    /// Connects by the socket that lies beside postmaster.pid, or that it names; waits while the cluster recovers.
    pub(crate) async fn database(&self) -> PgConnection {
        eventually("the embedded cluster takes connections", LONG, async || {
            let options = self.connect_options()?;
            PgConnection::connect_with(&options).await.map_err(|error| error.to_string())
        })
        .await
    }

    /// Lines 4 and 5 of postmaster.pid are the port and the socket's folder. The server may know that
    /// folder by a name that means nothing to us (a descriptor of its own), so its own place is tried first.
    fn connect_options(&self) -> Result<PgConnectOptions, String> {
        let file = find_files(&self.data_dir(), "postmaster.pid", 3).pop().ok_or("no postmaster.pid")?;
        let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let port = lines.get(3).and_then(|line| line.parse().ok()).ok_or("no port yet")?;
        let beside = file.parent().map(Path::to_owned);
        let beside = beside.filter(|folder| folder.join(format!(".s.PGSQL.{port}")).exists());
        let named = lines.get(4).filter(|line| !line.is_empty()).map(PathBuf::from);
        let options =
            PgConnectOptions::new_without_pgpass().port(port).username(CLUSTER_NAME).database(CLUSTER_NAME);
        Ok(match beside.or(named) {
            Some(folder) => options.socket(folder),
            None => options.host("127.0.0.1"),
        })
    }
}

/// A role that a test wants an account of.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Buyer,
    /// A verified one.
    Influencer,
}

/// Makes an account with the admin's password hash, so with the password that all accounts share.
pub(crate) async fn make_account(database: &mut PgConnection, role: Role) -> (Uuid, String) {
    let id = Uuid::now_v7();
    let email = format!("{}@gonggumoa.example", id.simple());
    let role_name = match role {
        Role::Buyer => "buyer",
        Role::Influencer => "influencer",
    };
    sqlx::query(
        "INSERT INTO users (id, email, password_hash, nickname, role, created_at)
         SELECT $1, $2, password_hash, 'someone', $3::user_role, now() - interval '90 days'
         FROM users WHERE role = 'admin' AND password_hash IS NOT NULL ORDER BY created_at LIMIT 1",
    )
    .bind(id)
    .bind(&email)
    .bind(role_name)
    .execute(&mut *database)
    .await
    .unwrap();
    if matches!(role, Role::Influencer) {
        sqlx::query("INSERT INTO influencer_profiles (id, user_id, is_verified) VALUES ($1, $2, true)")
            .bind(Uuid::now_v7())
            .bind(id)
            .execute(&mut *database)
            .await
            .unwrap();
    }
    (id, email)
}

/// One number from a query without parameters.
pub(crate) async fn number(database: &mut PgConnection, query: &'static str) -> i64 {
    sqlx::query(query).fetch_one(database).await.unwrap().get(0)
}
