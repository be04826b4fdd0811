//! The driver's clock and its one alarm, both on `CLOCK_BOOTTIME`, which goes on while the machine is
//! suspended.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::task::{Context, Poll};
use std::time::Duration;

use lvs_core::Instant;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd;
use nix::sys::timerfd::{Expiration, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId, clock_gettime};
use tokio::io::unix::AsyncFd;

use crate::transport::raw::watched;

/// The time now on `CLOCK_BOOTTIME`, the clock of all instants that the driver gives out.
#[must_use]
pub fn now() -> Instant {
    // The clock exists on every kernel since 2.6.39 and cannot fail; without it time would stand still.
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(Instant::ORIGIN, |time| Instant::ORIGIN + Duration::from(time))
}

/// A timer of the kernel that is set to a point in time. tokio's own timers would be one to two milliseconds
/// late.
pub(crate) struct Alarm {
    timer: AsyncFd<Timer>,
    set_to: Option<Instant>,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = Timer(timerfd::TimerFd::new(timerfd::ClockId::CLOCK_BOOTTIME, flags)?);
        Ok(Self { timer: watched(timer)?, set_to: None })
    }

    /// Has it ring at the instant; a time that has passed rings at once. It may ring earlier, and once without
    /// need: setting it costs more than looking at the clock.
    pub(crate) fn set(&mut self, at: Option<Instant>) -> io::Result<()> {
        let Some(at) = at else { return Ok(()) };
        if self.set_to.is_some_and(|set_to| set_to <= at) {
            return Ok(());
        }
        // An expiration of 0 would switch it off. What rang before is forgotten by this.
        let time = Duration::from_nanos(at.as_nanos().max(1));
        self.timer
            .get_ref()
            .0
            .set(Expiration::OneShot(TimeSpec::from_duration(time)), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        self.set_to = Some(at);
        Ok(())
    }

    /// Ready once for each time that it rings; then it has to be set anew.
    pub(crate) fn poll_rung(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Poll::Ready(rung) = self.timer.poll_read_ready(cx) else { return Poll::Pending };
        // Taken back without reading, which would be one more system call: until it is set anew nothing rings.
        rung.map(|mut notice| notice.clear_ready())?;
        self.set_to = None;
        Poll::Ready(Ok(()))
    }
}

struct Timer(timerfd::TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_alarm_rings_not_before_its_time_and_again_when_set_again() {
        // VR-102.
        let mut alarm = Alarm::new().unwrap();
        for delay in [20, 0, 5] {
            let at = now() + Duration::from_millis(delay);
            alarm.set(Some(at)).unwrap();
            poll_fn(|cx| alarm.poll_rung(cx)).await.unwrap();
            assert!(now() >= at);
        }
    }
}
