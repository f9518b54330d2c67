//! Whose turn it is when more people want a core than there are: a fair line, bounded at the door.
//!
//! Problem: a password check takes a core for a quarter of a second, and few run at once. In a line by arrival alone
//! a handful of addresses, each within what an address is allowed, keeps everybody else waiting until nobody gets
//! an answer. So the next turn goes to the *network* (IPv4 /24, IPv6 /48) that had its last turn longest ago, and
//! within it to the address that had; only among equals does arrival decide. Somebody who comes once waits for what
//! is running and for one turn of each other network in the line, whatever these have queued.
//!
//! Bounds: an address, a network and all together may only have so many waiting. Who has too many is told so
//! ([`TurnError::TooMany`]); when the whole line is full, the network with the most in it loses its youngest, not
//! the newcomer his place. Nobody waits longer than he says.
//!
//! What remains: somebody with hundreds of networks has hundreds of turns. That costs him those networks, and the
//! limits by account and address (`limits`) still stand before this line.

use gonggumoa_core::visitor::AddressKey;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

type Key = [u8; 16];

/// Waiting from one address: an office that comes to work at nine; more wait at home.
const WAITING_PER_ADDRESS_MAX: usize = 16;
/// Waiting from one network, which may be a mobile carrier's gateway.
const WAITING_PER_NETWORK_MAX: usize = 64;
/// Waiting in all: each holds a request's memory and nothing more.
const WAITING_MAX: usize = 512;
/// Last turns remembered of networks, and of addresses; the older half is forgotten when there are more.
const REMEMBERED_MAX: usize = 4_096;

/// Who asks, as keyed hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    network: Key,
    address: Key,
}

impl Client {
    /// Of an address.
    pub fn of(key: &AddressKey, address: IpAddr) -> Self {
        Self { network: key.network_hash(address).0, address: key.address_hash(address).0 }
    }
}

/// Why there was no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnError {
    /// This client, or his network, has too many waiting.
    #[error("too many waiting from one place")]
    TooMany,
    /// It took too long.
    #[error("waited too long")]
    TimedOut,
}

impl TurnError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::TooMany | Self::TimedOut)
    }
}

/// The line. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Mutex<Line>>);

/// A turn: the next one's begins when it is dropped.
#[derive(Debug)]
pub struct Turn(Option<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            let mut line = turns.0.lock();
            line.free += 1;
            line.call_next(&turns);
        }
    }
}

#[derive(Debug)]
struct Line {
    free: usize,
    /// By arrival.
    waiting: Vec<Waiting>,
    /// How many turns began.
    turns: u64,
    /// The number of the last turn of each.
    by_network: HashMap<Key, u64>,
    by_address: HashMap<Key, u64>,
}

#[derive(Debug)]
struct Waiting {
    client: Client,
    call: oneshot::Sender<Turn>,
}

impl Turns {
    /// So many at once.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(Line {
            free: at_once.max(1),
            waiting: Vec::new(),
            turns: 0,
            by_network: HashMap::new(),
            by_address: HashMap::new(),
        })))
    }

    /// Waits for a turn, not longer than `patience`.
    pub async fn take(&self, client: Client, patience: Duration) -> Result<Turn, TurnError> {
        let called = self.join(client)?;
        match tokio::time::timeout(patience, called).await {
            Ok(Ok(turn)) => Ok(turn),
            // put out of the line
            Ok(Err(_)) => Err(TurnError::TooMany),
            Err(_) => Err(TurnError::TimedOut),
        }
    }

    fn join(&self, client: Client) -> Result<oneshot::Receiver<Turn>, TurnError> {
        let mut line = self.0.lock();
        line.waiting.retain(|other| !other.call.is_closed());
        line.admit(client)?;
        let (call, called) = oneshot::channel();
        line.waiting.push(Waiting { client, call });
        line.call_next(self);
        Ok(called)
    }
}

impl Line {
    /// Refuses whoever has too many waiting; makes room in a full line.
    fn admit(&mut self, client: Client) -> Result<(), TurnError> {
        let from_address = self.waiting.iter().filter(|other| other.client == client).count();
        let from_network = self.waiting_from(&client.network);
        if from_address >= WAITING_PER_ADDRESS_MAX || from_network >= WAITING_PER_NETWORK_MAX {
            return Err(TurnError::TooMany);
        }
        if self.waiting.len() >= WAITING_MAX {
            let mut counts: HashMap<Key, usize> = HashMap::new();
            self.waiting.iter().for_each(|other| *counts.entry(other.client.network).or_default() += 1);
            let most = counts.into_iter().max_by_key(|(_, count)| *count);
            let Some((network, _)) = most.filter(|(_, count)| *count > from_network + 1) else {
                return Err(TurnError::TooMany);
            };
            if let Some(youngest) = self.waiting.iter().rposition(|other| other.client.network == network) {
                self.waiting.remove(youngest);
            }
        }
        Ok(())
    }

    fn waiting_from(&self, network: &Key) -> usize {
        self.waiting.iter().filter(|other| other.client.network == *network).count()
    }

    /// Gives free turns to those who are next.
    fn call_next(&mut self, turns: &Turns) {
        while self.free > 0
            && let Some(place) = self.next()
        {
            let Waiting { client, call } = self.waiting.remove(place);
            match call.send(Turn(Some(turns.clone()))) {
                Ok(()) => {
                    self.free -= 1;
                    self.note(client);
                }
                // he left a moment ago; the turn was never his, and is not given back
                Err(mut turn) => drop(turn.0.take()),
            }
        }
    }

    /// The place of who is next: never served comes before served, served long ago before served lately.
    fn next(&self) -> Option<usize> {
        let last_turns = |place: &usize| {
            let client = &self.waiting[*place].client;
            (self.by_network.get(&client.network), self.by_address.get(&client.address), *place)
        };
        (0..self.waiting.len()).min_by_key(last_turns)
    }

    fn note(&mut self, client: Client) {
        self.turns += 1;
        let turn = self.turns;
        for (remembered, key) in
            [(&mut self.by_network, client.network), (&mut self.by_address, client.address)]
        {
            remembered.insert(key, turn);
            if remembered.len() > REMEMBERED_MAX {
                // numbers differ, so at least half of them are older
                remembered.retain(|_, last| turn - *last < REMEMBERED_MAX as u64 / 2);
            }
        }
    }
}

#[cfg(test)]
mod tests;
