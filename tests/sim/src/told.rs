//! Keeps account of how much a router says to the outside (A13).

/// How much of something there may be: it grows with time, to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// In nanoseconds of growth.
    left: u64,
    at: u64,
}

impl Allowance {
    pub(crate) const fn new(there: u64, count: u64) -> Self {
        Self { left: count * SECOND, at: there }
    }

    /// One more, if that many per second and that many at once are allowed.
    pub(crate) fn take(&mut self, there: u64, per_second: u64, most: u64) -> bool {
        let grown = there.saturating_sub(self.at).saturating_mul(per_second);
        self.left = self.left.saturating_add(grown).min(most * SECOND);
        self.at = there;
        match self.left.checked_sub(SECOND) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    pub(crate) fn grant(&mut self, count: u64) {
        self.left += count * SECOND;
    }
}

const SECOND: u64 = 1_000_000_000;
