//! Many keep-alive clients that click as fast as they are answered and keep every id they are given.

use super::agents::browser;
use super::api::Gonggu;
use super::visitor::address;
use super::wait::{LONG, eventually, poll_pause};
use super::wire::{Connection, Reply};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Who clicks on what.
#[derive(Clone)]
pub(crate) struct LoadPlan {
    pub(crate) address: SocketAddr,
    pub(crate) gonggus: Vec<Gonggu>,
    pub(crate) connections: usize,
    /// Of this many visitors; each click comes from the next one.
    pub(crate) visitors: u32,
    /// Whether clients come back after a lost or closed connection.
    pub(crate) returns: bool,
    /// Ends every user agent and referer, to make clicks wide.
    pub(crate) padding: String,
}

impl LoadPlan {
    pub(crate) fn new(address: SocketAddr, gonggus: &[Gonggu]) -> Self {
        Self {
            address,
            gonggus: gonggus.to_vec(),
            connections: 12,
            visitors: 3_000,
            returns: true,
            padding: String::new(),
        }
    }
}

/// What happened so far.
#[derive(Default)]
pub(crate) struct Tally {
    /// Every id that a client was given, with its gonggu.
    given: Mutex<Vec<(Uuid, Gonggu)>>,
    /// Requests sent on a connection, answered or not.
    pub(crate) sent: AtomicU64,
    pub(crate) answered: AtomicU64,
    /// Redirects without an id.
    pub(crate) unrecorded: AtomicU64,
    /// Connections refused.
    pub(crate) refused: AtomicU64,
    /// Other failures to connect.
    pub(crate) unconnected: AtomicU64,
    /// Requests whose answer never came.
    pub(crate) unanswered: AtomicU64,
    /// Answers that told the client to close.
    pub(crate) told_to_close: AtomicU64,
    /// Answers that no click should get, by status.
    strange: Mutex<HashMap<u16, u64>>,
}

impl Tally {
    pub(crate) fn given(&self) -> Vec<(Uuid, Gonggu)> {
        self.given.lock().unwrap().clone()
    }

    pub(crate) fn given_count(&self) -> usize {
        self.given.lock().unwrap().len()
    }

    pub(crate) fn strange(&self) -> HashMap<u16, u64> {
        self.strange.lock().unwrap().clone()
    }

    fn note(&self, reply: &Reply, gonggu: Gonggu) {
        bump(&self.answered);
        if reply.closes() {
            bump(&self.told_to_close);
        }
        match (reply.status, reply.click_id()) {
            (201 | 302 | 409, Some(id)) => self.given.lock().unwrap().push((id, gonggu)),
            (302, None) => bump(&self.unrecorded),
            (status, _) => *self.strange.lock().unwrap().entry(status).or_default() += 1,
        }
    }
}

/// A running load.
pub(crate) struct Load {
    pub(crate) tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(plan: &LoadPlan) -> Self {
        let mut load = Self { tally: Arc::default(), stop: Arc::default(), clients: JoinSet::new() };
        let next = Arc::new(AtomicU32::new(0));
        for _ in 0..plan.connections {
            let client = Client {
                plan: plan.clone(),
                tally: Arc::clone(&load.tally),
                stop: Arc::clone(&load.stop),
                next: Arc::clone(&next),
            };
            load.clients.spawn(client.run());
        }
        load
    }

    /// Waits until this many more ids were given.
    pub(crate) async fn more_given(&self, count: usize) {
        let goal = self.tally.given_count() + count;
        eventually("clients are given ids", LONG, async || {
            let given = self.tally.given_count();
            if given >= goal { Ok(()) } else { Err(format!("{given} of {goal}; {:?}", self.tally.strange())) }
        })
        .await;
    }

    /// Each client ends after the answer that it waits for.
    pub(crate) async fn stop(self) -> Arc<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.ended().await
    }

    /// Waits for clients that do not come back.
    pub(crate) async fn ended(mut self) -> Arc<Tally> {
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        self.tally
    }
}

struct Client {
    plan: LoadPlan,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU32>,
}

impl Client {
    async fn run(self) {
        while !self.stop.load(Ordering::Relaxed) {
            match Connection::open(self.plan.address).await {
                Ok(connection) => self.click_until_closed(connection).await,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => bump(&self.tally.refused),
                Err(_) => bump(&self.tally.unconnected),
            }
            if !self.plan.returns {
                return;
            }
            if !self.stop.load(Ordering::Relaxed) {
                poll_pause().await;
            }
        }
    }

    async fn click_until_closed(&self, mut connection: Connection) {
        let mut request = Vec::with_capacity(1024);
        while !self.stop.load(Ordering::Relaxed) {
            let gonggu = self.next_request(&mut request);
            bump(&self.tally.sent);
            match connection.ask(&request).await {
                Ok(reply) => {
                    self.tally.note(&reply, gonggu);
                    if reply.closes() {
                        return;
                    }
                }
                Err(_) => {
                    bump(&self.tally.unanswered);
                    if let Some(id) = connection.click_id_of_torn_answer() {
                        self.tally.given.lock().unwrap().push((id, gonggu));
                    }
                    return;
                }
            }
        }
    }

    /// Mostly redirects, with a few of everything else that is recorded.
    fn next_request(&self, request: &mut Vec<u8>) -> Gonggu {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let gonggu = self.plan.gonggus[number as usize % self.plan.gonggus.len()];
        let visitor = number % self.plan.visitors;
        let body = format!("{{\"gonggu_id\":\"{gonggu}\"}}");
        request.clear();
        let padding = &self.plan.padding;
        let first_lines = match number % 16 {
            3 => format!(
                "POST /api/v1/tracking/click HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            ),
            7 => format!("HEAD /go/{gonggu} HTTP/1.1\r\n"),
            11 => format!("GET /api/v1/go/{gonggu} HTTP/1.1\r\nSec-Purpose: prefetch\r\n"),
            _ => format!(
                "GET /go/{gonggu} HTTP/1.1\r\nReferer: https://instagram.com/p/{visitor}{padding}\r\n"
            ),
        };
        request.extend_from_slice(first_lines.as_bytes());
        let rest = format!(
            "Host: localhost\r\nX-Forwarded-For: {}\r\nUser-Agent: {}{padding}\r\n\r\n",
            address(0x00f0_0000 + visitor),
            browser(visitor as usize % 7)
        );
        request.extend_from_slice(rest.as_bytes());
        if number % 16 == 3 {
            request.extend_from_slice(body.as_bytes());
        }
        gonggu
    }
}

fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
