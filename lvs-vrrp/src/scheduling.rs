//! Has the kernel run a driver's thread before others, so that adverts are not late on a busy machine.

use std::io;

use crate::socket;

/// Gives the calling thread a priority in real time, 1 to 99 (`SCHED_RR`): it runs before all ordinary threads. What
/// it starts does not inherit that. Needs `CAP_SYS_NICE`, or a limit `RLIMIT_RTPRIO` that allows it.
///
/// To be called on the thread that runs the [`Driver`](crate::Driver), and on no other: a thread that does more than
/// that would keep others from running.
///
/// ```no_run
/// # fn run() {}
/// std::thread::spawn(|| {
///     if let Err(error) = lvs_vrrp::scheduling::set_realtime(50) {
///         eprintln!("adverts may be late: {error}");
///     }
///     run();
/// });
/// ```
///
/// # Errors
/// The kernel refuses it; [`io::ErrorKind::InvalidInput`] for a priority out of range.
pub fn set_realtime(priority: u8) -> io::Result<()> {
    socket::set_round_robin(priority)
}

/// Gives the calling thread a niceness of -20, which is served first, to 19. A lower one than before needs
/// `CAP_SYS_NICE`, or a limit `RLIMIT_NICE` that allows it.
///
/// # Errors
/// The kernel refuses it. What is out of range becomes the nearest that is in it.
pub fn set_niceness(niceness: i8) -> io::Result<()> {
    socket::set_niceness(niceness)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The calling thread's niceness (proc(5), field 19).
    fn niceness() -> Option<i8> {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        after_name.split_whitespace().nth(16)?.parse().ok()
    }

    #[test]
    fn niceness_is_that_of_one_thread() {
        let before = niceness().unwrap();
        let wanted = before.saturating_add(1).min(19);
        let inside = std::thread::spawn(move || {
            set_niceness(wanted).unwrap();
            niceness()
        });
        assert_eq!(inside.join().unwrap(), Some(wanted));
        assert_eq!(niceness(), Some(before));
    }

    #[test]
    fn a_priority_that_there_is_not_is_refused() {
        for priority in [0, 100] {
            assert_eq!(set_realtime(priority).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
