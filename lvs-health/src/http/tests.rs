use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a test's server does after it read the request, until the client is gone.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Sends this and waits for the client to close.
    Send(&'static [u8]),
    /// Sends this and closes.
    SendAndClose(&'static [u8]),
    /// Sends this and resets the connection.
    SendAndReset(&'static [u8]),
    /// Sends the first once, then the second for ever.
    Flood(&'static [u8], &'static [u8]),
    /// Sends the first once, then the second every 20 ms, for ever.
    Drip(&'static [u8], &'static [u8]),
}

/// A server of one connection; gives the bytes of the request. It ends when the client is gone.
async fn server(does: Does) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await.expect("readable") == 0 {
                return request;
            }
        }
        match does {
            Does::Send(bytes) => {
                let _ = stream.write_all(bytes).await;
                let _ = stream.read(&mut [0; 1]).await;
            }
            Does::SendAndClose(bytes) => {
                let _ = stream.write_all(bytes).await;
            }
            Does::SendAndReset(bytes) => {
                let _ = stream.write_all(bytes).await;
                let socket = socket2::SockRef::from(&stream);
                socket.set_linger(Some(Duration::ZERO)).expect("lingers");
            }
            Does::Flood(head, more) => {
                let _ = stream.write_all(head).await;
                while stream.write_all(more).await.is_ok() {}
            }
            Does::Drip(head, more) => {
                let _ = stream.write_all(head).await;
                while stream.write_all(more).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        request
    });
    (address, task)
}

async fn ask(does: Does, timeout: Duration) -> Result<u16, ProbeError> {
    let (address, task) = server(does).await;
    let started = Instant::now();
    let check = HttpCheck::new(address, "/", timeout).expect("a path").body_limit(64 << 10);
    let result = check.probe().await;
    assert!(started.elapsed() < timeout + Duration::from_secs(2), "{does:?} held the probe");
    // The server notices that the client is gone: nothing was leaked.
    tokio::time::timeout(Duration::from_secs(10), task)
        .await
        .expect("the socket is closed")
        .expect("no panic");
    result
}

async fn fails(does: Does) -> ProbeError {
    // Long, so that on a busy machine too it is the limit that ends the probe.
    match ask(does, Duration::from_secs(60)).await {
        Ok(status) => panic!("{does:?} passed with {status}"),
        Err(error) => error,
    }
}

async fn fails_late(does: Does) -> ProbeError {
    let timeout = Duration::from_millis(300);
    let started = Instant::now();
    let error = ask(does, timeout).await.expect_err("it must not pass");
    assert!(started.elapsed() >= timeout, "{does:?} failed early: {error}");
    error
}

/// The requests are those that keepalived 2.2.7 sends, but for the name of the client.
#[tokio::test]
async fn requests_have_the_form_that_keepalived_sends() {
    let cases = [
        (
            HttpProtocol::Http10,
            None,
            "GET /a?b=c HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: ADDR\r\n\r\n",
        ),
        (
            HttpProtocol::Http10Close,
            None,
            "GET /a?b=c HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: ADDR\r\n\r\n",
        ),
        (
            HttpProtocol::Http11,
            Some("www.example.org:99"),
            "GET /a?b=c HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.example.org:99\r\n\r\n",
        ),
    ];
    for (protocol, host, expected) in cases {
        let (address, task) = server(Does::Send(OK)).await;
        let mut check = HttpCheck::new(address, "/a?b=c", Duration::from_secs(5))
            .and_then(|check| check.user_agent("KeepAliveClient"))
            .expect("a check")
            .protocol(protocol);
        if let Some(host) = host {
            check = check.host(host).expect("a host");
        }
        assert_eq!(check.check().await, Ok(Success::new("status 200")));
        let request = String::from_utf8(task.await.expect("no panic")).expect("text");
        assert_eq!(request, expected.replace("ADDR", &address.to_string()));
    }
}

#[test]
fn host_of_an_ipv6_server_has_brackets_and_no_zone() {
    let server = "[fe80::1%3]:8080".parse().expect("an address");
    let check = HttpCheck::new(server, "/", Duration::from_secs(1)).expect("a check");
    assert_eq!(check.host, "[fe80::1]:8080");
}

#[tokio::test]
async fn complete_answers_pass() {
    let answers: [&'static [u8]; 7] = [
        OK,
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        // Compressed, as far as the server says: not our business.
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx",
    ];
    for answer in answers {
        let status = ask(Does::Send(answer), Duration::from_secs(5)).await.expect("it passes");
        assert!(status == 200 || status == 204);
    }
    let until_close = Does::SendAndClose(b"HTTP/1.0 200 OK\r\n\r\nas long as it takes");
    assert_eq!(ask(until_close, Duration::from_secs(5)).await.expect("it passes"), 200);
}

#[tokio::test]
async fn unwanted_status_fails_and_redirects_are_not_followed() {
    let error = fails(Does::Send(b"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")).await;
    assert!(matches!(error, ProbeError::Status { got: 301 }), "{error}");

    let (address, _task) = server(Does::Send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")).await;
    let check = HttpCheck::new(address, "/", Duration::from_secs(5)).expect("a path");
    assert_eq!(check.check().await, Err(Failure::new("status 503, wanted 200-299")));

    let wanted = StatusCodes::from_ranges([301..=301]).expect("codes");
    let (address, _task) = server(Does::Send(b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n")).await;
    let check = HttpCheck::new(address, "/", Duration::from_secs(5)).expect("a path").status(wanted);
    assert_eq!(check.probe().await.expect("wanted"), 301);
}

#[tokio::test]
async fn silent_and_slow_servers_fail_at_the_deadline_not_later() {
    let cases = [
        (Does::Send(b""), Stage::Head),
        (Does::Send(b"HTTP/1.1 200 OK\r\nContent-"), Stage::Head),
        (Does::Drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), Stage::Head),
        (Does::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"), Stage::Body),
        (Does::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nx"), Stage::Body),
        (Does::Drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), Stage::Body),
        (Does::Drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), Stage::Body),
    ];
    for (does, expected) in cases {
        let error = fails_late(does).await;
        assert!(
            matches!(error, ProbeError::TimedOut { stage, .. } if stage == expected),
            "{does:?}: {error}"
        );
    }
}

#[tokio::test]
async fn floods_fail_at_a_limit() {
    const KIB: &[u8] = &[b'x'; 1024];
    let error = fails(Does::Flood(b"HTTP/1.1 200 OK\r\n\r\n", KIB)).await;
    assert!(matches!(error, ProbeError::TooLong { what: "body", .. }), "{error}");

    let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let error = fails(Does::Flood(chunk, b"10\r\n0123456789abcdef\r\n")).await;
    assert!(matches!(error, ProbeError::TooLong { what: "body", .. }), "{error}");

    for does in [
        Does::Flood(b"HTTP/1.1 200 OK\r\n", b"X-Header: and another one and another one\r\n"),
        Does::Flood(b"HTTP/1.1 200 OK\r\nX-Long: ", KIB),
        Does::Flood(b"HTTP/1.1 200 ", KIB),
    ] {
        let error = fails(does).await;
        assert!(matches!(error, ProbeError::Malformed(_)), "{does:?}: {error}");
    }

    let error = fails(Does::Flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n")).await;
    assert!(matches!(error, ProbeError::TooLong { what: "interim responses", limit: 8 }), "{error}");
}

#[tokio::test]
async fn body_limit_is_exact() {
    for (limit, passes) in [(2, true), (1, false)] {
        let (address, _task) = server(Does::Send(OK)).await;
        let check = HttpCheck::new(address, "/", Duration::from_secs(5)).expect("a path").body_limit(limit);
        assert_eq!(check.probe().await.is_ok(), passes, "limit {limit}");
    }
}

#[tokio::test]
async fn malformed_answers_fail_with_a_reason() {
    let answers: [&'static [u8]; 13] = [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        b"just some text without any protocol\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/3.7 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\0Y: z\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nok\r\n",
    ];
    for answer in answers {
        let error = fails(Does::Send(answer)).await;
        assert!(
            matches!(&error, ProbeError::Malformed(why) if !why.is_empty()),
            "{}: {error:?}",
            answer.escape_ascii()
        );
    }
}

#[tokio::test]
async fn broken_connections_fail_and_say_where() {
    let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort";
    let error = fails(Does::SendAndClose(b"")).await;
    assert!(matches!(error, ProbeError::Closed(Stage::Head)), "{error:?}");
    let error = fails(Does::SendAndClose(b"HTTP/1.1 200 OK\r\nX: ")).await;
    assert!(matches!(error, ProbeError::Closed(Stage::Head)), "{error:?}");
    let error = fails(Does::SendAndClose(begun)).await;
    assert!(matches!(error, ProbeError::Closed(Stage::Body)), "{error:?}");
    let error = fails(Does::SendAndReset(b"")).await;
    assert!(matches!(error, ProbeError::Reset(Stage::Head)), "{error:?}");
    // Without a length a reset must not be taken for the end.
    for does in [Does::SendAndReset(begun), Does::SendAndReset(b"HTTP/1.0 200 OK\r\n\r\nshort")] {
        let error = fails(does).await;
        assert!(matches!(error, ProbeError::Reset(_)), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_before_the_question_ends_the_probe_at_once() {
    for close in [true, false] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let early = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let _ = stream.write_all(OK).await;
            if !close {
                while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
            }
        });
        let started = Instant::now();
        // Whether it passes depends on which of both comes first; both are right, only waiting is not.
        let result = HttpCheck::new(address, "/", Duration::from_secs(30)).expect("a path").probe().await;
        assert!(started.elapsed() < Duration::from_secs(15), "{result:?}");
        early.await.expect("no panic");
    }
}

#[test]
fn paths_and_headers_that_would_forge_a_request_are_refused() {
    let server = "127.0.0.1:80".parse().expect("an address");
    let check = |path| HttpCheck::new(server, path, Duration::from_secs(1));
    for path in ["", "*", "x", "/a b", "/a\r\nX: y", "/a#b", "/\u{e4}", "http://x/", "/\0"] {
        assert_eq!(check(path).err(), Some(ConfigError::Path(path.to_owned())), "{path:?}");
    }
    for path in ["/", "/a?b=c&d=%20", "//x", "/a:b;c,d'(e)*~", "/?"] {
        assert!(check(path).is_ok(), "{path:?}");
    }
    let host = "a\r\nX: y";
    let refused = check("/").and_then(|check| check.host(host)).err();
    assert_eq!(refused, Some(ConfigError::Header { header: "Host", value: host.to_owned() }));
}
