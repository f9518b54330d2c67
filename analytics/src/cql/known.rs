//! What this process wrote before and need not write again: index rows that are the same every time.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::hash::Hash;

/// Keys remembered; beyond, all are forgotten and written once more. Some 20 MB.
const KNOWN_MAX: usize = 300_000;

/// A bounded set of keys.
#[derive(Debug)]
pub(crate) struct Known<K>(Mutex<HashSet<K>>);

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self(Mutex::new(HashSet::new()))
    }
}

impl<K: Hash + Eq> Known<K> {
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.0.lock().contains(key)
    }

    pub(crate) fn add(&self, keys: impl IntoIterator<Item = K>) {
        let mut known = self.0.lock();
        if known.len() > KNOWN_MAX {
            known.clear();
        }
        known.extend(keys);
    }
}
