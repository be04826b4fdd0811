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
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::socket::watched;

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

    /// Sets it to the instant, or off; a time that has passed rings at once.
    pub(crate) fn set(&mut self, at: Option<Instant>) -> io::Result<()> {
        if self.set_to == at {
            return Ok(());
        }
        match at {
            Some(at) => {
                // An expiration of 0 would switch it off.
                let time = Duration::from_nanos(at.as_nanos().max(1));
                self.timer.get_ref().0.set(
                    Expiration::OneShot(TimeSpec::from_duration(time)),
                    TimerSetTimeFlags::TFD_TIMER_ABSTIME,
                )?;
            }
            None => self.timer.get_ref().0.unset()?,
        }
        self.set_to = at;
        Ok(())
    }

    pub(crate) fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.timer.poll_read_ready(cx).map(|ready| ready.map(|_| ()))
    }

    /// Makes ready for the next time, whether it rang or not.
    pub(crate) fn silence(&mut self) {
        // The notice is taken back only by the attempt that finds nothing.
        while self.timer.try_io(Interest::READABLE, |timer| Ok(timer.0.wait()?)).is_ok() {
            self.set_to = None;
        }
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
        let mut alarm = Alarm::new().unwrap();
        for delay in [20, 0, 5] {
            let at = now() + Duration::from_millis(delay);
            alarm.set(Some(at)).unwrap();
            poll_fn(|cx| alarm.poll_rung(cx)).await.unwrap();
            assert!(now() >= at);
            alarm.silence();
        }
    }
}
