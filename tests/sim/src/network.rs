//! The links between the hosts of a segment: what they lose, delay, double and reorder.

use std::time::Duration;

use lvs_core::Instant;

use crate::random::Random;

/// One direction between two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Nothing gets through.
    pub is_cut: bool,
    /// Packets of a thousand that get lost.
    pub loss: u64,
    /// What every packet takes.
    pub delay: Duration,
    /// What a packet may take more.
    pub jitter: Duration,
    /// Packets of a thousand that arrive twice.
    pub doubled: u64,
    /// Whether a packet may overtake another.
    pub reorders: bool,
}

impl Link {
    /// Nothing is wrong; packets take up to this time.
    #[must_use]
    pub const fn clean(delay: Duration) -> Self {
        Self { is_cut: false, loss: 0, delay: Duration::ZERO, jitter: delay, doubled: 0, reorders: false }
    }
}

/// What becomes of a packet on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does not arrive.
    Lost,
    /// It arrives then.
    Arrives(Instant),
    /// It arrives then, and once more.
    Twice(Instant, Instant),
}

/// All links of all segments.
#[derive(Clone, Debug)]
pub struct Network {
    hosts: usize,
    links: Vec<Link>,
    /// When the last packet of a link arrives that must not be overtaken.
    last: Vec<Instant>,
    clean: Link,
    random: Random,
}

impl Network {
    /// That many hosts on that many segments, with clean links.
    #[must_use]
    pub fn new(hosts: usize, segments: usize, delay: Duration, random: Random) -> Self {
        let count = hosts * hosts * segments;
        let clean = Link::clean(delay);
        Self { hosts, links: vec![clean; count], last: vec![Instant::ORIGIN; count], clean, random }
    }

    /// What a link is without faults.
    #[must_use]
    pub fn clean_link(&self) -> Link {
        self.clean
    }

    /// The link of a segment from one host to another.
    pub fn link(&mut self, segment: usize, from: usize, to: usize) -> Option<&mut Link> {
        let index = self.index(segment, from, to);
        self.links.get_mut(index)
    }

    /// All links, one way and the other, of a segment or of all.
    pub fn links(&mut self) -> impl Iterator<Item = &mut Link> {
        self.links.iter_mut()
    }

    /// Nothing is wrong with any link.
    pub fn repair(&mut self) {
        let clean = self.clean;
        self.links.fill(clean);
    }

    /// Decides about a packet that is sent now.
    pub fn carry(&mut self, now: Instant, segment: usize, from: usize, to: usize) -> Fate {
        let index = self.index(segment, from, to);
        let (Some(link), Some(last)) = (self.links.get(index), self.last.get_mut(index)) else {
            return Fate::Lost;
        };
        if link.is_cut || (link.loss > 0 && self.random.happens(link.loss)) {
            return Fate::Lost;
        }
        let mut arrives = now + link.delay;
        if link.jitter > Duration::ZERO {
            arrives = arrives + self.random.time(link.jitter);
        }
        if !link.reorders {
            arrives = arrives.max(*last);
            *last = arrives;
        }
        if link.doubled > 0 && self.random.happens(link.doubled) {
            let again = arrives + self.random.time(link.jitter + Duration::from_micros(10));
            return Fate::Twice(arrives, again);
        }
        Fate::Arrives(arrives)
    }

    fn index(&self, segment: usize, from: usize, to: usize) -> usize {
        (segment * self.hosts + from) * self.hosts + to
    }
}
