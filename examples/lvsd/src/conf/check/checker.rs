//! `TCP_CHECK` and `HTTP_GET`, and the times that checks inherit from their servers.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::diagnostic::{Code, Diagnostic};
use super::super::known::Kind;
use super::super::lexer::Word;
use super::super::model::{Check, HttpRequest, Probe};
use super::super::source::Span;
use super::super::tree::Node;
use super::{Cx, Keyword, Seen, first, inner};

/// Times and counts of checks, as far as they were said at one place.
#[derive(Default, Clone, Copy)]
pub(super) struct Policy {
    connect_timeout: Option<Duration>,
    retry: Option<u32>,
    delay_before_retry: Option<Duration>,
    delay_loop: Option<Duration>,
    warmup: Option<Duration>,
}

impl Policy {
    /// This one's parts, else those of the place around it.
    pub(super) fn or(self, outer: Self) -> Self {
        Self {
            connect_timeout: self.connect_timeout.or(outer.connect_timeout),
            retry: self.retry.or(outer.retry),
            delay_before_retry: self.delay_before_retry.or(outer.delay_before_retry),
            delay_loop: self.delay_loop.or(outer.delay_loop),
            warmup: self.warmup.or(outer.warmup),
        }
    }

    pub(super) fn set_connect_timeout(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.connect_timeout = cx.seconds(node, MICROSECOND, LONGEST);
    }

    pub(super) fn set_retry(&mut self, cx: &mut Cx<'_>, node: &Node, least: u32) {
        self.retry = cx.number_u32(&node.keyword.text, first(node), least..=u32::MAX);
    }

    pub(super) fn set_delay_before_retry(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.delay_before_retry = cx.seconds(node, Duration::ZERO, LONGEST);
    }

    pub(super) fn set_delay_loop(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.delay_loop = cx.seconds(node, MICROSECOND, LONGEST_LOOP);
    }

    pub(super) fn set_warmup(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.warmup = cx.seconds(node, Duration::ZERO, LONGEST);
    }
}

/// A check whose server's address and inherited times are not known yet.
pub(super) struct CheckDraft {
    at: Span,
    probe: ProbeDraft,
    options: Options,
}

enum ProbeDraft {
    Tcp,
    Http { requests: Vec<RequestDraft>, host: Option<String> },
}

impl CheckDraft {
    /// With what it inherits: the server's address, times, and host name.
    pub(super) fn finish(
        self,
        cx: &mut Cx<'_>,
        server: SocketAddr,
        outer: Policy,
        host: Option<&str>,
    ) -> Check {
        let policy = self.options.policy.or(outer);
        let (probe, default_delay) = match self.probe {
            ProbeDraft::Tcp => (Probe::Tcp, Duration::from_secs(1)),
            ProbeDraft::Http { requests, host: own } => {
                let host = own.as_deref().or(host);
                let requests = requests.into_iter().map(|request| request.finish(host)).collect();
                (Probe::Http(requests), Duration::from_secs(3))
            }
        };
        let target = SocketAddr::new(
            self.options.connect_ip.unwrap_or(server.ip()),
            self.options.connect_port.map_or(server.port(), NonZeroU16::get),
        );
        if let Some((bind_to, at)) = self.options.bind_to
            && bind_to.is_ipv4() != target.is_ipv4()
        {
            cx.report(
                Diagnostic::error(
                    Code::Conflict,
                    at,
                    format!("`bindto {bind_to}` cannot connect to {}", target.ip()),
                )
                .label("IPv4 and IPv6 do not go together"),
            );
        }
        if target.port() == 0 {
            cx.report(
                Diagnostic::error(Code::MissingKeyword, self.at, "this check has no port to connect to")
                    .label("`connect_port` is missing in this block")
                    .help("the real server has no port either, so add a line such as `connect_port 80`"),
            );
        }
        let interval = policy.delay_loop.unwrap_or(Duration::from_secs(60));
        Check {
            at: self.at,
            probe,
            target,
            bind_to: self.options.bind_to.map(|(address, _)| address),
            timeout: policy.connect_timeout.unwrap_or(Duration::from_secs(5)),
            interval,
            retries: policy.retry.unwrap_or(1),
            delay_before_retry: policy.delay_before_retry.unwrap_or(default_delay),
            warmup: policy.warmup.unwrap_or(interval),
        }
    }
}

/// `TCP_CHECK { … }`
pub(super) fn tcp(cx: &mut Cx<'_>, node: &Node) -> CheckDraft {
    let mut draft = TcpDraft::default();
    cx.statements(Kind::TcpCheck, TCP, inner(node), &mut draft, &mut Seen::default());
    CheckDraft { at: node.keyword.span, probe: ProbeDraft::Tcp, options: draft.options }
}

/// `HTTP_GET { … }`
pub(super) fn http(cx: &mut Cx<'_>, node: &Node) -> CheckDraft {
    let mut draft = HttpDraft::default();
    cx.statements(Kind::HttpGet, HTTP, inner(node), &mut draft, &mut Seen::default());
    cx.needs(node, "url", "url { path / }");
    CheckDraft {
        at: node.keyword.span,
        probe: ProbeDraft::Http { requests: draft.requests, host: draft.host },
        options: draft.options,
    }
}

/// What every check that connects has.
#[derive(Default)]
struct Options {
    connect_ip: Option<IpAddr>,
    connect_port: Option<NonZeroU16>,
    bind_to: Option<(IpAddr, Span)>,
    policy: Policy,
}

/// A draft that has [`Options`].
trait HasOptions {
    fn options(&mut self) -> &mut Options;
}

#[derive(Default)]
pub(super) struct TcpDraft {
    options: Options,
}

#[derive(Default)]
pub(super) struct HttpDraft {
    options: Options,
    requests: Vec<RequestDraft>,
    host: Option<String>,
}

impl HasOptions for TcpDraft {
    fn options(&mut self) -> &mut Options {
        &mut self.options
    }
}

impl HasOptions for HttpDraft {
    fn options(&mut self) -> &mut Options {
        &mut self.options
    }
}

/// The rows of [`Options`], the same in every check's table.
const fn options<T: HasOptions>() -> [Keyword<T>; 9] {
    [
        Keyword::value("connect_ip", "connect_ip ADDRESS", |cx, n, d: &mut T| {
            d.options().connect_ip = cx.ip("connect_ip", first(n));
        }),
        Keyword::value("connect_port", "connect_port 1-65535", |cx, n, d: &mut T| {
            d.options().connect_port = cx.port("connect_port", first(n));
        }),
        Keyword::value("bindto", "bindto ADDRESS", |cx, n, d: &mut T| {
            let word = first(n);
            d.options().bind_to = cx.ip("bindto", word).map(|address| (address, word.span));
        }),
        Keyword::value("connect_timeout", "connect_timeout SECONDS", |cx, n, d: &mut T| {
            d.options().policy.set_connect_timeout(cx, n);
        }),
        Keyword::value("retry", "retry COUNT", |cx, n, d: &mut T| d.options().policy.set_retry(cx, n, 0)),
        Keyword::value("nb_get_retry", "nb_get_retry COUNT", |cx, n, d: &mut T| {
            d.options().policy.set_retry(cx, n, 0);
        })
        .sets("retry"),
        Keyword::value("delay_before_retry", "delay_before_retry SECONDS", |cx, n, d: &mut T| {
            d.options().policy.set_delay_before_retry(cx, n);
        }),
        Keyword::value("delay_loop", "delay_loop SECONDS", |cx, n, d: &mut T| {
            d.options().policy.set_delay_loop(cx, n);
        }),
        Keyword::value("warmup", "warmup SECONDS", |cx, n, d: &mut T| d.options().policy.set_warmup(cx, n)),
    ]
}

pub(super) const TCP: &[Keyword<TcpDraft>] = &options();

pub(super) const HTTP: &[Keyword<HttpDraft>] = &{
    let [a, b, c, d, e, f, g, h, i] = options();
    [
        Keyword::block("url", "url { path PATH … }", 0, 0, |cx, n, d: &mut HttpDraft| {
            d.requests.extend(request(cx, n));
        })
        .repeatable(),
        Keyword::value("virtualhost", "virtualhost NAME", |cx, n, d: &mut HttpDraft| {
            d.host = host(cx, first(n));
        }),
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        i,
    ]
};

#[derive(Default)]
pub(super) struct RequestDraft {
    path: Option<String>,
    host: Option<String>,
    status_codes: Vec<RangeInclusive<u16>>,
}

impl RequestDraft {
    fn finish(self, host: Option<&str>) -> HttpRequest {
        let mut status_codes = self.status_codes;
        if status_codes.is_empty() {
            status_codes.push(200..=299);
        }
        HttpRequest {
            path: self.path.unwrap_or_default(),
            host: self.host.or(host.map(str::to_owned)),
            status_codes,
        }
    }
}

pub(super) const URL: &[Keyword<RequestDraft>] = &[
    Keyword::value("path", "path /PATH", |cx, n, d| {
        let word = first(n);
        if !word.text.starts_with('/') {
            cx.bad(
                word,
                format!("`path` has to begin with a slash: {}", word.shown()),
                "write it with a `/` first",
            );
        } else if word.text.contains(|c: char| c.is_ascii_control() || c == ' ' || !c.is_ascii()) {
            cx.bad(
                word,
                "`path` holds a character that cannot stand in a request",
                "write it as `%` and two digits",
            );
        } else {
            d.path = Some(word.text.to_string());
        }
    }),
    Keyword::words("status_code", "status_code 200 204 300-399", 1, 500, |cx, n, d| {
        for word in &n.args {
            d.status_codes.extend(status(cx, word));
        }
    }),
    Keyword::value("virtualhost", "virtualhost NAME", |cx, n, d| d.host = host(cx, first(n))),
];

fn request(cx: &mut Cx<'_>, node: &Node) -> Option<RequestDraft> {
    let mut draft = RequestDraft::default();
    cx.statements(Kind::Url, URL, inner(node), &mut draft, &mut Seen::default());
    cx.needs(node, "path", "path /");
    Some(draft).filter(|draft| draft.path.is_some())
}

/// `200` or `200-299`
fn status(cx: &mut Cx<'_>, word: &Word) -> Option<RangeInclusive<u16>> {
    let code = |text: &str| {
        Some(text)
            .filter(|t| t.len() == 3 && t.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|t| t.parse().ok())
    };
    let range = match word.text.split_once('-') {
        Some((low, high)) => code(low).zip(code(high)),
        None => code(&word.text).map(|code| (code, code)),
    };
    match range {
        Some((low, high)) if low <= high && (100..=599).contains(&low) && high <= 599 => Some(low..=high),
        _ => {
            cx.report(
                Diagnostic::error(
                    Code::BadValue,
                    word.span,
                    format!("no HTTP status code: {}", word.shown()),
                )
                .label("must be a number from 100 to 599, or a range of them")
                .help("write codes and ranges with spaces between, such as `200 204 300-399`"),
            );
            None
        }
    }
}

/// What may stand in a `Host` header.
pub(super) fn host(cx: &mut Cx<'_>, word: &Word) -> Option<String> {
    if word.text.is_empty() || !word.text.bytes().all(|b| b.is_ascii_graphic()) {
        cx.bad(
            word,
            format!("no host name: {}", word.shown()),
            "letters, digits, dots, and a port after a colon",
        );
        return None;
    }
    Some(word.text.to_string())
}

/// TIMER values of keepalived have this resolution.
const MICROSECOND: Duration = Duration::from_micros(1);
/// What fits 32 bits of microseconds.
const LONGEST: Duration = Duration::from_micros(4_294_967_295);
/// Differs from keepalived: it takes any 64-bit number of microseconds. 136 years will do.
const LONGEST_LOOP: Duration = Duration::from_secs(4_294_967_295);
