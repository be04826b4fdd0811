//! `virtual_server` and `real_server`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvs_core::{Protocol, SchedulerName, Weight};

use super::super::diagnostic::{Code, Diagnostic};
use super::super::known::Kind;
use super::super::lexer::Word;
use super::super::model::{Method, RealServer, VirtualServer};
use super::super::source::Span;
use super::super::tree::Node;
use super::checker::{self, CheckDraft, Policy};
use super::{Cx, Keyword, Seen, first, inner};

/// A service with the place of its address.
pub(super) struct Checked {
    server: VirtualServer,
    address_at: Span,
}

/// Checks one block by itself.
pub(super) fn check(cx: &mut Cx<'_>, node: &Node) -> Option<Checked> {
    let word = node.args.first()?;
    if let name @ ("fwmark" | "group") = &*word.text {
        cx.report(
            Diagnostic::error(
                Code::NotSupportedYet,
                word.span,
                format!("`virtual_server {name}` is known to keepalived; lvsd does not support it yet"),
            )
            .label("not supported yet")
            .help("write `virtual_server ADDRESS PORT`"),
        );
    }
    let mut draft = VirtualDraft::default();
    cx.statements(Kind::VirtualServer, VIRTUAL, inner(node), &mut draft, &mut Seen::default());
    if matches!(&*word.text, "fwmark" | "group") {
        return None;
    }
    let address_at = node.args.last().map_or(word.span, |last| word.span.to(last.span));
    if draft.protocol_at.is_none() {
        cx.lacks(node, "protocol", "protocol TCP");
    }
    if !draft.had_method {
        cx.report(
            Diagnostic::warning(
                Code::MissingKeyword,
                node.span(),
                "`virtual_server` has no `lb_kind`: NAT is used, as in keepalived",
            )
            .label("`lb_kind NAT` or `lb_kind DR` is missing in this block"),
        );
    }
    let address = host_address(cx, "virtual_server", word);
    let port = port(cx, "virtual_server", node.args.get(1));
    let address = SocketAddr::new(address?, port?);
    if address.port() == 0 && draft.persistence_timeout.is_none() {
        cx.report(
            Diagnostic::error(
                Code::MissingParameter,
                node.span(),
                "a service without a port has to be persistent",
            )
            .label("a port has to follow the address")
            .help("or add `persistence_timeout` for a service of all ports"),
        );
    }
    let real_servers = real_servers(cx, &mut draft, address);
    let server = VirtualServer {
        at: node.keyword.span,
        address,
        protocol: draft.protocol?,
        scheduler: draft.scheduler.unwrap_or_default(),
        method: draft.method,
        persistence_timeout: draft.persistence_timeout,
        real_servers,
    };
    if server.real_servers.is_empty() && !draft.had_real_server {
        cx.report(
            Diagnostic::warning(
                Code::MissingKeyword,
                node.span(),
                "the virtual server has no real servers: it is left out, as in keepalived",
            )
            .label("no `real_server` in this block"),
        );
    }
    Some(Checked { server, address_at })
}

/// Checks that no service is there twice; leaves out those without servers.
pub(super) fn check_all(cx: &mut Cx<'_>, all: Vec<Checked>) -> Vec<VirtualServer> {
    let mut seen: HashMap<(Protocol, SocketAddr), Span> = HashMap::new();
    for checked in &all {
        let key = (checked.server.protocol, checked.server.address);
        match seen.get(&key) {
            None => {
                seen.insert(key, checked.address_at);
            }
            Some(first) => cx.report(
                Diagnostic::error(
                    Code::Duplicate,
                    checked.address_at,
                    format!("the virtual server {} {} is there twice", protocol_name(key.0), key.1),
                )
                .label("the second time")
                .also(*first, "the first time")
                .help("put all its real servers in one block"),
            ),
        }
    }
    all.into_iter().map(|checked| checked.server).filter(|server| !server.real_servers.is_empty()).collect()
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        _ => "",
    }
}

/// Gives the real servers what they inherit.
fn real_servers(cx: &mut Cx<'_>, draft: &mut VirtualDraft, service: SocketAddr) -> Vec<RealServer> {
    let mut seen: HashMap<SocketAddr, Span> = HashMap::new();
    let mut servers = Vec::new();
    let policy = draft.policy;
    for real in std::mem::take(&mut draft.real_servers) {
        let mut address = SocketAddr::new(real.address, real.port.unwrap_or(service.port()));
        if address.is_ipv4() != service.is_ipv4() {
            cx.report(
                Diagnostic::error(
                    Code::Conflict,
                    real.address_at,
                    format!("the real server {} cannot serve {}", address.ip(), service.ip()),
                )
                .label("IPv4 and IPv6 do not go together")
                .help("only tunnelling joins them, and lvsd does not support that yet"),
            );
            continue;
        }
        if draft.method == Method::Dr && address.port() != service.port() {
            cx.report(
                Diagnostic::warning(
                    Code::Conflict,
                    real.address_at,
                    format!(
                        "direct routing cannot change the port: {} is used instead of {}, as in keepalived",
                        service.port(),
                        address.port()
                    ),
                )
                .label("the port of the virtual server is used"),
            );
            address.set_port(service.port());
        }
        if let Some(first) = seen.insert(address, real.address_at) {
            cx.report(
                Diagnostic::error(
                    Code::Duplicate,
                    real.address_at,
                    format!("the real server {address} is there twice"),
                )
                .label("the second time")
                .also(first, "the first time"),
            );
            continue;
        }
        let host = real.options.host.as_deref().or(draft.host.as_deref());
        let outer = real.options.policy.or(policy);
        servers.push(RealServer {
            at: real.at,
            address,
            weight: real.options.weight.or(draft.weight).unwrap_or_default(),
            inhibit_on_failure: real.options.inhibit_on_failure.unwrap_or(draft.inhibit_on_failure),
            checks: real
                .options
                .checks
                .into_iter()
                .map(|check| check.finish(cx, address, outer, host))
                .collect(),
        });
    }
    servers
}

#[derive(Default)]
pub(super) struct VirtualDraft {
    scheduler: Option<SchedulerName>,
    method: Method,
    had_method: bool,
    protocol: Option<Protocol>,
    protocol_at: Option<Span>,
    persistence_timeout: Option<Duration>,
    inhibit_on_failure: bool,
    weight: Option<Weight>,
    host: Option<String>,
    policy: Policy,
    real_servers: Vec<RealDraft>,
    had_real_server: bool,
}

struct RealDraft {
    at: Span,
    address: IpAddr,
    /// `None` means the service's.
    port: Option<u16>,
    address_at: Span,
    options: RealOptions,
}

#[derive(Default)]
pub(super) struct RealOptions {
    weight: Option<Weight>,
    inhibit_on_failure: Option<bool>,
    host: Option<String>,
    policy: Policy,
    checks: Vec<CheckDraft>,
}

pub(super) const VIRTUAL: &[Keyword<VirtualDraft>] = &[
    Keyword::value("lvs_sched", "lvs_sched rr", |cx, n, d| d.scheduler = scheduler(cx, n)),
    Keyword::value("lb_algo", "lb_algo rr", |cx, n, d: &mut VirtualDraft| d.scheduler = scheduler(cx, n))
        .sets("lvs_sched"),
    Keyword::words("lvs_method", "lvs_method NAT|DR", 1, 5, method),
    Keyword::words("lb_kind", "lb_kind NAT|DR", 1, 5, method).sets("lvs_method"),
    Keyword::value("protocol", "protocol TCP|UDP", |cx, n, d| {
        d.protocol_at = Some(n.keyword.span);
        let word = first(n);
        if &*word.text == "SCTP" {
            cx.report(
                Diagnostic::error(
                    Code::NotSupportedYet,
                    word.span,
                    "`protocol SCTP` is known to keepalived; lvsd does not support it yet",
                )
                .label("not supported yet"),
            );
        } else {
            d.protocol = cx.one_of("protocol", word, &[("TCP", Protocol::Tcp), ("UDP", Protocol::Udp)]);
        }
    }),
    Keyword::value("delay_loop", "delay_loop SECONDS", |cx, n, d| d.policy.set_delay_loop(cx, n)),
    Keyword::words("persistence_timeout", "persistence_timeout [SECONDS]", 0, 1, |cx, n, d| {
        d.persistence_timeout = match n.args.first() {
            None => Some(Duration::from_secs(360)),
            // 31 days, the kernel's limit.
            Some(_) => cx.whole_seconds(n, 1..=2_678_400),
        };
    }),
    Keyword::flag("inhibit_on_failure", |_, _, d| d.inhibit_on_failure = true),
    Keyword::value("weight", "weight NUMBER", |cx, n, d| d.weight = weight(cx, n, 1)),
    Keyword::value("virtualhost", "virtualhost NAME", |cx, n, d| d.host = checker::host(cx, first(n))),
    Keyword::value("connect_timeout", "connect_timeout SECONDS", |cx, n, d| {
        d.policy.set_connect_timeout(cx, n)
    }),
    Keyword::value("retry", "retry COUNT", |cx, n, d| d.policy.set_retry(cx, n, 1)),
    Keyword::value("delay_before_retry", "delay_before_retry SECONDS", |cx, n, d| {
        d.policy.set_delay_before_retry(cx, n);
    }),
    Keyword::value("warmup", "warmup SECONDS", |cx, n, d| d.policy.set_warmup(cx, n)),
    Keyword::block(
        "real_server",
        "real_server ADDRESS [PORT] { … }",
        1,
        2,
        |cx, n, d: &mut VirtualDraft| {
            d.had_real_server = true;
            d.real_servers.extend(real_server(cx, n));
        },
    )
    .repeatable(),
];

pub(super) const REAL: &[Keyword<RealOptions>] = &[
    Keyword::value("weight", "weight NUMBER", |cx, n, d| d.weight = weight(cx, n, 0)),
    Keyword::words("inhibit_on_failure", "inhibit_on_failure [on|off]", 0, 1, |cx, n, d| {
        d.inhibit_on_failure = cx.boolean(n);
    }),
    Keyword::value("virtualhost", "virtualhost NAME", |cx, n, d| d.host = checker::host(cx, first(n))),
    Keyword::value("connect_timeout", "connect_timeout SECONDS", |cx, n, d| {
        d.policy.set_connect_timeout(cx, n)
    }),
    Keyword::value("retry", "retry COUNT", |cx, n, d| d.policy.set_retry(cx, n, 1)),
    Keyword::value("delay_before_retry", "delay_before_retry SECONDS", |cx, n, d| {
        d.policy.set_delay_before_retry(cx, n);
    }),
    Keyword::value("delay_loop", "delay_loop SECONDS", |cx, n, d| d.policy.set_delay_loop(cx, n)),
    Keyword::value("warmup", "warmup SECONDS", |cx, n, d| d.policy.set_warmup(cx, n)),
    Keyword::block("TCP_CHECK", "TCP_CHECK { … }", 0, 0, |cx, n, d: &mut RealOptions| {
        d.checks.push(checker::tcp(cx, n))
    })
    .repeatable(),
    Keyword::block("HTTP_GET", "HTTP_GET { url { path / } }", 0, 0, |cx, n, d: &mut RealOptions| {
        d.checks.push(checker::http(cx, n))
    })
    .repeatable(),
];

fn real_server(cx: &mut Cx<'_>, node: &Node) -> Option<RealDraft> {
    let word = node.args.first()?;
    let mut options = RealOptions::default();
    cx.statements(Kind::RealServer, REAL, inner(node), &mut options, &mut Seen::default());
    let address = host_address(cx, "real_server", word);
    let port = match node.args.get(1) {
        None => Some(None),
        Some(_) => port(cx, "real_server", node.args.get(1)).map(Some),
    };
    let address_at = node.args.last().map_or(word.span, |last| word.span.to(last.span));
    Some(RealDraft { at: node.keyword.span, address: address?, port: port?, address_at, options })
}

fn scheduler(cx: &mut Cx<'_>, node: &Node) -> Option<SchedulerName> {
    let names = SchedulerName::KNOWN.map(|name| (name, name));
    cx.one_of(&node.keyword.text, first(node), &names).and_then(|name| name.parse().ok())
}

fn method(cx: &mut Cx<'_>, node: &Node, draft: &mut VirtualDraft) {
    draft.had_method = true;
    let word = first(node);
    if &*word.text == "TUN" {
        cx.report(
            Diagnostic::error(
                Code::NotSupportedYet,
                word.span,
                "tunnelling (`TUN`) is known to keepalived; lvsd does not support it yet",
            )
            .label("not supported yet"),
        );
        return;
    }
    if let Some(surplus) = node.args.get(1) {
        cx.report(
            Diagnostic::error(
                Code::SurplusWords,
                surplus.span,
                format!("`{}` takes one value", &node.keyword.text),
            )
            .label("this does not belong here"),
        );
    }
    if let Some(method) = cx.one_of(&node.keyword.text, word, &[("NAT", Method::Nat), ("DR", Method::Dr)]) {
        draft.method = method;
    }
}

fn weight(cx: &mut Cx<'_>, node: &Node, least: u32) -> Option<Weight> {
    cx.number_u32("weight", first(node), least..=Weight::MAX.value()).and_then(Weight::new)
}

/// An address that packets can be sent to.
fn host_address(cx: &mut Cx<'_>, what: &str, word: &Word) -> Option<IpAddr> {
    let address = cx.ip(what, word)?;
    if address.is_unspecified() || address.is_multicast() {
        cx.bad(
            word,
            format!("`{what}` takes the address of a host, not {}", word.shown()),
            "no host can have it",
        );
        return None;
    }
    Some(address)
}

/// 0 if there is none.
fn port(cx: &mut Cx<'_>, what: &str, word: Option<&Word>) -> Option<u16> {
    match word {
        None => Some(0),
        Some(word) => cx
            .number_of(&format!("the port of `{what}`"), word, 0..=65_535)
            .and_then(|n| u16::try_from(n).ok()),
    }
}
