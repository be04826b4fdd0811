//! Asks the operating system to run the calling thread punctually.
//!
//! A driver that shares its processor with busy programs is late by up to hundreds of milliseconds, which at a short
//! interval is longer than a backup waits. These settings are for the thread that runs it.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! std::thread::spawn(|| {
//!     if let Err(error) = lvs_vrrp::thread::set_realtime(50) {
//!         eprintln!("adverts may be late: {error}");
//!     }
//!     // run the driver here
//! });
//! # Ok(())
//! # }
//! ```

// Neither `nix` nor the standard library has these two calls; they have nothing to do with sockets.
#![allow(unsafe_code)]

use std::{io, mem};

/// Runs the calling thread before all that is not real time, by turns with others of the same priority: `SCHED_RR` of
/// sched(7). What the thread starts is ordinary again.
///
/// # Errors
/// A priority that is not 1 to 99, or no `CAP_SYS_NICE`.
pub fn set_realtime(priority: u8) -> io::Result<()> {
    // SAFETY: all zeros are a value of this struct of integers.
    let mut parameters: libc::sched_param = unsafe { mem::zeroed() };
    parameters.sched_priority = priority.into();
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is valid for the call, which keeps nothing; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets the niceness of the calling thread alone, -20 (served first) to 19; beyond that the nearest.
///
/// # Errors
/// Less than it was, and no `CAP_SYS_NICE`.
pub fn set_niceness(niceness: i8) -> io::Result<()> {
    // SAFETY: no memory is involved. 0 is PRIO_PROCESS, whose type is not the same everywhere, and the calling thread.
    match unsafe { libc::setpriority(0, 0, niceness.into()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields of the calling thread in proc(5): niceness (19), real-time priority (40), policy (41).
    fn fields() -> [i64; 3] {
        let text = std::fs::read_to_string("/proc/thread-self/stat").expect("proc(5)");
        // The name, which may have spaces, ends with the last parenthesis; the third field follows.
        let rest: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        [19, 40, 41].map(|field| rest[field - 3].parse().expect("a number"))
    }

    #[test]
    fn settings_are_of_the_calling_thread_alone() {
        let before = fields();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                set_niceness(7).expect("nicer is always allowed");
                assert_eq!(fields()[0], 7);
                match set_realtime(3) {
                    // 2 is SCHED_RR.
                    Ok(()) => assert_eq!(fields()[1..], [3, 2]),
                    Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
                }
            });
        });
        assert_eq!(fields(), before);
    }

    #[test]
    fn a_priority_out_of_range_is_an_error() {
        for priority in [0, 100] {
            assert!(set_realtime(priority).is_err());
        }
    }
}
