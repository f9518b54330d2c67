#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use futures::FutureExt;

const LONG: Duration = Duration::from_secs(3_600);

fn client(network: u8, address: u8) -> Client {
    Client { network: [network; 16], address: [network, address].repeat(8).try_into().unwrap() }
}

/// Who was called, in order, while one turn after the other ends.
fn order(running: Vec<Turn>, mut waiting: Vec<(Client, oneshot::Receiver<Turn>)>) -> Vec<Client> {
    let mut running = running;
    let mut called = Vec::new();
    while let Some(ended) = running.pop() {
        drop(ended);
        while let Some(place) = waiting.iter_mut().position(|(_, call)| !call.is_empty()) {
            let (client, mut call) = waiting.remove(place);
            running.insert(0, call.try_recv().unwrap());
            called.push(client);
        }
    }
    assert!(waiting.is_empty(), "nobody is forgotten");
    called
}

/// Eight addresses queue all they may; somebody who comes last waits for each of them once.
#[test]
fn eight_addresses_cannot_keep_another_waiting() {
    let turns = Turns::new(2);
    let mut waiting = Vec::new();
    let mut refused = 0;
    for _ in 0..60 {
        for network in 1..=8 {
            match turns.join(client(network, 1)) {
                Ok(call) => waiting.push((client(network, 1), call)),
                Err(error) => {
                    assert_eq!(error, TurnError::TooMany);
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((waiting.len(), refused), (8 * 16 + 2, 8 * 44 - 2));
    let running: Vec<Turn> = waiting.iter_mut().filter_map(|(_, call)| call.try_recv().ok()).collect();
    assert_eq!(running.len(), 2);
    waiting.drain(..2);
    let owner = client(9, 1);
    waiting.push((owner, turns.join(owner).unwrap()));
    let place = order(running, waiting).iter().position(|called| *called == owner).unwrap();
    // behind six networks that had no turn yet and came before
    assert!(place <= 8, "called {place} turns later");
}

/// Within one network, one address with a long queue does not keep its neighbours waiting.
#[tokio::test]
async fn neighbours_share_their_networks_turns() {
    let turns = Turns::new(1);
    let running = turns.take(client(1, 1), LONG).now_or_never().unwrap().unwrap();
    let mut waiting = Vec::new();
    for address in [1, 1, 1, 1, 2] {
        waiting.push((client(1, address), turns.join(client(1, address)).unwrap()));
    }
    waiting.push((client(2, 1), turns.join(client(2, 1)).unwrap()));
    let called = order(vec![running], waiting);
    assert_eq!(called[..3], [client(2, 1), client(1, 2), client(1, 1)]);
}

/// A full line makes room for who has little in it, at the cost of who has most.
#[tokio::test]
async fn a_full_line_is_at_the_cost_of_who_fills_it() {
    let turns = Turns::new(1);
    let running = turns.take(client(0, 0), LONG).await.unwrap();
    let mut waiting = Vec::new();
    for network in 1..=8 {
        for number in 0..64 {
            waiting.push(turns.join(client(network, number % 4)).unwrap());
        }
    }
    assert_eq!(waiting.len(), WAITING_MAX);
    assert_eq!(turns.join(client(3, 9)).unwrap_err(), TurnError::TooMany);
    let mut owner = turns.join(client(9, 1)).unwrap();
    let is_put_out = |call: &mut oneshot::Receiver<Turn>| {
        matches!(call.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    };
    let put_out = waiting.iter_mut().map(is_put_out).filter(|is_out| *is_out).count();
    assert_eq!(put_out, 1);
    drop(running);
    // eight networks came before
    for _ in 0..8 {
        let next = waiting.iter_mut().find_map(|call| call.try_recv().ok()).unwrap();
        assert!(owner.is_empty());
        drop(next);
    }
    assert!(owner.try_recv().is_ok());
}

/// Who leaves, before or after the call, takes no turn with him.
#[tokio::test]
async fn who_leaves_leaves_his_turn() {
    let turns = Turns::new(1);
    let running = turns.take(client(1, 1), LONG).await.unwrap();
    assert_eq!(turns.take(client(2, 1), Duration::from_millis(1)).await.unwrap_err(), TurnError::TimedOut);
    let called = turns.join(client(3, 1)).unwrap();
    let left = turns.join(client(4, 1)).unwrap();
    drop(left);
    drop(running);
    assert!(!called.is_empty());
    drop(called);
    assert!(turns.take(client(5, 1), LONG).now_or_never().unwrap().is_ok());
    assert_eq!(turns.0.lock().free, 1);
}

#[test]
fn memory_of_turns_is_bounded() {
    let turns = Turns::new(1);
    for number in 0..20_000u64 {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        drop(turns.join(Client { network: key, address: key }).unwrap());
    }
    let line = turns.0.lock();
    assert!(line.by_network.len() <= REMEMBERED_MAX && line.by_address.len() <= REMEMBERED_MAX);
    assert_eq!((line.free, line.waiting.len()), (1, 0));
}
