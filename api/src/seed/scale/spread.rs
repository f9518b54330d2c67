//! Who has how many: few are very popular, many a little.
//!
//! Half of all is spread evenly, half as the square root grows: of 2,000 influencers with a million subscribers the
//! first has 11,000 and the last 380. Sums are cut, not quotas, so that they always add up to the whole.

/// `total` pairs over `items`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    items: u32,
    total: u64,
    /// Pairs of the first item; the others share the rest.
    first: Option<u64>,
}

/// Pairs of some items, one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The items' numbers.
    pub(super) items: Vec<i32>,
    /// How many pairs each has.
    pub(super) quotas: Vec<i32>,
    /// All of them.
    pub(super) rows: u64,
}

impl Spread {
    pub(super) fn new(items: u32, total: u64) -> Self {
        Self { items, total, first: None }
    }

    pub(super) fn with_first(self, first: u64) -> Self {
        Self { first: Some(first.min(self.total)), ..self }
    }

    /// Pairs of all items before this one.
    fn before(&self, item: u32) -> u64 {
        let cut = |total: u64, place: u32, of: u32| {
            let share = f64::from(place) / f64::from(of.max(1));
            (total as f64 * (share + share.sqrt()) / 2.0) as u64
        };
        match self.first {
            _ if item == 0 => 0,
            Some(first) => first + cut(self.total - first, item - 1, self.items - 1),
            None => cut(self.total, item, self.items),
        }
    }

    fn quota(&self, item: u32) -> u64 {
        self.before(item + 1) - self.before(item)
    }

    /// The largest quota of any item.
    pub(super) fn most(&self) -> u64 {
        (0..self.items.min(2)).map(|item| self.quota(item)).max().unwrap_or(0)
    }

    /// Chunks of about so many rows, whole items each.
    pub(super) fn chunks(self, rows_max: u64) -> impl Iterator<Item = Chunk> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let mut chunk = Chunk { items: Vec::new(), quotas: Vec::new(), rows: 0 };
            while next < self.items && chunk.rows < rows_max {
                let quota = self.quota(next);
                chunk.items.push(next.cast_signed());
                chunk.quotas.push(i32::try_from(quota).unwrap_or(i32::MAX));
                chunk.rows += quota;
                next += 1;
            }
            (chunk.rows > 0).then_some(chunk)
        })
    }
}

/// How far it is from one person of an item to its next: without a common divisor with `people`, so that nobody
/// comes twice before all have come once, and far enough that neighbours are strangers.
pub(super) fn stride(people: u32) -> i64 {
    let common = |mut one: u32, mut other: u32| {
        while other > 0 {
            (one, other) = (other, one % other);
        }
        one
    };
    [104_729, 7_919, 31, 7].into_iter().find(|prime| common(*prime, people) == 1).unwrap_or(1).into()
}

#[cfg(test)]
mod tests;
