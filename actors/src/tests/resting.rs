//! Gonggus that rest, or leave memory, come back as if they had not.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gonggus_that_leave_come_back_the_same() {
    let calm = World::new();
    fill(&calm.log, 150);
    let expected = calm.run().await;
    let mut world = World::again(&MemoryLog::new(RunId(Uuid::from_u128(7))));
    world.config.idle_after = Duration::ZERO;
    world.config.live_gonggus_max = 1;
    let handle = world.spawn().await;
    let mut watch = handle.watch();
    for (position, entry) in calm.log.entries() {
        world.log.push(entry);
        if position.0.is_multiple_of(10) {
            assert!(handle.stored_through(P, position, DEADLINE).await);
            if position.0.is_multiple_of(30) {
                let gone = watch.wait_for(|statuses| statuses[&P].live_gonggus == 0);
                tokio::time::timeout(DEADLINE, gone).await.expect("idle gonggus leave").unwrap();
            }
        }
    }
    world.log.close();
    assert!(handle.drain(DEADLINE).await);
    same(&expected, &world.store.rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gonggus_at_rest_wake_up_the_same() {
    let calm = World::new();
    fill(&calm.log, 150);
    let expected = calm.run().await;
    let mut world = World::again(&MemoryLog::new(RunId(Uuid::from_u128(7))));
    world.config.rest_after = Duration::ZERO;
    let handle = world.spawn().await;
    let mut watch = handle.watch();
    for (position, entry) in calm.log.entries() {
        world.log.push(entry);
        if position.0.is_multiple_of(10) {
            assert!(handle.stored_through(P, position, DEADLINE).await);
            if position.0.is_multiple_of(30) {
                let at_rest = watch.wait_for(|statuses| statuses[&P].awake_gonggus == 0);
                let statuses = tokio::time::timeout(DEADLINE, at_rest).await.expect("they rest").unwrap();
                assert_eq!(statuses[&P].live_gonggus, 3, "and stay in memory");
            }
        }
    }
    world.log.close();
    assert!(handle.drain(DEADLINE).await);
    same(&expected, &world.store.rows());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_gonggus_are_awake_or_in_memory_than_configured() {
    for (awake_max, live_max) in [(1, 2), (0, 3), (2, 1)] {
        let calm = World::new();
        fill(&calm.log, 150);
        let expected = calm.run().await;
        let mut world = World::again(&MemoryLog::new(RunId(Uuid::from_u128(7))));
        world.config.awake_gonggus_max = awake_max;
        world.config.live_gonggus_max = live_max;
        let handle = world.spawn().await;
        let mut watch = handle.watch();
        for (position, entry) in calm.log.entries() {
            world.log.push(entry);
            if position.0.is_multiple_of(30) {
                assert!(handle.stored_through(P, position, DEADLINE).await);
                let bounded = watch.wait_for(|statuses| {
                    statuses[&P].awake_gonggus <= awake_max && statuses[&P].live_gonggus <= live_max
                });
                tokio::time::timeout(DEADLINE, bounded).await.expect("bounded").unwrap();
            }
        }
        world.log.close();
        assert!(handle.drain(DEADLINE).await);
        same(&expected, &world.store.rows());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_after_a_rest_is_mended_without_a_trace() {
    let calm = World::new();
    fill(&calm.log, 120);
    let expected = calm.run().await;
    let mut world = World::again(&MemoryLog::new(RunId(Uuid::from_u128(7))));
    world.config.awake_gonggus_max = 0;
    let left = Arc::new(AtomicU32::new(1));
    world.hook = Some(Arc::new(move |click: &RawClick| {
        if click.sequence == 63
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
        {
            panic!("planted");
        }
    }));
    let handle = world.spawn().await;
    for (position, entry) in calm.log.entries() {
        world.log.push(entry);
        if position.0.is_multiple_of(5) {
            assert!(handle.stored_through(P, position, DEADLINE).await);
        }
    }
    world.log.close();
    assert!(handle.drain(DEADLINE).await);
    same(&expected, &world.store.rows());
}
