//! The open connections, so that they can be told to finish, and so that idle ones are noticed.
//!
//! A timer and a shutdown signal polled by every connection on every request would cost a lock each;
//! instead one sweeper looks at all connections every few seconds, and leaves a word for those that
//! must go. A request costs two relaxed additions.

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

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
    open: Mutex<HashMap<u64, Watched>>,
    next: AtomicU64,
}

/// After how many quiet sweeps a connection goes.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One that never brought a request.
    pub silent_sweeps: u32,
    /// One that did.
    pub idle_sweeps: u32,
}

impl Connections {
    /// A new connection; it leaves the list when the guard is dropped.
    pub fn open(self: &Arc<Self>) -> (Arc<Connection>, OpenGuard) {
        let connection = Arc::new(Connection::default());
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let watched = Watched { connection: Arc::clone(&connection), begun_before: 0, quiet_sweeps: 0 };
        self.open.lock().insert(number, watched);
        (connection, OpenGuard { list: Arc::clone(self), number })
    }

    /// Drops those that are quiet for too long. Nothing is running on them, so nothing is lost.
    pub fn sweep(&self, patience: Patience) {
        for watched in self.open.lock().values_mut() {
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
        self.open.lock().values().for_each(|watched| watched.connection.tell(1));
    }

    /// Tells all to close now.
    pub fn drop_all(&self) {
        self.open.lock().values().for_each(|watched| watched.connection.tell(2));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.lock().len()
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
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.list.open.lock().remove(&self.number);
    }
}
