//! Health checks without an async runtime: the scheduler of lvs-health in a loop of one's own, on the standard library.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use lvs_core::check::{Failure, Success};
use lvs_core::{Health, Instant};
use lvs_health::{CheckId, Policy, Scheduler};

fn main() -> Result<(), Box<dyn Error>> {
    // The scheduler takes any clock that does not go backwards; it never reads one.
    let clock = std::time::Instant::now();
    let now = || Instant::ORIGIN + clock.elapsed();

    let mut listener = Some(TcpListener::bind("127.0.13.80:0")?);
    let server = listener.as_ref().ok_or("it listens")?.local_addr()?;
    let policy = Policy::every(Duration::from_millis(20))
        .ok_or("an interval is not zero")?
        .retry(2)
        .delay_before_retry(Duration::from_millis(5))
        .timeout(Duration::from_millis(500))
        .initially(Health::Down);
    let mut scheduler = Scheduler::new();
    scheduler.insert(CheckId::new(1), policy, Duration::ZERO, now());

    let mut ups = 0;
    while ups < 2 {
        while let Some(probe) = scheduler.poll_probe(now()) {
            let limit = (probe.deadline() - now()).max(Duration::from_millis(1));
            let outcome = match TcpStream::connect_timeout(&server, limit) {
                Ok(_) => Ok(Success::new("connected")),
                Err(error) => Err(Failure::new(error.kind().to_string())),
            };
            scheduler.handle_outcome(now(), probe, outcome);
        }
        while let Some(event) = scheduler.poll_event() {
            println!("{:?}", event.change);
            match event.change.health() {
                Health::Up => {
                    ups += 1;
                    listener = None; // The server's process ends…
                }
                Health::Down => listener = Some(TcpListener::bind(server)?), // … and is started again.
            }
        }
        if let Some(at) = scheduler.poll_timeout() {
            thread::sleep(at - now());
        }
    }
    drop(listener);
    Ok(())
}
