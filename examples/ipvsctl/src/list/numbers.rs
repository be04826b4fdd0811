//! Counters and rates in a column of nine, abbreviated where they do not fit.

use std::fmt;

/// A counter as ipvsadm shows it: up to 99,999,999 in full, above that in thousands (`K`, `M`, `G`, `T`) rounded down.
pub(super) struct Counter {
    pub(super) value: u64,
    /// In full, however long.
    pub(super) exact: bool,
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, exact } = *self;
        if exact {
            return write!(f, " {value:8}");
        }
        let (divisor, unit) = match value {
            0..=99_999_999 => return write!(f, "{value:9}"),
            100_000_000..=999_999_999 => (1_000, 'K'),
            1_000_000_000..=99_999_999_999 => (1_000_000, 'M'),
            100_000_000_000..=99_999_999_999_999 => (1_000_000_000, 'G'),
            100_000_000_000_000.. => (1_000_000_000_000, 'T'),
        };
        write!(f, "{:8}{unit}", value / divisor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_abbreviated_where_ipvsadm_does_it() {
        // Read off ipvsadm 1.31 by giving it these counters.
        for (value, shown, exact) in [
            (0, "        0", "        0"),
            (99_999_999, " 99999999", " 99999999"),
            (100_000_000, "  100000K", " 100000000"),
            (123_456_789, "  123456K", " 123456789"),
            (999_999_999, "  999999K", " 999999999"),
            (1_000_000_000, "    1000M", " 1000000000"),
            (12_345_678_901, "   12345M", " 12345678901"),
            (99_999_999_999, "   99999M", " 99999999999"),
            (100_000_000_000, "     100G", " 100000000000"),
            (99_999_999_999_999, "   99999G", " 99999999999999"),
            (100_000_000_000_000, "     100T", " 100000000000000"),
            (9_999_999_999_999_999_999, " 9999999T", " 9999999999999999999"),
            (u64::MAX, "18446744T", " 18446744073709551615"),
        ] {
            assert_eq!(Counter { value, exact: false }.to_string(), shown);
            assert_eq!(Counter { value, exact: true }.to_string(), exact);
        }
    }
}
