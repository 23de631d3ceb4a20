//! How many things took how long, in fixed memory and a few instructions each.
//!
//! Four buckets for each power of two, in the manner of HdrHistogram: what a bucket says of a duration is right to a
//! quarter. The unit is that of whoever adds. Only [`Histogram::add`] is on a hot path.

use std::cell::Cell;

/// Buckets for each power of two.
const FINENESS: u32 = 2;
const PER_POWER: usize = 1 << FINENESS;
/// Enough for every number of 64 bits: those below four have one each.
const BUCKETS: usize = (64 - FINENESS as usize + 1) * PER_POWER;

pub(crate) struct Histogram {
    counts: [Cell<u64>; BUCKETS],
    largest: Cell<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: [const { Cell::new(0) }; BUCKETS], largest: Cell::new(0) }
    }
}

impl Histogram {
    #[inline]
    pub(crate) fn add(&self, value: u64) {
        let count = &self.counts[bucket_of(value)];
        count.set(count.get() + 1);
        self.largest.set(self.largest.get().max(value));
    }

    /// The largest value of all.
    pub(crate) fn largest(&self) -> u64 {
        self.largest.get()
    }

    /// The buckets that have something: the largest value that each can have, and how many it has.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.counts.iter().map(Cell::get).enumerate();
        counts.filter(|&(_, count)| count > 0).map(|(bucket, count)| (largest_in(bucket), count))
    }
}

#[inline]
fn bucket_of(value: u64) -> usize {
    let Some(power) = value.checked_ilog2().filter(|&power| power >= FINENESS) else {
        return usize::try_from(value).unwrap_or(0);
    };
    // The bits below the highest one say which of the power's buckets.
    #[allow(clippy::cast_possible_truncation)] // two bits
    let below = (value >> (power - FINENESS)) as usize & (PER_POWER - 1);
    (power - FINENESS + 1) as usize * PER_POWER + below
}

/// The largest value in the bucket.
fn largest_in(bucket: usize) -> u64 {
    let (power, below) = (bucket / PER_POWER, bucket % PER_POWER);
    let Some(shift) = power.checked_sub(1) else { return bucket as u64 };
    let next = (PER_POWER + below) as u128 + 1;
    u64::try_from((next << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another_and_are_right_to_a_quarter() {
        let powers = (0..64).map(|power| 1_u64 << power);
        let values = (0..5_000).chain(powers.flat_map(|value| [value - 1, value, value + value / 2])).chain([u64::MAX]);
        for value in values {
            let bucket = bucket_of(value);
            let largest = largest_in(bucket);
            assert!(bucket < BUCKETS && value <= largest && largest - value <= value / 4, "{value}");
            assert!(bucket == 0 || largest_in(bucket - 1) < value, "{value}");
        }
    }
}
