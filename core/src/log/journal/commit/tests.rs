#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Nobody who waits for a group is forgotten, whatever becomes of the first.

use super::*;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Waiter {
    wait: Option<Pin<Box<Wait>>>,
    woken: Arc<Woken>,
}

impl Waiter {
    fn poll(&mut self) -> Poll<Result<(), AppendError>> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.wait.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn woken(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed) > 0
    }
}

/// So many wait for a group, on this thread.
fn crowd(group: &Arc<Group>, count: u64) -> Vec<Waiter> {
    let mut waiters: Vec<Waiter> = (1..=count)
        .map(|sequence| Waiter {
            wait: Some(Box::pin(Wait::new(Arc::clone(group), sequence))),
            woken: Arc::default(),
        })
        .collect();
    assert!(waiters.iter_mut().all(|waiter| waiter.poll().is_pending()));
    waiters
}

fn woken(waiters: &[Waiter]) -> Vec<bool> {
    waiters.iter().map(Waiter::woken).collect()
}

#[test]
fn the_first_of_a_thread_wakes_the_others_of_it() {
    let group = Arc::new(Group::default());
    let mut here = crowd(&group, 3);
    let there = Arc::clone(&group);
    let mut others = std::thread::spawn(move || crowd(&there, 2)).join().unwrap();
    group.set_durable(3);
    group.wake();
    assert_eq!((woken(&here), woken(&others)), (vec![true, false, false], vec![true, false]));
    assert_eq!(here[0].poll(), Poll::Ready(Ok(())));
    assert_eq!((woken(&here), woken(&others)), (vec![true; 3], vec![true, false]));
    // It may also be dropped unpolled.
    others[0].wait = None;
    assert_eq!(woken(&others), [true; 2]);
    assert_eq!(here[2].poll(), Poll::Ready(Ok(())));
}

#[test]
fn a_first_that_went_before_is_not_waited_for() {
    let group = Arc::new(Group::default());
    let mut waiters = crowd(&group, 4);
    waiters[0].wait = None;
    assert_eq!(woken(&waiters), [false; 4], "nothing is durable yet");
    group.set_durable(2);
    assert_eq!(waiters[1].poll(), Poll::Ready(Ok(())));
    assert!(waiters[2].poll().is_pending());
    group.set_durable(4);
    group.wake();
    assert!(woken(&waiters[2..]).iter().all(|woken| *woken));
}

#[test]
fn a_first_that_is_never_polled_is_passed_by() {
    let group = Arc::new(Group::default());
    let waiters = crowd(&group, 3);
    group.set_durable(3);
    group.wake();
    assert_eq!(woken(&waiters), [true, false, false]);
    group.wake_the_rest();
    assert_eq!(woken(&waiters), [true; 3]);
}

#[test]
fn a_failure_is_told_to_all_but_those_who_are_durable() {
    let group = Arc::new(Group::default());
    let mut waiters = crowd(&group, 3);
    group.set_durable(1);
    group.fail(AppendError::Full);
    assert_eq!(woken(&waiters), [true; 3]);
    assert_eq!(waiters[0].poll(), Poll::Ready(Ok(())));
    assert_eq!(waiters[2].poll(), Poll::Ready(Err(AppendError::Full)));
    // A group that is over does not fail afterwards.
    group.fail(AppendError::Closed);
    assert_eq!(waiters[1].poll(), Poll::Ready(Err(AppendError::Full)));
}
