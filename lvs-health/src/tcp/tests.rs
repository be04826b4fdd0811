use std::net::Ipv4Addr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;

const T: Duration = Duration::from_secs(5);

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

#[tokio::test]
async fn a_listening_server_passes_and_sees_an_orderly_close() {
    let (listener, address) = listener().await;
    let check = TcpCheck::new(address, T);
    assert_eq!(check.check().await, Ok(Success::new("connected")));
    let (mut stream, _) = listener.accept().await.expect("the probe connected");
    // FIN reads as the end; RST would be an error.
    assert_eq!(stream.read(&mut [0; 16]).await.expect("no reset"), 0);
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let (listener, address) = listener().await;
    drop(listener);
    let error = TcpCheck::new(address, T).probe().await.expect_err("nobody listens");
    assert!(matches!(error, ProbeError::Refused), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_accept_times_out() {
    // The handshake of what exceeds the backlog is never finished, as if the server were gone.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback");
    socket.listen(0).expect("listens");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("bound");
    let timeout = Duration::from_millis(300);
    let mut held = Vec::new();
    let error = loop {
        let started = Instant::now();
        let check = TcpCheck::new(address, timeout);
        match check.connect(started).await {
            Ok(stream) => held.push(stream),
            Err(error) => {
                assert!(started.elapsed() >= timeout);
                break error;
            }
        }
        assert!(held.len() < 16, "the backlog is not bounded");
    };
    assert!(matches!(error, ProbeError::TimedOut { stage: Stage::Connecting, .. }), "{error}");
    assert_eq!(error.to_string(), "timed out after 300ms while connecting");
}

#[tokio::test]
async fn the_source_address_is_the_one_that_was_asked_for() {
    let (listener, address) = listener().await;
    let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 7), 0));
    TcpCheck::new(address, T).bind_to(source).probe().await.expect("it listens");
    let (_, peer) = listener.accept().await.expect("the probe connected");
    assert_eq!(peer.ip(), source.ip());
}

#[tokio::test]
async fn a_source_address_that_is_not_here_is_our_fault() {
    let (_listener, address) = listener().await;
    let source = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0));
    let error = TcpCheck::new(address, T).bind_to(source).probe().await.expect_err("not ours");
    assert!(matches!(error, ProbeError::Local { operation: "bind source address", .. }), "{error}");
    assert!(!error.is_servers_fault());
}

#[tokio::test]
async fn a_mixture_of_address_families_is_an_error_not_a_panic() {
    let (_listener, address) = listener().await;
    let source = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0));
    TcpCheck::new(address, T).bind_to(source).probe().await.expect_err("IPv6 source, IPv4 server");
}

#[tokio::test]
async fn an_endless_timeout_does_not_overflow() {
    let (_listener, address) = listener().await;
    TcpCheck::new(address, Duration::MAX).probe().await.expect("it listens");
}
