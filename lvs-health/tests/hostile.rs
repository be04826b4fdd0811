//! Real sockets: good servers among hostile ones, all asked by one runner. Alone in its process, since it counts descriptors.

#![cfg(feature = "http")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lvs_core::Check;
use lvs_health::{CheckId, Health, HttpCheck, Policy, Runner, TcpCheck, scatter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const GOOD: u64 = 150;
const HOSTILE: u64 = 50;
const PERIOD: Duration = Duration::from_secs(1);

/// When each path was asked for.
type Log = Arc<Mutex<BTreeMap<String, Vec<Instant>>>>;

#[derive(Clone)]
enum Kind {
    Good(Log),
    Silent,
    SlowHead,
    EndlessBody,
    Garbage,
    Reset,
}

impl Kind {
    async fn serve(self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        match self {
            Self::Good(log) => {
                let request = String::from_utf8_lossy(&request);
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                log.lock().expect("not poisoned").entry(path).or_default().push(Instant::now());
                stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").await
            }
            Self::Silent => stream.read(&mut [0]).await.map(|_| ()),
            Self::SlowHead => loop {
                stream.write_all(b"H").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            },
            Self::EndlessBody => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                loop {
                    stream.write_all(&[b'x'; 16384]).await?;
                }
            }
            Self::Garbage => stream.write_all(&[0; 100]).await,
            Self::Reset => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
        }
    }
}

async fn server(kind: Kind, servers: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    connections.spawn(kind.clone().serve(stream));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    address
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("there is one");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
async fn fifty_hostile_servers_neither_delay_nor_harm_a_hundred_and_fifty_good_ones() {
    let descriptors_before = descriptors();
    let log = Log::default();
    let mut servers = JoinSet::new();
    let good = server(Kind::Good(Arc::clone(&log)), &mut servers).await;
    let mut hostile = Vec::new();
    for kind in [Kind::Silent, Kind::SlowHead, Kind::EndlessBody, Kind::Garbage, Kind::Reset] {
        hostile.push(server(kind, &mut servers).await);
    }

    let (runner, handle, mut events) = Runner::new();
    let runner = tokio::spawn(runner.run());
    // Long, so that on a busy machine too no good server is late.
    let timeout = Duration::from_secs(3);
    let policy = Policy::every(PERIOD).expect("not zero").retry(1).timeout(timeout);
    let resident_before = resident_kib();
    for number in 0..GOOD + HOSTILE {
        let http = |server: SocketAddr| {
            HttpCheck::new(server, &format!("/{number}"), timeout).expect("a path").body_limit(256 << 10)
        };
        let check: Arc<dyn Check> = if number >= GOOD {
            let nth = usize::try_from(number).expect("small") % hostile.len();
            Arc::new(http(hostile[nth]))
        } else if number % 2 == 0 {
            Arc::new(http(good))
        } else {
            Arc::new(TcpCheck::new(good, timeout))
        };
        let id = CheckId::new(number);
        handle.insert(id, policy, scatter(1, id, PERIOD), check).await.expect("it runs");
    }

    // Until every hostile one is down and every good one was asked six times.
    let mut down = BTreeMap::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while down.len() < usize::try_from(HOSTILE).expect("small")
        || log.lock().expect("not poisoned").values().filter(|times| times.len() >= 6).count() < 75
    {
        assert!(tokio::time::Instant::now() < deadline, "down so far: {down:?}");
        let wait = tokio::time::timeout(Duration::from_millis(50), events.recv());
        if let Ok(event) = wait.await {
            let event = event.expect("it runs");
            assert_eq!(event.change.health(), Health::Down);
            assert!(event.id.as_u64() >= GOOD, "a good server went down: {event:?}");
            down.insert(event.id.as_u64(), event.change);
        }
    }
    let resident = resident_kib().saturating_sub(resident_before);
    assert!(resident < 16 << 10, "{resident} KiB more");

    // Exact delays are a matter of the runner's own tests, with a virtual clock; here a busy machine has its say.
    let mut periods: Vec<Duration> = Vec::new();
    for times in log.lock().expect("not poisoned").values() {
        periods.extend(times.windows(2).map(|pair| pair[1] - pair[0]));
    }
    periods.sort_unstable();
    let median = periods[periods.len() / 2];
    assert!(median < PERIOD.mul_f64(1.1), "half of the periods exceed {median:?}");

    let reasons: BTreeSet<_> = handle
        .reports()
        .await
        .expect("it runs")
        .into_iter()
        .filter_map(|report| report.last?.outcome.err().map(|failure| failure.why().to_owned()))
        .collect();
    for part in ["timed out after 3s while waiting for the response", "body exceeds", "malformed", "reset"] {
        assert!(reasons.iter().any(|reason| reason.contains(part)), "{part:?} is not in {reasons:?}");
    }

    handle.shutdown().await.expect("it runs");
    runner.await.expect("it ended by itself");
    servers.shutdown().await;
    while descriptors() > descriptors_before {
        assert!(tokio::time::Instant::now() < deadline, "descriptors leaked");
        tokio::task::yield_now().await;
    }
}
