//! A Redis server.

use super::{Engine, Site, fill, unavailable};
use crate::harness::process::free_port;
use std::process::{Command, Stdio};

const CONFIGURATION: &str = include_str!("../../../engines/redis.conf");
const PROGRAM: &str = "redis-server";

/// One server that keeps an append-only file.
pub(crate) struct RedisServer {
    server: Engine,
    url: String,
    _site: Site,
}

impl RedisServer {
    /// A new, empty one that answers; none without Redis' program.
    pub(crate) async fn start() -> Option<Self> {
        let version = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).status();
        if !version.is_ok_and(|status| status.success()) {
            return unavailable("redis-server is not installed");
        }
        let site = Site::new("redis");
        let folder = site.folder("redis-1");
        let port = free_port();
        let configuration = fill(&folder, "redis.conf", CONFIGURATION, &[("PORT", &port.to_string())]);
        let server = Engine::new("redis-1", &folder, vec![PROGRAM.into(), configuration.into()]);
        let mut redis = Self { server, url: format!("redis://127.0.0.1:{port}"), _site: site };
        redis.restart().await;
        Some(redis)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts a killed one on its data, and waits until that is read and it answers.
    pub(crate) async fn restart(&mut self) {
        self.server.spawn();
        let client = redis::Client::open(self.url.as_str()).unwrap();
        let answers = async |_: &str| -> Result<(), String> {
            let mut connection =
                client.get_multiplexed_async_connection().await.map_err(|error| error.to_string())?;
            redis::cmd("PING").query_async(&mut connection).await.map_err(|error| error.to_string())
        };
        self.server.ready(answers).await;
    }

    /// Freezes it: it keeps its connections and answers nothing.
    pub(crate) fn pause(&self) {
        self.server.pause();
    }

    pub(crate) fn resume(&self) {
        self.server.resume();
    }
}
