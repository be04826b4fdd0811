//! A process without free descriptors. Runs itself again under a small limit, so that nothing else is starved.

#![cfg(feature = "tcp")]

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use lvs_health::{ProbeError, TcpCheck};

const INSIDE: &str = "LVS_HEALTH_TEST_SMALL_LIMIT";

#[test]
fn a_probe_waits_for_a_free_descriptor_and_blames_nobody_else() {
    if std::env::var_os(INSIDE).is_none() {
        let me = std::env::current_exe().expect("a test binary");
        let status = Command::new("sh")
            .args(["-c", "ulimit -n 64 && exec \"$0\" --exact --nocapture a_probe_waits_for_a_free_descriptor_and_blames_nobody_else"])
            .arg(me)
            .env(INSIDE, "1")
            .status()
            .expect("sh runs");
        assert!(status.success());
        return;
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let server: SocketAddr = listener.local_addr().expect("bound");
        let hog =
            || -> Vec<File> { std::iter::from_fn(|| File::open("/dev/null").ok()).take(1000).collect() };

        let held = hog();
        assert!(held.len() < 64, "the limit does not hold");
        let check = TcpCheck::new(server, Duration::from_millis(200));
        let error = check.probe().await.expect_err("no descriptor was free");
        assert!(matches!(error, ProbeError::Local { operation: "open socket", .. }), "{error}");
        assert!(!error.is_servers_fault());

        let check = TcpCheck::new(server, Duration::from_secs(20));
        let free = async {
            // The probe has tried at least once when this runs, since it was polled first.
            drop(held);
        };
        let (probe, ()) = tokio::join!(biased; check.probe(), free);
        probe.expect("it got the descriptor that was freed");
    });
}
