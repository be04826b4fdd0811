//! `virtual_server` and `real_server`.

mod forwarding;
mod scheduling;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use lvs_core::{Family, Forwarding, Protocol, SchedulerFlags, SchedulerName, ServiceKey, Weight};

use super::super::diagnostic::{Code, Diagnostic};
use super::super::known::Kind;
use super::super::lexer::Word;
use super::super::model::{Lvs, RealServer, VirtualServer};
use super::super::source::Span;
use super::super::tree::Node;
use super::checker::{self, CheckDraft, Policy};
use super::{Cx, Keyword, Seen, first, inner, says};
use forwarding::method;
use scheduling::{Own, Scheduling};

/// A service with the place of its address.
pub(super) struct Checked {
    server: VirtualServer,
    address_at: Span,
}

/// Checks one block by itself.
pub(super) fn check(cx: &mut Cx<'_>, node: &Node) -> Option<Checked> {
    let word = node.args.first()?;
    let mut draft = VirtualDraft::default();
    cx.statements(Kind::VirtualServer, VIRTUAL, inner(node), &mut draft, &mut Seen::default());
    if &*word.text == "group" {
        cx.report(
            Diagnostic::error(
                Code::NotSupportedYet,
                word.span,
                "`virtual_server group` is known to keepalived; lvsd does not support it yet",
            )
            .label("not supported yet")
            .help("write a `virtual_server` block for each service of the group"),
        );
        return None;
    }
    let address_at = node.args.last().map_or(word.span, |last| word.span.to(last.span));
    if !says(node, "lb_kind") && !says(node, "lvs_method") {
        cx.report(
            Diagnostic::warning(
                Code::MissingKeyword,
                node.span(),
                "`virtual_server` has no `lb_kind`: NAT is used, as in keepalived",
            )
            .label("`lb_kind NAT`, `lb_kind DR` or `lb_kind TUN` is missing in this block"),
        );
    }
    let key = if &*word.text == "fwmark" {
        marked(cx, node, &mut draft)?
    } else {
        addressed(cx, node, word, &mut draft)?
    };
    let real_servers = real_servers(cx, &mut draft, key);
    let server =
        VirtualServer { at: node.keyword.span, service: draft.scheduling.finish(cx, key), real_servers };
    if !says(node, "real_server") {
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

/// The key of `virtual_server ADDRESS PORT`.
fn addressed(cx: &mut Cx<'_>, node: &Node, word: &Word, draft: &mut VirtualDraft) -> Option<ServiceKey> {
    cx.needs(node, "protocol", "protocol TCP");
    let address = cx.router("virtual_server", word);
    let port = port(cx, "virtual_server", node.args.get(1));
    let address = SocketAddr::new(address?, port?);
    if address.port() == 0 && !draft.scheduling.is_persistent() {
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
    if let Some((family, at)) = draft.ip_family
        && family != Family::of(&address.ip())
    {
        let message = format!("`ip_family` is not the family of {}", address.ip());
        cx.report(
            Diagnostic::error(Code::Conflict, at, message)
                .label("another family")
                .help("only `virtual_server fwmark` needs `ip_family`"),
        );
    }
    Some(ServiceKey::address(draft.protocol?, address))
}

/// The key of `virtual_server fwmark MARK`.
///
/// Its family is the one that is said, else that of a server that is not behind a tunnel, else that of the granularity,
/// else IPv4; as in keepalived.
fn marked(cx: &mut Cx<'_>, node: &Node, draft: &mut VirtualDraft) -> Option<ServiceKey> {
    let Some(word) = node.args.get(1) else {
        cx.report(
            Diagnostic::error(Code::MissingParameter, node.span(), "`virtual_server fwmark` lacks the mark")
                .label("a number has to follow")
                .help("write `virtual_server fwmark NUMBER { … }`"),
        );
        return None;
    };
    let mark = cx.number_u32("virtual_server fwmark", word, 1..=u32::MAX).and_then(NonZeroU32::new)?;
    if let Some(at) = draft.protocol_at {
        let message = "`protocol` is left out, as in keepalived: a mark stands for packets of any protocol";
        cx.report(Diagnostic::warning(Code::Conflict, at, message).label("the firewall chooses the packets"));
    }
    let method = draft.method;
    let tunnelled = |real: &&RealDraft| matches!(real.method(method), Forwarding::Tunnel(_));
    let direct =
        draft.real_servers.iter().find(|real| !tunnelled(real)).map(|real| Family::of(&real.address));
    let said = draft.ip_family.map(|(family, _)| family);
    let family = said.or(direct).or(draft.scheduling.granularity_family()).unwrap_or(Family::Ipv4);
    Some(ServiceKey::Fwmark { family, mark })
}

/// Checks that no service is there twice; leaves out those without servers.
pub(super) fn check_all(cx: &mut Cx<'_>, all: Vec<Checked>) -> Vec<VirtualServer> {
    let mut seen: HashMap<ServiceKey, Span> = HashMap::new();
    for checked in &all {
        let key = checked.server.service.key();
        match seen.get(&key) {
            None => {
                seen.insert(key, checked.address_at);
            }
            Some(first) => cx.report(
                Diagnostic::error(
                    Code::Duplicate,
                    checked.address_at,
                    format!("the virtual server {key} is there twice"),
                )
                .label("the second time")
                .also(*first, "the first time")
                .help("put all its real servers in one block"),
            ),
        }
    }
    all.into_iter().map(|checked| checked.server).filter(|server| !server.real_servers.is_empty()).collect()
}

/// Says that a sync daemon and a server of another family than its service's exclude each other in the kernel.
pub(super) fn warn_of_mixed_families(cx: &mut Cx<'_>, servers: &[VirtualServer], lvs: &Lvs) {
    let Some(sync) = &lvs.synchronisation else { return };
    let mixed = servers.iter().find_map(|server| {
        let family = server.service.key().family();
        server.real_servers.iter().find(|real| Family::of(&real.address.ip()) != family)
    });
    let Some(real) = mixed else { return };
    let message =
        "the kernel runs no sync daemon beside a real server of another address family than its service's";
    cx.report(
        Diagnostic::warning(Code::Conflict, sync.at, message)
            .label("no daemon runs; keepalived would leave out the server")
            .also(real.at, "such a real server")
            .help("leave out one of them"),
    );
}

/// Gives the real servers what they inherit.
fn real_servers(cx: &mut Cx<'_>, draft: &mut VirtualDraft, service: ServiceKey) -> Vec<RealServer> {
    let mut seen: HashMap<SocketAddr, Span> = HashMap::new();
    let mut servers = Vec::new();
    let policy = draft.policy;
    let service_port = match service {
        ServiceKey::Address { address, .. } => address.port(),
        ServiceKey::Fwmark { .. } => 0,
    };
    for real in std::mem::take(&mut draft.real_servers) {
        let method = real.method(draft.method);
        let mut address = SocketAddr::new(real.address, real.port.unwrap_or(service_port));
        let tunnelled = matches!(method, Forwarding::Tunnel(_));
        if Family::of(&real.address) != service.family() && !tunnelled {
            cx.report(
                Diagnostic::error(
                    Code::Conflict,
                    real.address_at,
                    format!("the real server {} cannot serve {service}", address.ip()),
                )
                .label("IPv4 and IPv6 do not go together")
                .help("only tunnelling joins them: `lvs_method TUN`"),
            );
            continue;
        }
        // A mark says nothing of ports: those of all packets are kept.
        let keeps_port = tunnelled || method == Forwarding::DirectRoute;
        if keeps_port && address.port() != service_port {
            let used = match service {
                ServiceKey::Address { .. } => format!("{service_port} is used instead of {}", address.port()),
                ServiceKey::Fwmark { .. } => format!("{} is left out", address.port()),
            };
            cx.report(
                Diagnostic::warning(
                    Code::Conflict,
                    real.address_at,
                    format!("only NAT can change the port: {used}, as in keepalived"),
                )
                .label("packets keep the port of the virtual server"),
            );
            address.set_port(service_port);
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
            forwarding: method,
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
    scheduling: Scheduling,
    method: Forwarding,
    protocol: Option<Protocol>,
    protocol_at: Option<Span>,
    ip_family: Option<(Family, Span)>,
    inhibit_on_failure: bool,
    weight: Option<Weight>,
    host: Option<String>,
    policy: Policy,
    real_servers: Vec<RealDraft>,
}

struct RealDraft {
    at: Span,
    address: IpAddr,
    /// `None` means the service's.
    port: Option<u16>,
    address_at: Span,
    options: RealOptions,
}

impl RealDraft {
    /// How packets reach it, if `inherited` is the service's way.
    fn method(&self, inherited: Forwarding) -> Forwarding {
        self.options.method.unwrap_or(inherited)
    }
}

#[derive(Default)]
pub(super) struct RealOptions {
    weight: Option<Weight>,
    method: Option<Forwarding>,
    inhibit_on_failure: Option<bool>,
    host: Option<String>,
    policy: Policy,
    checks: Vec<CheckDraft>,
}

pub(super) const VIRTUAL: &[Keyword<VirtualDraft>] = &[
    Keyword::value("lvs_sched", "lvs_sched rr", |cx, n, d| d.scheduling.scheduler = scheduler(cx, n)),
    Keyword::value("lb_algo", "lb_algo rr", |cx, n, d: &mut VirtualDraft| {
        d.scheduling.scheduler = scheduler(cx, n);
    })
    .sets("lvs_sched"),
    Keyword::words("lvs_method", forwarding::SYNTAX, 1, forwarding::MOST, virtual_method),
    Keyword::words("lb_kind", forwarding::LB_KIND, 1, forwarding::MOST, virtual_method).sets("lvs_method"),
    Keyword::value("protocol", "protocol TCP|UDP|SCTP", |cx, n, d| {
        d.protocol_at = Some(n.keyword.span);
        let protocols = [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp), ("SCTP", Protocol::Sctp)];
        let said = protocols.into_iter().find(|(name, _)| first(n).text.eq_ignore_ascii_case(name));
        d.protocol =
            said.map(|(_, protocol)| protocol).or_else(|| cx.one_of("protocol", first(n), &protocols));
    }),
    Keyword::value("ip_family", "ip_family inet|inet6", |cx, n, d| {
        let families = [("inet", Family::Ipv4), ("inet6", Family::Ipv6)];
        d.ip_family = cx.one_of("ip_family", first(n), &families).map(|family| (family, n.span()));
    }),
    Keyword::flag("flag-1", |_, _, d| {
        d.scheduling.set_flag(SchedulerFlags { first: true, ..SchedulerFlags::default() });
    }),
    Keyword::flag("flag-2", |_, _, d| {
        d.scheduling.set_flag(SchedulerFlags { second: true, ..SchedulerFlags::default() });
    }),
    Keyword::flag("flag-3", |_, _, d| {
        d.scheduling.set_flag(SchedulerFlags { third: true, ..SchedulerFlags::default() });
    }),
    Keyword::flag("sh-port", |_, n, d| d.scheduling.set_own_flag(n, "sh", Own::Port)),
    Keyword::flag("sh-fallback", |_, n, d| d.scheduling.set_own_flag(n, "sh", Own::Fallback)),
    Keyword::flag("mh-port", |_, n, d| d.scheduling.set_own_flag(n, "mh", Own::Port)),
    Keyword::flag("mh-fallback", |_, n, d| d.scheduling.set_own_flag(n, "mh", Own::Fallback)),
    // The kernel sets this flag for every service, whoever says what.
    Keyword::flag("hashed", |_, _, _| {}),
    Keyword::flag("ops", |_, n, d| d.scheduling.set_one_packet(n)),
    Keyword::words("persistence_timeout", "persistence_timeout [SECONDS]", 0, 1, |cx, n, d| {
        d.scheduling.set_persistence_timeout(cx, n);
    }),
    Keyword::value("persistence_granularity", "persistence_granularity 255.255.255.0", |_, n, d| {
        d.scheduling.set_granularity(n);
    }),
    Keyword::value("persistence_engine", "persistence_engine sip", |cx, n, d| {
        d.scheduling.set_engine(cx, n);
    }),
    Keyword::value("delay_loop", "delay_loop SECONDS", |cx, n, d| d.policy.set_delay_loop(cx, n)),
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
            d.real_servers.extend(real_server(cx, n));
        },
    )
    .repeatable(),
];

pub(super) const REAL: &[Keyword<RealOptions>] = &[
    Keyword::value("weight", "weight NUMBER", |cx, n, d| d.weight = weight(cx, n, 0)),
    Keyword::words("lvs_method", forwarding::SYNTAX, 1, forwarding::MOST, |cx, n, d: &mut RealOptions| {
        d.method = method(cx, n);
    }),
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
    let address = cx.router("real_server", word);
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

fn virtual_method(cx: &mut Cx<'_>, node: &Node, draft: &mut VirtualDraft) {
    draft.method = method(cx, node).unwrap_or_default();
}

fn weight(cx: &mut Cx<'_>, node: &Node, least: u32) -> Option<Weight> {
    cx.number_u32("weight", first(node), least..=Weight::MAX.value()).and_then(Weight::new)
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
