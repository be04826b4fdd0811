//! A web client inside a test host: one request, one connection.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::host::Host;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, as they came.
    pub headers: String,
    /// The body, up to 4 MiB.
    pub body: String,
}

/// Fetches `http://ADDRESS[:PORT]/PATH` from inside `host` (the address is a literal; IPv6 in brackets). `limit` is for
/// the whole exchange.
pub fn get(host: &Host, url: &str, limit: Duration) -> io::Result<Response> {
    let (authority, path) =
        split(url).ok_or_else(|| invalid(format!("{url:?} is not http://ADDRESS[:PORT]/PATH")))?;
    let server = server(authority).ok_or_else(|| invalid(format!("{authority:?} is not an address")))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    host.run(|| fetch(server, &request, limit))
}

fn fetch(server: SocketAddr, request: &str, limit: Duration) -> io::Result<Response> {
    let deadline = Instant::now() + limit;
    let left = || match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&server, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        if answer.len() > LONGEST_ANSWER {
            return Err(invalid("the answer is longer than 4 MiB".into()));
        }
    }
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| invalid("the answer is not HTTP".into()))
}

fn parse(answer: &str) -> Option<Response> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = status_line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, headers: headers.to_owned(), body: body.to_owned() })
}

fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    Some(rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash)))
}

fn server(authority: &str) -> Option<SocketAddr> {
    if let Ok(server) = authority.parse() {
        return Some(server);
    }
    let bare = authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(authority);
    Some(SocketAddr::new(bare.parse::<IpAddr>().ok()?, 80))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

const LONGEST_ANSWER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_into_server_and_path() {
        for (url, expected, path) in [
            ("http://10.5.0.100", "10.5.0.100:80", "/"),
            ("http://10.5.0.100:8080/a?b", "10.5.0.100:8080", "/a?b"),
            ("http://[fd00::1]/a/b", "[fd00::1]:80", "/a/b"),
            ("http://[fd00::1]:81/", "[fd00::1]:81", "/"),
        ] {
            let (authority, found) = split(url).expect("a URL");
            assert_eq!(
                server(authority).map(|server| server.to_string()).as_deref(),
                Some(expected),
                "{url}"
            );
            assert_eq!(found, path, "{url}");
        }
        assert_eq!(split("https://10.5.0.100/"), None);
        assert_eq!(server("example.org"), None);
    }

    #[test]
    fn answers_are_split_into_status_headers_and_body() {
        let parsed = parse("HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\nno\r\n\r\nway").expect("HTTP");
        assert_eq!((parsed.status, parsed.body.as_str()), (404, "no\r\n\r\nway"));
        assert_eq!(parse("SSH-2.0-OpenSSH\r\n\r\n"), None);
    }
}
