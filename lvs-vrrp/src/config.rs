//! What a router is told: interval, priority, and when to take over, to announce and to give up.

use std::num::NonZeroU8;
use std::time::Duration;

use crate::timing;
use crate::types::{Interval, OutOfRange, Priority};

/// Configuration of one [`Router`](crate::Router).
///
/// What is not said is as in keepalived without `vrrp_strict`. A duration may be of any length; an
/// [`Instant`](crate::Instant) ends 584 years after its clock began, so what is longer means never.
///
/// ```
/// use std::time::Duration;
/// use lvs_vrrp::{AnnounceSchedule, Config, Interval, Preempt, Priority};
///
/// let config = Config::new(Interval::centis(100)?, Priority::new(150)?)
///     .with_preempt(Preempt::After(Duration::from_secs(30)))
///     .with_announcements(AnnounceSchedule::default().with_refresh(Duration::from_secs(60)));
/// assert_eq!(config.claim_timeout(), Duration::from_nanos(3_414_062_500));
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    interval: Interval,
    priority: Priority,
    preempt: Preempt,
    start: Start,
    start_delay: Duration,
    down_timer_adverts: DownTimerAdverts,
    announcements: AnnounceSchedule,
    lower_prio_no_advert: bool,
    higher_prio_send_advert: bool,
    owner_ignore_adverts: bool,
    yield_when_late: bool,
    highest_other: Option<Priority>,
    claim_timeout: Option<Duration>,
}

impl Config {
    /// A router that preempts, starts as backup at once, takes over after three missed adverts, and announces
    /// as keepalived does by default.
    #[must_use]
    pub const fn new(interval: Interval, priority: Priority) -> Self {
        Self {
            interval,
            priority,
            preempt: Preempt::Always,
            start: Start::Backup,
            start_delay: Duration::ZERO,
            down_timer_adverts: DownTimerAdverts::RFC,
            announcements: AnnounceSchedule::KEEPALIVED,
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            owner_ignore_adverts: false,
            yield_when_late: false,
            highest_other: None,
            claim_timeout: None,
        }
    }

    /// Another interval, and with it perhaps another version.
    #[must_use]
    pub const fn with_interval(mut self, interval: Interval) -> Self {
        self.interval = interval;
        self
    }

    /// Another priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Whether to take over from a master of lower priority. Default: always.
    #[must_use]
    pub const fn with_preempt(mut self, preempt: Preempt) -> Self {
        self.preempt = preempt;
        self
    }

    /// How long to listen when enabled. Default: as a backup.
    #[must_use]
    pub const fn with_start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// How long to stay in INITIALIZE when enabled, deaf and dumb, before all else. Default: not at all
    /// (keepalived's `vrrp_startup_delay`).
    ///
    /// It is for links that pass packets, then none for some seconds, and then do again when a host boots: what
    /// is heard during the delay counts for nothing, and the whole wait for a master comes after it.
    #[must_use]
    pub const fn with_start_delay(mut self, delay: Duration) -> Self {
        self.start_delay = delay;
        self
    }

    /// How many adverts of the master may fail to come. Default: 3, the RFC's number. All routers of a virtual
    /// router must agree (keepalived's `down_timer_adverts`).
    #[must_use]
    pub const fn with_down_timer_adverts(mut self, adverts: DownTimerAdverts) -> Self {
        self.down_timer_adverts = adverts;
        self
    }

    /// When and how often the neighbours are told about the addresses. Default: keepalived's.
    #[must_use]
    pub const fn with_announcements(mut self, schedule: AnnounceSchedule) -> Self {
        self.announcements = schedule;
        self
    }

    /// As master, leave losing adverts without an answer: RFC 3768 and RFC 5798 want it so, RFC 9568 §6.4.3
    /// does not. Default: answer (keepalived's `lower_prio_no_advert`, which `vrrp_strict` sets).
    #[must_use]
    pub const fn with_lower_prio_no_advert(mut self, silent: bool) -> Self {
        self.lower_prio_no_advert = silent;
        self
    }

    /// As master, send one advert before yielding to a better router. It is a losing one for that router, which
    /// so has a reason to announce its addresses once more. Default: yield in silence, as the RFCs have it
    /// (keepalived's `higher_prio_send_advert`).
    #[must_use]
    pub const fn with_higher_prio_send_advert(mut self, send: bool) -> Self {
        self.higher_prio_send_advert = send;
        self
    }

    /// With priority 255, do as if no other router existed: RFC 5798 §7.1 as published. Of two owners none
    /// yields then. Default: listen, as erratum 8298 of RFC 9568 has it (keepalived's `owner_ignore_adverts`).
    #[must_use]
    pub const fn with_owner_ignore_adverts(mut self, ignore: bool) -> Self {
        self.owner_ignore_adverts = ignore;
        self
    }

    /// As master that was not run for so long that a backup must have taken over, become backup instead of
    /// claiming on. It makes sense together with [`Preempt::Never`] (keepalived's `timer_expired_backup`).
    /// Default: send one advert and announce.
    #[must_use]
    pub const fn with_yield_when_late(mut self, yields: bool) -> Self {
        self.yield_when_late = yields;
        self
    }

    /// The highest priority that another router of the virtual router can have: as a backup that one takes over first, and not
    /// before its skew time. Default: any, so that a master is late after the missed adverts alone (the number behind
    /// keepalived's `timer_expired_backup`).
    #[must_use]
    pub const fn with_highest_other_priority(mut self, priority: Priority) -> Self {
        self.highest_other = Some(priority);
        self
    }

    /// How long a master may be without its addresses before it gives up. Default: the longer of 3 s and the
    /// master down interval. Less than 100 ms counts as 100 ms: after that time, which doubles from one failure to the
    /// next, it tries again, and an owner that gave up at once would advertise and resign without end.
    #[must_use]
    pub const fn with_claim_timeout(mut self, timeout: Duration) -> Self {
        self.claim_timeout = Some(if timeout.as_millis() < LEAST_CLAIM_TIMEOUT.as_millis() {
            LEAST_CLAIM_TIMEOUT
        } else {
            timeout
        });
        self
    }

    /// The interval between adverts as master, and until a master was heard the one expected of it.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// The priority now.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// Whether to take over from a master of lower priority.
    #[must_use]
    pub const fn preempt(&self) -> Preempt {
        self.preempt
    }

    /// How long to listen when enabled.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// How long to stay in INITIALIZE when enabled.
    #[must_use]
    pub const fn start_delay(&self) -> Duration {
        self.start_delay
    }

    /// How many adverts of the master may fail to come.
    #[must_use]
    pub const fn down_timer_adverts(&self) -> DownTimerAdverts {
        self.down_timer_adverts
    }

    /// When and how often the neighbours are told about the addresses.
    #[must_use]
    pub const fn announcements(&self) -> &AnnounceSchedule {
        &self.announcements
    }

    /// Whether losing adverts stay without an answer.
    #[must_use]
    pub const fn lower_prio_no_advert(&self) -> bool {
        self.lower_prio_no_advert
    }

    /// Whether one advert is sent before yielding.
    #[must_use]
    pub const fn higher_prio_send_advert(&self) -> bool {
        self.higher_prio_send_advert
    }

    /// Whether an owner does as if no other router existed.
    #[must_use]
    pub const fn owner_ignore_adverts(&self) -> bool {
        self.owner_ignore_adverts
    }

    /// Whether a master that was not run for long becomes backup.
    #[must_use]
    pub const fn yield_when_late(&self) -> bool {
        self.yield_when_late
    }

    /// The highest priority that another router can have, if that is known.
    #[must_use]
    pub const fn highest_other_priority(&self) -> Option<Priority> {
        self.highest_other
    }

    /// How long a master may be without its addresses before it gives up.
    #[must_use]
    pub fn claim_timeout(&self) -> Duration {
        self.claim_timeout
            .unwrap_or_else(|| self.master_down_interval(self.interval).max(USUAL_CLAIM_TIMEOUT))
    }

    /// The claim timeout if it does not follow from interval and priority.
    pub(crate) const fn fixed_claim_timeout(&self) -> Option<Duration> {
        self.claim_timeout
    }

    /// How long this router, as a backup, waits for a master of that interval: the interval times
    /// [`down_timer_adverts`](Self::down_timer_adverts), and the skew.
    #[must_use]
    pub const fn master_down_interval(&self, master_interval: Interval) -> Duration {
        timing::missed(self.down_timer_adverts, master_interval)
            .saturating_add(timing::skew_time(master_interval, self.priority))
    }

    /// A master of that interval whose last advert is older than this may have been replaced meanwhile: the
    /// interval times [`down_timer_adverts`](Self::down_timer_adverts), and the skew of the
    /// [highest other priority](Self::with_highest_other_priority) if that is known. Where it is not, and the number of
    /// adverts is one, an advert that is in time would be too late; then the smallest skew is added.
    #[must_use]
    pub const fn overtaken_after(&self, master_interval: Interval) -> Duration {
        let missed = timing::missed(self.down_timer_adverts, master_interval);
        match (self.highest_other, self.down_timer_adverts.get()) {
            (Some(other), _) => missed.saturating_add(timing::skew_time(master_interval, other)),
            (None, 1) => missed.saturating_add(timing::skew_time(master_interval, Priority::OWNER)),
            (None, _) => missed,
        }
    }
}

/// How many adverts of a master may fail to come before a backup takes over, 1 to 100; 3 by RFC 3768 §6.1 and
/// RFC 9568 §6.1.
///
/// ```
/// use std::time::Duration;
/// use lvs_vrrp::{Config, DownTimerAdverts, Interval, Priority};
///
/// let interval = Interval::centis(100)?;
/// let config = Config::new(interval, Priority::new(100)?).with_down_timer_adverts(DownTimerAdverts::new(5)?);
/// assert_eq!(config.master_down_interval(interval), Duration::from_nanos(5_609_375_000));
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownTimerAdverts(u8);

impl DownTimerAdverts {
    /// The RFCs' number.
    pub const RFC: Self = Self(3);

    /// That many adverts.
    ///
    /// # Errors
    /// 0, and anything above 100.
    pub fn new(number: u8) -> Result<Self, OutOfRange> {
        OutOfRange::check("number of missed adverts", number.into(), 1..=100, "1 to 100")?;
        Ok(Self(number))
    }

    /// The number, 1 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for DownTimerAdverts {
    fn default() -> Self {
        Self::RFC
    }
}

/// Whether a backup takes over from a master of lower priority. The set is closed. An owner always does (RFC
/// 9568 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Preempt {
    /// Yes, as the RFC's Preempt_Mode true.
    #[default]
    Always,
    /// No: the incumbent stays (keepalived's `nopreempt`).
    Never,
    /// Only this long after the start, or after the lower master was first heard (keepalived's
    /// `preempt_delay`). A master that falls silent or resigns is replaced without this delay.
    After(Duration),
}

/// How long a router below priority 255 listens when it is enabled. The set is closed. An owner does not
/// listen at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// A whole master down interval (RFC 9568 §6.4.1).
    #[default]
    Backup,
    /// One interval and the smallest skew: where the first seconds after all routers have booted together count for
    /// more than an undisturbed master. A router that starts so beside a better one takes over from it if it misses one
    /// advert. (keepalived's `state MASTER` is not this: it waits a whole master down interval.)
    Master,
}

/// When a master tells the neighbours about its addresses (gratuitous ARP, unsolicited neighbour
/// advertisements), and by how many packets per address. The defaults are keepalived's.
///
/// ```
/// use std::time::Duration;
/// use lvs_vrrp::AnnounceSchedule;
///
/// let schedule = AnnounceSchedule::default().with_delay(Duration::from_secs(1));
/// assert_eq!(schedule.repeat().get(), 5);
/// assert_eq!(schedule.lower_prio_delay(), Duration::from_secs(1)); // unless it is set
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceSchedule {
    repeat: NonZeroU8,
    delay: Duration,
    refresh: Duration,
    refresh_repeat: NonZeroU8,
    lower_prio_repeat: Option<u8>,
    lower_prio_delay: Option<Duration>,
}

impl AnnounceSchedule {
    const KEEPALIVED: Self = Self {
        repeat: FIVE,
        delay: Duration::from_secs(5),
        refresh: Duration::ZERO,
        refresh_repeat: NonZeroU8::MIN,
        lower_prio_repeat: None,
        lower_prio_delay: None,
    };

    /// Packets in the round that follows the confirmation of the addresses and in the delayed one. Default 5
    /// (keepalived's `garp_master_repeat`).
    #[must_use]
    pub const fn with_repeat(mut self, packets: NonZeroU8) -> Self {
        self.repeat = packets;
        self
    }

    /// Time from the first round to a second one; zero for no second round. Default 5 s (keepalived's
    /// `garp_master_delay`).
    #[must_use]
    pub const fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Time from the first round to the first refresh and from each to the next; zero for none, the default.
    /// Less than a second counts as a second (keepalived's `garp_master_refresh`).
    #[must_use]
    pub const fn with_refresh(mut self, refresh: Duration) -> Self {
        self.refresh = none_or_a_second(refresh);
        self
    }

    /// Packets in each refresh. Default 1 (keepalived's `garp_master_refresh_repeat`).
    #[must_use]
    pub const fn with_refresh_repeat(mut self, packets: NonZeroU8) -> Self {
        self.refresh_repeat = packets;
        self
    }

    /// Packets in the round that follows a losing advert of another master, at most one such round per second;
    /// 0 for none. Default: as many as in the first round (keepalived's `garp_lower_prio_repeat`; `vrrp_strict`
    /// makes it 0).
    #[must_use]
    pub const fn with_lower_prio_repeat(mut self, packets: u8) -> Self {
        self.lower_prio_repeat = Some(packets);
        self
    }

    /// Time from the last losing advert to a further round of that many packets; zero for none. Default: as
    /// between the first and the second round (keepalived's `garp_lower_prio_delay`; `vrrp_strict` makes it 0).
    /// Less than a second counts as a second: a flood of adverts must not become a broadcast storm.
    #[must_use]
    pub const fn with_lower_prio_delay(mut self, delay: Duration) -> Self {
        self.lower_prio_delay = Some(delay);
        self
    }

    /// Packets in the first two rounds.
    #[must_use]
    pub const fn repeat(&self) -> NonZeroU8 {
        self.repeat
    }

    /// Time from the first round to the second; zero for no second.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        self.delay
    }

    /// Time between refreshes; zero for none.
    #[must_use]
    pub const fn refresh(&self) -> Duration {
        self.refresh
    }

    /// Packets in each refresh.
    #[must_use]
    pub const fn refresh_repeat(&self) -> NonZeroU8 {
        self.refresh_repeat
    }

    /// Packets in the round that follows a losing advert; 0 for none.
    #[must_use]
    pub const fn lower_prio_repeat(&self) -> u8 {
        match self.lower_prio_repeat {
            Some(packets) => packets,
            None => self.repeat.get(),
        }
    }

    /// Time from the last losing advert to a further round; zero for none.
    #[must_use]
    pub const fn lower_prio_delay(&self) -> Duration {
        none_or_a_second(match self.lower_prio_delay {
            Some(delay) => delay,
            None => self.delay,
        })
    }
}

impl AnnounceSchedule {
    /// Packets and delay after a losing advert where they do not follow from those after a takeover.
    pub(crate) const fn fixed_lower_prio(&self) -> (Option<u8>, Option<Duration>) {
        (self.lower_prio_repeat, self.lower_prio_delay)
    }
}

impl Default for AnnounceSchedule {
    fn default() -> Self {
        Self::KEEPALIVED
    }
}

/// The same, but a second if it is less and not zero.
const fn none_or_a_second(time: Duration) -> Duration {
    if time.as_secs() == 0 && !time.is_zero() { Duration::from_secs(1) } else { time }
}

const FIVE: NonZeroU8 = NonZeroU8::new(5).expect("not zero");

/// Netlink, or a link that comes up again, may take longer than a short master down interval.
const USUAL_CLAIM_TIMEOUT: Duration = Duration::from_secs(3);

const LEAST_CLAIM_TIMEOUT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_a_hundred_adverts_may_fail_to_come() {
        assert!(DownTimerAdverts::new(0).is_err());
        assert!(DownTimerAdverts::new(101).is_err());
        assert_eq!(DownTimerAdverts::new(100).unwrap().get(), 100);
        assert_eq!(DownTimerAdverts::default().get(), 3);
    }

    #[test]
    fn the_longest_wait_that_can_be_configured_does_not_overflow() {
        let config = Config::new(Interval::seconds(255).unwrap(), Priority::new(1).unwrap())
            .with_down_timer_adverts(DownTimerAdverts::new(100).unwrap());
        let wait = config.master_down_interval(config.interval());
        assert_eq!(wait, Duration::from_nanos(25_500_996_093_750));
        assert_eq!(config.claim_timeout(), wait);
    }

    #[test]
    fn what_follows_a_losing_advert_is_by_default_what_follows_a_takeover() {
        let schedule = AnnounceSchedule::default()
            .with_repeat(NonZeroU8::new(3).unwrap())
            .with_delay(Duration::from_secs(2));
        assert_eq!((schedule.lower_prio_repeat(), schedule.lower_prio_delay()), (3, Duration::from_secs(2)));
        let strict = schedule.with_lower_prio_repeat(0).with_lower_prio_delay(Duration::ZERO);
        assert_eq!((strict.lower_prio_repeat(), strict.lower_prio_delay()), (0, Duration::ZERO));
    }

    #[test]
    fn claims_are_given_a_tenth_of_a_second_at_least() {
        let timeout = |time| {
            Config::new(Interval::centis(1).unwrap(), Priority::OWNER)
                .with_claim_timeout(time)
                .claim_timeout()
        };
        for short in [Duration::ZERO, Duration::from_nanos(99_999_999)] {
            assert_eq!(timeout(short), Duration::from_millis(100));
        }
        for given in [Duration::from_millis(100), Duration::from_nanos(100_000_001), Duration::MAX] {
            assert_eq!(timeout(given), given);
        }
    }

    #[test]
    fn refreshes_are_never_less_than_a_second_apart() {
        let refresh = |ms| AnnounceSchedule::default().with_refresh(Duration::from_millis(ms)).refresh();
        assert_eq!(refresh(0), Duration::ZERO);
        assert_eq!(refresh(1), Duration::from_secs(1));
        assert_eq!(refresh(1500), Duration::from_millis(1500));
    }
}
