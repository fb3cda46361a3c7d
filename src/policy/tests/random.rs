//! Chance that is the same on every machine and in every run.

/// A generator (splitmix64). The same seed gives the same cases.
pub(in crate::policy) struct Random(u64);

impl Random {
    pub(in crate::policy) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub(in crate::policy) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// True in so many cases of a hundred.
    pub(in crate::policy) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `from`.
    pub(in crate::policy) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Each of `from` with a chance of `percent`.
    pub(in crate::policy) fn some<'a, T: ?Sized>(&mut self, from: &[&'a T], percent: usize) -> Vec<&'a T> {
        from.iter().copied().filter(|_| self.chance(percent)).collect()
    }
}
