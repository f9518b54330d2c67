//! The server that lists and details are measured against: axum, and a handler that asks PostgreSQL for 1.
//!
//! Same axum, same allocator, same driver, as many connections to the same database, so that what is left of the
//! difference is the question itself and its answer.

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [address, database_url, connections] =
        <[String; 3]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
            .map_err(|_| anyhow::anyhow!("usage: bare_select ADDRESS DATABASE_URL CONNECTIONS"))?;
    let pool = PgPoolOptions::new()
        .max_connections(connections.parse().context("CONNECTIONS is no number")?)
        .connect(&database_url)
        .await?;
    let listener = tokio::net::TcpListener::bind(&address).await?;
    axum::serve(listener, Router::new().route("/", get(one)).with_state(pool)).await?;
    Ok(())
}

async fn one(State(pool): State<PgPool>) -> Result<String, StatusCode> {
    let one: i32 = sqlx::query_scalar("SELECT 1")
        .fetch_one(&pool)
        .await
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(one.to_string())
}
