//! What happened, as a number to compare and, on demand, as lines to read.

use std::collections::VecDeque;
use std::fmt;

use lvs_core::Instant;

/// Folds every event into one number; two runs with the same number did the same.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    /// The last lines, and how many to keep; `None` keeps none, which is much faster.
    lines: Option<(VecDeque<String>, usize)>,
}

impl Trace {
    /// A trace that keeps that many lines.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: (keep > 0).then(|| (VecDeque::new(), keep)) }
    }

    /// The number.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Something happened. The line is made only if somebody wants to read it.
    pub fn note(&mut self, now: Instant, code: u64, line: impl FnOnce() -> String) {
        for word in [now.as_nanos(), code] {
            self.hash = (self.hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        }
        self.remark(now, line);
    }

    /// Something to read that is no event: it does not change the number.
    pub fn remark(&mut self, now: Instant, line: impl FnOnce() -> String) {
        if let Some((lines, keep)) = &mut self.lines {
            if lines.len() == *keep {
                lines.pop_front();
            }
            lines.push_back(format!("{now:?} {}", line()));
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().flat_map(|(lines, _)| lines).try_for_each(|line| writeln!(f, "  {line}"))
    }
}
