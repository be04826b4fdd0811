//! Waits for something to become true, instead of sleeping and hoping.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// What a probe of [`poll_until`] may return: `bool`, `Option<T>` or `Result<T, E>`, whose error is what was seen.
pub trait Condition {
    /// What the wait returns.
    type Value;

    /// The value, or what was seen instead.
    fn settle(self) -> Result<Self::Value, String>;
}

impl Condition for bool {
    type Value = ();

    fn settle(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".into()) }
    }
}

impl<T> Condition for Option<T> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".into())
    }
}

impl<T, E: Display> Condition for Result<T, E> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Probes until the answer is `true`, `Some` or `Ok`, and returns its value; panics after `limit` with `what` was awaited
/// and what was seen last. Probes at least twice, the last time after `limit`.
///
/// ```
/// use std::time::Duration;
/// use lvs_tests::poll_until;
///
/// let mut count = 0;
/// let value = poll_until(Duration::from_secs(5), "the count reaches 3", || {
///     count += 1;
///     if count == 3 { Ok(count) } else { Err(format!("count is {count}")) }
/// });
/// assert_eq!(value, 3);
/// ```
#[track_caller]
pub fn poll_until<C: Condition>(limit: Duration, what: &str, mut probe: impl FnMut() -> C) -> C::Value {
    let start = Instant::now();
    loop {
        let late = start.elapsed() >= limit;
        match probe().settle() {
            Ok(value) => return value,
            Err(seen) if late => panic!("not within {limit:?}: {what}; last seen: {seen}"),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Probes for all of `span` and panics as soon as the answer is not `true`, `Some` or `Ok`.
#[track_caller]
pub fn holds_for<C: Condition>(span: Duration, what: &str, mut probe: impl FnMut() -> C) {
    let start = Instant::now();
    loop {
        let last = start.elapsed() >= span;
        if let Err(seen) = probe().settle() {
            panic!("did not hold after {:?}: {what}; seen: {seen}", start.elapsed());
        }
        if last {
            return;
        }
        thread::sleep(PAUSE);
    }
}

const PAUSE: Duration = Duration::from_millis(10);
