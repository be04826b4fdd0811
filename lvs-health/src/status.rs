//! Which HTTP status codes count as serving.

use std::fmt;
use std::ops::RangeInclusive;

use crate::error::ConfigError;

/// A set of HTTP status codes, 100 to 599 (keepalived: `status_code`).
///
/// ```
/// use lvs_health::StatusCodes;
///
/// let codes = StatusCodes::from_ranges([200..=299, 301..=301])?;
/// assert!(codes.contains(204) && codes.contains(301));
/// assert!(!codes.contains(302));
/// assert_eq!(codes.to_string(), "200-299 301");
/// # Ok::<(), lvs_health::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StatusCodes {
    /// One bit per code, counted from [`LOWEST`].
    bits: [u64; 8],
}

impl StatusCodes {
    /// The codes of all these ranges.
    ///
    /// # Errors
    /// A range that is empty or not within 100–599.
    pub fn from_ranges(ranges: impl IntoIterator<Item = RangeInclusive<u16>>) -> Result<Self, ConfigError> {
        let mut codes = Self { bits: [0; 8] };
        for range in ranges {
            let (first, last) = (*range.start(), *range.end());
            if first < LOWEST || last > HIGHEST || first > last {
                return Err(ConfigError::StatusCodes(first, last));
            }
            for code in range {
                if let Some((word, bit)) = position(code) {
                    codes.bits[word] |= bit;
                }
            }
        }
        Ok(codes)
    }

    /// Whether that code is in the set; false for one outside 100–599.
    #[must_use]
    pub fn contains(&self, code: u16) -> bool {
        position(code).is_some_and(|(word, bit)| self.bits[word] & bit != 0)
    }
}

impl Default for StatusCodes {
    /// 200–299, as in keepalived.
    fn default() -> Self {
        let mut codes = Self { bits: [0; 8] };
        for (word, bit) in (200..=299).filter_map(position) {
            codes.bits[word] |= bit;
        }
        codes
    }
}

impl fmt::Display for StatusCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut code = LOWEST;
        let mut separator = "";
        while code <= HIGHEST {
            if self.contains(code) {
                let first = code;
                while self.contains(code + 1) {
                    code += 1;
                }
                write!(f, "{separator}{first}")?;
                if code > first {
                    write!(f, "-{code}")?;
                }
                separator = " ";
            }
            code += 1;
        }
        Ok(())
    }
}

impl fmt::Debug for StatusCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusCodes({self})")
    }
}

/// The word and the bit of a code; the word is below 8 because the codes are fewer than 512.
fn position(code: u16) -> Option<(usize, u64)> {
    let index = code.checked_sub(LOWEST).filter(|_| code <= HIGHEST)?;
    Some((usize::from(index / 64), 1 << (index % 64)))
}

const LOWEST: u16 = 100;
const HIGHEST: u16 = 599;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_exactly_the_sets_that_name_it() {
        for code in LOWEST..=HIGHEST {
            let codes = StatusCodes::from_ranges([code..=code]).expect("within range");
            assert_eq!(codes.to_string(), code.to_string());
            assert_eq!((0..=u16::MAX).filter(|code| codes.contains(*code)).count(), 1);
        }
        let all = StatusCodes::from_ranges([LOWEST..=HIGHEST]).expect("within range");
        assert_eq!(all.to_string(), "100-599");
    }

    #[test]
    fn codes_out_of_range_are_refused_and_named() {
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        for range in [99..=200, 200..=600, 300..=200, 0..=u16::MAX] {
            let error = StatusCodes::from_ranges([range.clone()]).expect_err("out of range");
            assert_eq!(error, ConfigError::StatusCodes(*range.start(), *range.end()));
        }
    }

    #[test]
    fn default_is_the_two_hundreds() {
        assert_eq!(StatusCodes::default().to_string(), "200-299");
    }
}
