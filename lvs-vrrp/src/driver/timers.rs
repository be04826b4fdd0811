//! Whose timer is next: the timers of all instances in one queue that does not allocate.

use lvs_core::Instant;

/// Timers known by a number from 0, each set to a time or not: a binary heap that knows where each timer is, so
/// that setting one anew costs the logarithm of their number.
#[derive(Debug)]
pub(super) struct Timers {
    /// The set ones; none is later than those at twice its place and one or two more.
    heap: Vec<(Instant, usize)>,
    /// The place of each timer in the heap.
    places: Vec<Option<usize>>,
}

impl Timers {
    /// That many timers, none of them set.
    pub(super) fn new(count: usize) -> Self {
        Self { heap: Vec::with_capacity(count), places: vec![None; count] }
    }

    /// When the first one expires.
    pub(super) fn first(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// Whether a timer is set.
    pub(super) fn is_set(&self, timer: usize) -> bool {
        self.places[timer].is_some()
    }

    /// What a timer is set to.
    pub(super) fn get(&self, timer: usize) -> Option<Instant> {
        self.places[timer].map(|place| self.heap[place].0)
    }

    /// A timer that expired by now, the earliest first, and of several those with the lower number; it is not set
    /// any more.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(Instant, usize)> {
        let first = *self.heap.first()?;
        if first.0 > now {
            return None;
        }
        self.set(first.1, None);
        Some(first)
    }

    /// Sets a timer to a time, or not at all.
    pub(super) fn set(&mut self, timer: usize, at: Option<Instant>) {
        match (self.places[timer], at) {
            (None, None) => {}
            (None, Some(at)) => {
                self.heap.push((at, timer));
                self.rise(self.heap.len() - 1);
            }
            (Some(place), Some(at)) => {
                let before = std::mem::replace(&mut self.heap[place].0, at);
                if before != at {
                    self.settle(place);
                }
            }
            (Some(place), None) => {
                self.heap.swap_remove(place);
                self.places[timer] = None;
                if place < self.heap.len() {
                    self.settle(place);
                }
            }
        }
    }

    fn settle(&mut self, place: usize) {
        let place = self.rise(place);
        self.sink(place);
    }

    /// Moves what is at this place to where nothing before it is later; answers where that is.
    fn rise(&mut self, mut place: usize) -> usize {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent] <= entry {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
        place
    }

    /// Moves what is at this place to where nothing behind it is earlier.
    fn sink(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let Some(&first) = self.heap.get(left) else { break };
            let (child, earlier) = match self.heap.get(right) {
                Some(&second) if second < first => (right, second),
                _ => (left, first),
            };
            if entry <= earlier {
                break;
            }
            self.put(place, earlier);
            place = child;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: (Instant, usize)) {
        self.heap[place] = entry;
        self.places[entry.1] = Some(place);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn timers_expire_in_order_of_time_and_number_however_they_were_set(
            settings in proptest::collection::vec((0usize..20, proptest::option::of(0u64..50)), 0..200),
        ) {
            let mut timers = Timers::new(20);
            let mut expected = [None; 20];
            for (timer, at) in settings {
                let at = at.map(Instant::from_nanos);
                timers.set(timer, at);
                expected[timer] = at;
                let first = expected.iter().flatten().min().copied();
                prop_assert_eq!(timers.first(), first);
            }
            let now = Instant::from_nanos(25);
            let in_order: BTreeSet<(Instant, usize)> =
                expected.iter().enumerate().filter_map(|(timer, at)| Some(((*at)?, timer))).collect();
            let expired: Vec<_> = std::iter::from_fn(|| timers.expired(now)).collect();
            let due: Vec<_> = in_order.into_iter().filter(|(at, _)| *at <= now).collect();
            prop_assert_eq!(expired, due);
        }
    }
}
