//! How many distinct visitors, in at most 2.5 KB whatever their number.
//!
//! Problem: each head and rollup row tells its distinct visitors, rows of one range are merged, and
//! replay must give the same bytes. So the sketch depends on the set of visitors only, never on their
//! order or on how often each came.
//!
//! Two forms. Up to [`SPARSE_MAX`] visitors are listed (5 bytes of their hash each, ascending): exact.
//! Beyond, a HyperLogLog of 4,096 registers of 5 bits: 1.6 % standard error. A set is listed if and
//! only if it has at most that many members, so equal sets have equal bytes.
//!
//! ```text
//!   (nothing)                      no visitor
//!   1, then 5 bytes each           the first 40 bits of every hash, big-endian, ascending
//!   2, then 2,560 bytes            registers, 8 to every 5 bytes, low bits first
//! ```

/// The longest list.
const SPARSE_MAX: usize = 256;
/// Bytes of a listed hash.
const LISTED_BYTES: usize = 5;
/// Bits of a hash that are looked at: 12 choose the register, 28 its value.
const REST_BITS: u32 = 28;
const REGISTERS: usize = 4_096;
const REGISTER_BITS: usize = 5;
const DENSE_BYTES: usize = REGISTERS * REGISTER_BITS / 8;
const LIST: u8 = 1;
const DENSE: u8 = 2;

/// Stored bytes that are no sketch.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("not a visitor sketch: {0}")]
pub struct SketchError(&'static str);

/// An order-independent sketch of distinct visitors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VisitorSketch {
    bytes: Vec<u8>,
}

impl VisitorSketch {
    /// Enters a visitor by a uniform 64-bit hash. Says whether that changed anything; if not, no sketch of
    /// these and further visitors would be changed by it.
    pub fn insert(&mut self, visitor: u64) -> bool {
        let listed = visitor >> 24;
        match self.bytes.first() {
            Some(&DENSE) => self.raise(listed),
            Some(_) => self.list(listed),
            None => {
                self.bytes.reserve_exact(1 + LISTED_BYTES);
                self.bytes.push(LIST);
                self.bytes.extend_from_slice(&to_bytes(listed));
                true
            }
        }
    }

    /// Enters all visitors of another sketch.
    pub fn merge(&mut self, other: &Self) {
        match other.bytes.first() {
            None => {}
            Some(&DENSE) => {
                self.make_dense();
                let groups = self.bytes[1..].chunks_exact_mut(REGISTER_BITS);
                for (group, other) in groups.zip(other.bytes[1..].chunks_exact(REGISTER_BITS)) {
                    let larger = larger_registers(group_of(group), group_of(other));
                    group.copy_from_slice(&larger.to_le_bytes()[..REGISTER_BITS]);
                }
            }
            Some(_) => {
                for entry in other.bytes[1..].chunks_exact(LISTED_BYTES) {
                    self.insert(from_bytes(entry) << 24);
                }
            }
        }
    }

    /// How many there are: exact up to 256, then within about 1.6 %.
    pub fn estimate(&self) -> u64 {
        match self.bytes.first() {
            None => 0,
            Some(&DENSE) => self.estimate_dense().round() as u64,
            Some(_) => (self.bytes.len() / LISTED_BYTES) as u64,
        }
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Back from stored bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        match bytes.split_first() {
            None => {}
            Some((&LIST, list)) => check_list(list)?,
            Some((&DENSE, registers)) if registers.len() == DENSE_BYTES => {}
            Some((&DENSE, _)) => return Err(SketchError("registers of the wrong length")),
            Some(_) => return Err(SketchError("an unknown form")),
        }
        Ok(Self { bytes: bytes.to_vec() })
    }

    pub(in crate::judge) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn list(&mut self, listed: u64) -> bool {
        let entry = to_bytes(listed);
        let list = &self.bytes[1..];
        let (mut low, mut high) = (0, list.len() / LISTED_BYTES);
        while low < high {
            let middle = usize::midpoint(low, high);
            match list[middle * LISTED_BYTES..][..LISTED_BYTES].cmp(&entry) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return false,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        if list.len() / LISTED_BYTES == SPARSE_MAX {
            self.make_dense();
            self.raise(listed);
            return true;
        }
        let at = 1 + low * LISTED_BYTES;
        self.bytes.splice(at..at, entry);
        true
    }

    fn make_dense(&mut self) {
        if self.bytes.first() == Some(&DENSE) {
            return;
        }
        let list = std::mem::replace(&mut self.bytes, vec![0; 1 + DENSE_BYTES]);
        self.bytes[0] = DENSE;
        for entry in list.get(1..).unwrap_or_default().chunks_exact(LISTED_BYTES) {
            self.raise(from_bytes(entry));
        }
    }

    fn raise(&mut self, listed: u64) -> bool {
        let rest = listed & ((1 << REST_BITS) - 1);
        // 1 for a leading one bit, 29 for no bit at all.
        let value = rest.leading_zeros() - (64 - REST_BITS) + 1;
        self.raise_register((listed >> REST_BITS) as usize, value.into())
    }

    fn raise_register(&mut self, register: usize, value: u64) -> bool {
        let old = self.register(register);
        if value > old {
            let shift = register % 8 * REGISTER_BITS;
            let start = 1 + register / 8 * REGISTER_BITS;
            let group = self.group(register) ^ (old ^ value) << shift;
            self.bytes[start..start + REGISTER_BITS].copy_from_slice(&group.to_le_bytes()[..REGISTER_BITS]);
        }
        value > old
    }

    fn register(&self, register: usize) -> u64 {
        self.group(register) >> (register % 8 * REGISTER_BITS) & 0x1f
    }

    /// The 40 bits that hold a register and its seven neighbours.
    fn group(&self, register: usize) -> u64 {
        let start = 1 + register / 8 * REGISTER_BITS;
        group_of(&self.bytes[start..start + REGISTER_BITS])
    }

    /// Ertl's improved estimator ("New cardinality estimation algorithms for HyperLogLog sketches",
    /// 2017): no bias at either end, no tables. It uses only operations that IEEE 754 rounds exactly,
    /// so every machine tells the same number.
    fn estimate_dense(&self) -> f64 {
        let registers = REGISTERS as f64;
        let mut of_value = [0u32; REST_BITS as usize + 2];
        for register in 0..REGISTERS {
            let value = (self.register(register) as usize).min(of_value.len() - 1);
            of_value[value] += 1;
        }
        let share = |value: usize| f64::from(of_value[value]) / registers;
        let mut z = registers * tau(1.0 - share(REST_BITS as usize + 1));
        for count in of_value[1..=REST_BITS as usize].iter().rev() {
            z = 0.5 * (z + f64::from(*count));
        }
        z += registers * sigma(share(0));
        registers * registers / (2.0 * std::f64::consts::LN_2 * z)
    }
}

fn group_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |group, byte| group << 8 | u64::from(*byte))
}

/// The larger of each two registers of two groups. Eight at a time, since a year is 365 sketches of 4,096:
/// every other register has five free bits above it, the lowest of which tells after a subtraction
/// whether it had to be borrowed from.
fn larger_registers(one: u64, other: u64) -> u64 {
    const EVEN: u64 = 0x1f | 0x1f << 10 | 0x1f << 20 | 0x1f << 30;
    const ABOVE: u64 = 1 << 5 | 1 << 15 | 1 << 25 | 1 << 35;
    let larger = |one: u64, other: u64| {
        let not_less = ((one | ABOVE) - other) & ABOVE;
        let mask = not_less - (not_less >> REGISTER_BITS);
        one & mask | other & (EVEN ^ mask)
    };
    let odd = |group: u64| group >> REGISTER_BITS & EVEN;
    larger(one & EVEN, other & EVEN) | larger(odd(one), odd(other)) << REGISTER_BITS
}

fn check_list(list: &[u8]) -> Result<(), SketchError> {
    let (entries, rest) = list.as_chunks::<LISTED_BYTES>();
    if !rest.is_empty() || !(1..=SPARSE_MAX).contains(&entries.len()) {
        return Err(SketchError("a list of the wrong length"));
    }
    if !entries.is_sorted_by(|one, next| one < next) {
        return Err(SketchError("a list out of order"));
    }
    Ok(())
}

fn to_bytes(listed: u64) -> [u8; LISTED_BYTES] {
    let [_, _, _, bytes @ ..] = listed.to_be_bytes();
    bytes
}

fn from_bytes(entry: &[u8]) -> u64 {
    entry.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn sigma(x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut z) = (x, 1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
