//! The open connections: counted by client address, told to finish, and looked at so that idle ones and those
//! whose client stopped reading are noticed.
//!
//! A timer and a shutdown signal polled by every connection on every request would cost a lock each;
//! instead one sweeper looks at all connections every few seconds, and leaves a word for those that
//! must go. A request costs two relaxed additions, a piece of a body two more.
//!
//! An answer's body stalls when its last piece was taken and the next one is not asked for: whoever writes it has
//! no room left, since the client takes nothing. A body that has itself nothing to give (a live stream, a slow
//! query) was asked and does not stall.

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// What a connection was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// Finish what is running, then close.
    Finish,
    /// Close now.
    Drop,
}

/// One connection, shared between its task and the sweeper.
#[derive(Debug, Default)]
pub struct Connection {
    begun: AtomicU64,
    ended: AtomicU64,
    told: AtomicU8,
    waker: AtomicWaker,
    /// Bodies on their way out; HTTP/2 sends several at once.
    sending: Mutex<Vec<WatchedBody>>,
}

/// A body on its way out, shared between whoever writes it and the sweeper.
#[derive(Debug, Default)]
struct Sending {
    asked: AtomicU64,
    /// A piece was given and no other asked for since.
    given: AtomicBool,
}

#[derive(Debug)]
struct WatchedBody {
    sending: Arc<Sending>,
    asked_before: u64,
    stalled_sweeps: u32,
}

impl Connection {
    /// What it was told; wakes `waker` when that changes.
    pub fn told(&self, waker: &std::task::Waker) -> Told {
        self.waker.register(waker);
        self.word()
    }

    /// What it was told, for those who are woken anyway.
    pub fn word(&self) -> Told {
        match self.told.load(Ordering::Acquire) {
            0 => Told::Nothing,
            1 => Told::Finish,
            _ => Told::Drop,
        }
    }

    fn tell(&self, word: u8) {
        self.told.fetch_max(word, Ordering::AcqRel);
        self.waker.wake();
    }

    /// A request that lasts until the guard is dropped.
    pub fn request(self: &Arc<Self>) -> RequestGuard {
        self.begun.fetch_add(1, Ordering::Relaxed);
        RequestGuard(Arc::clone(self))
    }

    /// A body that is sent until the guard is dropped.
    pub fn body(self: &Arc<Self>) -> BodyGuard {
        let sending = Arc::<Sending>::default();
        let watched = WatchedBody { sending: Arc::clone(&sending), asked_before: 0, stalled_sweeps: 0 };
        self.sending.lock().push(watched);
        BodyGuard { connection: Arc::clone(self), sending }
    }

    /// The most sweeps that one of its bodies stands still.
    fn stalled_sweeps(&self) -> u32 {
        let mut longest = 0;
        for body in &mut *self.sending.lock() {
            let asked = body.sending.asked.load(Ordering::Relaxed);
            let stalls = asked == body.asked_before && body.sending.given.load(Ordering::Relaxed);
            body.asked_before = asked;
            body.stalled_sweeps = if stalls { body.stalled_sweeps + 1 } else { 0 };
            longest = longest.max(body.stalled_sweeps);
        }
        longest
    }
}

/// Held while a body is sent; told when it is asked for more and when it gives a piece.
#[derive(Debug)]
pub struct BodyGuard {
    connection: Arc<Connection>,
    sending: Arc<Sending>,
}

impl BodyGuard {
    /// There is room for more.
    pub fn asked(&self) {
        self.sending.asked.fetch_add(1, Ordering::Relaxed);
        self.sending.given.store(false, Ordering::Relaxed);
    }

    /// A piece is on its way.
    pub fn given(&self) {
        self.sending.given.store(true, Ordering::Relaxed);
    }
}

impl Drop for BodyGuard {
    fn drop(&mut self) {
        self.connection.sending.lock().retain(|body| !Arc::ptr_eq(&body.sending, &self.sending));
    }
}

/// Held while a request is being answered, its body included.
#[derive(Debug)]
pub struct RequestGuard(Arc<Connection>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Watched {
    connection: Arc<Connection>,
    begun_before: u64,
    quiet_sweeps: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<Open>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    watched: HashMap<u64, Watched>,
    /// How many each counted address holds; none holds none.
    by_address: HashMap<IpAddr, u32>,
}

/// Whose connection it is, and how many of these there may be.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// The client's address as it is counted.
    pub address: IpAddr,
    /// How many it may hold.
    pub max: u32,
}

/// After how many quiet sweeps a connection goes.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One that never brought a request.
    pub silent_sweeps: u32,
    /// One that did.
    pub idle_sweeps: u32,
    /// One whose client takes nothing of an answer.
    pub stalled_sweeps: u32,
}

impl Connections {
    /// A new connection; it leaves the list when the guard is dropped. `None`: its address has enough of them.
    pub fn open(self: &Arc<Self>, quota: Option<Quota>) -> Option<(Arc<Connection>, OpenGuard)> {
        let mut open = self.open.lock();
        if let Some(quota) = quota {
            let held = open.by_address.entry(quota.address).or_insert(0);
            // an address that holds none is never over its limit, so no empty entry is left
            if *held >= quota.max.max(1) {
                return None;
            }
            *held += 1;
        }
        let connection = Arc::new(Connection::default());
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let watched = Watched { connection: Arc::clone(&connection), begun_before: 0, quiet_sweeps: 0 };
        open.watched.insert(number, watched);
        let address = quota.map(|quota| quota.address);
        Some((connection, OpenGuard { list: Arc::clone(self), number, address }))
    }

    /// Drops those that are quiet for too long, on which nothing is running, and those whose answer nobody reads.
    pub fn sweep(&self, patience: Patience) {
        for watched in self.open.lock().watched.values_mut() {
            if watched.connection.stalled_sweeps() > patience.stalled_sweeps {
                watched.connection.tell(2);
                continue;
            }
            let begun = watched.connection.begun.load(Ordering::Relaxed);
            let busy = begun != watched.connection.ended.load(Ordering::Relaxed);
            if busy || begun != watched.begun_before {
                watched.begun_before = begun;
                watched.quiet_sweeps = 0;
                continue;
            }
            watched.quiet_sweeps += 1;
            let limit = if begun == 0 { patience.silent_sweeps } else { patience.idle_sweeps };
            if watched.quiet_sweeps > limit {
                watched.connection.tell(2);
            }
        }
    }

    /// Tells all to finish.
    pub fn finish_all(&self) {
        self.open.lock().watched.values().for_each(|watched| watched.connection.tell(1));
    }

    /// Tells all to close now.
    pub fn drop_all(&self) {
        self.open.lock().watched.values().for_each(|watched| watched.connection.tell(2));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.lock().watched.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Takes the connection off the list.
#[derive(Debug)]
pub struct OpenGuard {
    list: Arc<Connections>,
    number: u64,
    address: Option<IpAddr>,
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        let mut open = self.list.open.lock();
        open.watched.remove(&self.number);
        let Some(address) = self.address else { return };
        if let Entry::Occupied(mut held) = open.by_address.entry(address) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests;
