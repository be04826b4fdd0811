//! Drivers on transports of the application's own, and on those that cannot do all that raw sockets can.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic)] // What cannot be had is a failed test.

mod running;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use lvs_core::{Family, Role};
use lvs_vrrp::{Arrivals, Departures, Listen, Receiver, Sender, Transport};

use crate::running::{Running, host, instance, link, until};

/// Its receivers say for ever that there may be more, and give nothing.
#[derive(Clone, Debug, Default)]
struct Tireless {
    sent: Arc<AtomicU64>,
}

impl Transport for Tireless {
    fn receiver(&mut self, _: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        Ok(Box::new(self.clone()))
    }

    fn sender(&mut self, _: &str, _: u32, _: Family) -> io::Result<Box<dyn Sender>> {
        Ok(Box::new(self.clone()))
    }
}

impl Receiver for Tireless {
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn receive(&mut self, _: &mut Arrivals) -> io::Result<bool> {
        Ok(true)
    }
}

impl Sender for Tireless {
    fn send(&mut self, departures: &Departures, _: &mut Vec<(usize, io::Error)>) {
        let count = u64::try_from(departures.len()).unwrap();
        self.sent.fetch_add(count, Ordering::SeqCst);
    }
}

// All in one thread: the driver has to let the test run, too.
#[tokio::test(flavor = "current_thread")]
async fn a_receiver_that_always_says_that_there_may_be_more_keeps_nobody_from_advertising_or_stopping() {
    let transport = Tireless::default();
    let sent = Arc::clone(&transport.sent);
    let config = instance("a", "lan", 1, 150, 1);
    let mut running = Running::start(vec![config], transport, &[link("lan", &[host(1)])]);
    running.wait_for("a", Role::Master).await;
    let before = sent.load(Ordering::SeqCst);
    until("it goes on advertising", || sent.load(Ordering::SeqCst) > before + 5).await;
    running.handle.shutdown();
    // The channel closes when the driver is gone.
    running.events_of("a", |_| false).await;
    assert_eq!(running.role("a"), Role::Initialize);
}
