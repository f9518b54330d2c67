//! The server that ours is measured against: axum, and nothing but a fixed 302.
//!
//! Same axum, same allocator, same runtime settings as the real one, so that what is left of the
//! difference is the work of recording a click.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8001".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    axum::serve(listener, Router::new().route("/go/{id}", get(redirect))).await?;
    Ok(())
}

async fn redirect() -> (StatusCode, [(header::HeaderName, &'static str); 2]) {
    let location = "https://shop.example.com/items/1?option=1&utm_source=gonggumoa\
                    &utm_campaign=00000000-0000-0000-0000-000000000000";
    (StatusCode::FOUND, [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store")])
}
