//! The threads that serve connections: one a core, each with an async runtime of its own.
//!
//! Problem: in one runtime of many threads a connection wanders, and each event may wake another thread to
//! look for work. A redirect is so short that this costs as much as the redirect. Here a connection stays on
//! one thread from its first byte to its last; a group of clicks that became durable is answered in one pass
//! over each thread's own queue.
//!
//! Whoever would hold such a thread up holds up a share of all redirects: only `/go` is answered on it,
//! everything else runs on the main runtime, also whatever opens connections that outlive the request.

use std::io;
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Starts a connection's task; called on its thread, inside the runtime.
type Start = Box<dyn FnOnce() + Send>;

/// After so many steps of tasks that are at hand, a thread looks for those woken from elsewhere (by the
/// journal) and for sockets. The runtime's own 31 and 61 are for tasks that take longer.
const LOOK_UP_EVERY: u32 = 16;

/// The threads. Dropped, each ends once nothing runs on it that it was given before; what it still runs then
/// is dropped.
pub(super) struct Workers {
    doors: Vec<mpsc::UnboundedSender<Start>>,
    threads: Vec<JoinHandle<()>>,
    next: usize,
}

impl Workers {
    /// Starts as many as there are cores.
    pub(super) fn start() -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let mut workers = Self { doors: Vec::new(), threads: Vec::new(), next: 0 };
        for number in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .global_queue_interval(LOOK_UP_EVERY)
                .event_interval(LOOK_UP_EVERY * 4)
                .build()?;
            // Bounded by the server's door: no more wait here than it lets in.
            let (door, mut starts) = mpsc::unbounded_channel::<Start>();
            let serve = async move {
                while let Some(start) = starts.recv().await {
                    start();
                }
            };
            let thread = std::thread::Builder::new().name(format!("edge-{number}"));
            workers.threads.push(thread.spawn(move || runtime.block_on(serve))?);
            workers.doors.push(door);
        }
        Ok(workers)
    }

    /// Gives the next thread in turn a task to start. One that has ended drops it.
    pub(super) fn give(&mut self, start: impl FnOnce() + Send + 'static) {
        self.next = (self.next + 1) % self.doors.len();
        let _ = self.doors[self.next].send(Box::new(start));
    }

    /// Ends the threads and waits for them.
    pub(super) async fn end(self) {
        drop(self.doors);
        let joined = tokio::task::spawn_blocking(move || {
            self.threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        if joined.await.is_ok_and(|panicked| panicked > 0) {
            tracing::error!("a thread of the edge panicked");
        }
    }
}
