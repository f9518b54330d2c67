#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

const PATIENCE: Patience = Patience { silent_sweeps: 100, idle_sweeps: 100, stalled_sweeps: 2 };

fn quota(address: &str) -> Option<Quota> {
    Some(Quota { address: address.parse().unwrap(), max: 2 })
}

#[test]
fn an_address_holds_so_many_and_others_are_not_hindered() {
    let connections = Arc::new(Connections::default());
    let first = connections.open(quota("192.0.2.1")).unwrap();
    let second = connections.open(quota("192.0.2.1")).unwrap();
    assert!(connections.open(quota("192.0.2.1")).is_none());
    let other = connections.open(quota("192.0.2.2")).unwrap();
    let exempt: Vec<_> = (0..9).map(|_| connections.open(None).unwrap()).collect();
    assert_eq!(connections.len(), 12, "the one that was refused is not there");
    drop(first);
    let again = connections.open(quota("192.0.2.1")).unwrap();
    assert!(connections.open(quota("192.0.2.1")).is_none());
    drop((second, other, exempt, again));
    assert!(
        connections.is_empty() && connections.open.lock().by_address.is_empty(),
        "nothing is left behind"
    );
}

#[test]
fn a_body_that_is_not_taken_goes_and_one_that_has_nothing_to_give_stays() {
    let connections = Arc::new(Connections::default());
    let [stalled, moving, waiting] = [(); 3].map(|()| connections.open(None).unwrap());
    let bodies =
        [&stalled, &moving, &waiting].map(|(connection, _)| (connection.request(), connection.body()));
    for (_, body) in &bodies {
        body.asked();
        body.given();
    }
    bodies[2].1.asked();
    for _ in 0..10 {
        connections.sweep(PATIENCE);
        bodies[1].1.asked();
        bodies[1].1.given();
    }
    assert_eq!(stalled.0.word(), Told::Drop);
    assert_eq!((moving.0.word(), waiting.0.word()), (Told::Nothing, Told::Nothing));
    drop(bodies);
    assert!(moving.0.sending.lock().is_empty());
}
