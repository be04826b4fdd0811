//! `vrrp_instance`: one block, and what two of them must not share.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use super::super::diagnostic::{Code, Diagnostic};
use super::super::known::Kind;
use super::super::lexer::quoted;
use super::super::model::{
    InitialState, NotifyScripts, Password, Peer, Script, Transport, Version, VrrpInstance,
};
use super::super::source::Span;
use super::super::tree::Node;
use super::addresses::{self, AddressDraft};
use super::global::{self, GarpDraft};
use super::values::decimal;
use super::{Cx, Keyword, Seen, first, inner};

/// An instance with the places that comparisons with others need.
pub(super) struct Checked {
    pub(super) instance: VrrpInstance,
    name_at: Span,
    vrid_at: Span,
    /// In the order of the instance's addresses.
    addresses_at: Vec<Span>,
}

/// Checks one block by itself.
pub(super) fn check(cx: &mut Cx<'_>, node: &Node, global: &global::Draft) -> Option<Checked> {
    let name = node.args.first()?;
    let mut draft = Draft::default();
    cx.statements(Kind::Instance, TABLE, inner(node), &mut draft, &mut Seen::default());
    if draft.interface.said.is_none() {
        cx.lacks(node, "interface", "interface eth0");
    }
    if draft.virtual_router_id.said.is_none() {
        cx.lacks(node, "virtual_router_id", "virtual_router_id 51");
    }
    if draft.addresses_at.is_none() {
        cx.lacks(node, "virtual_ipaddress", "virtual_ipaddress { 192.0.2.10 }");
    } else if draft.addresses.is_empty() && !draft.had_bad_address {
        let at = draft.addresses_at.unwrap_or(name.span);
        cx.report(
            Diagnostic::error(Code::MissingKeyword, at, "`virtual_ipaddress` is empty")
                .label("at least one address has to stand in this block"),
        );
    }
    let version = draft.version.or(global.version).unwrap_or_default();
    let state = draft.state.unwrap_or_default();
    // keepalived makes the owner of an instance that says MASTER and no priority; measured on 2.2.7.
    let default_priority = if state == InitialState::Master { 255 } else { 100 };
    let priority = draft.priority.value.or(NonZeroU8::new(default_priority))?;
    if state == InitialState::Master && draft.priority.said.is_none() {
        cx.report(
            Diagnostic::warning(
                Code::MissingKeyword,
                node.span(),
                "`state MASTER` without `priority`: it is 255, the address owner's, as in keepalived",
            )
            .label("`priority` is missing in this block")
            .help("add a line such as `priority 200`"),
        );
    }
    draft.election(cx, state, priority);
    let advert_interval = draft.interval(cx, version);
    let authentication = draft.password(cx, version);
    let transport = draft.transport(cx, global);
    draft.own_addresses(cx, &transport, priority);
    let interface = draft.interface.value?;
    let addresses_at = draft.addresses.iter().map(|address| address.at).collect();
    let instance = VrrpInstance {
        name: name.text.to_string(),
        at: node.keyword.span,
        state,
        virtual_router_id: draft.virtual_router_id.value?,
        priority,
        advert_interval,
        version,
        preempt: draft.nopreempt.is_none(),
        preempt_delay: draft.preempt_delay.value.unwrap_or_default(),
        authentication,
        transport,
        addresses: draft.addresses.into_iter().map(|address| address.finish(&interface)).collect(),
        interface,
        garp: draft.garp.finish(global.garp),
        notify: draft.notify,
    };
    let vrid_at = draft.virtual_router_id.said.unwrap_or(node.keyword.span);
    Some(Checked { instance, name_at: name.span, vrid_at, addresses_at })
}

/// Checks what is unique among all instances: names, router ids on a link, addresses.
pub(super) fn check_all(cx: &mut Cx<'_>, all: &[Checked]) {
    let mut names: HashMap<&str, Span> = HashMap::new();
    let mut routers: HashMap<(&str, u8, HeardFrom), &Checked> = HashMap::new();
    let mut addresses: HashMap<(IpAddr, &str), (&str, Span)> = HashMap::new();
    for checked in all {
        let instance = &checked.instance;
        match names.get(&*instance.name) {
            None => {
                names.insert(&instance.name, checked.name_at);
            }
            Some(first) => cx.report(
                Diagnostic::error(
                    Code::Duplicate,
                    checked.name_at,
                    format!("two instances are named {}", quoted(&instance.name)),
                )
                .label("the second one")
                .also(*first, "the first one"),
            ),
        }
        let mut other: Option<&Checked> = None;
        for from in hears(&instance.transport) {
            match routers.entry((&instance.interface, instance.virtual_router_id.get(), from)) {
                Entry::Occupied(entry) => other = other.or(Some(*entry.get())),
                Entry::Vacant(entry) => {
                    entry.insert(checked);
                }
            }
        }
        if let Some(other) = other {
            cx.report(
                Diagnostic::error(
                    Code::Duplicate,
                    checked.vrid_at,
                    format!(
                        "{} and {} have the same virtual_router_id {} on {}",
                        quoted(&other.instance.name),
                        quoted(&instance.name),
                        instance.virtual_router_id,
                        quoted(&instance.interface),
                    ),
                )
                .label("the second time")
                .also(other.vrid_at, "the first time")
                .help("give each instance on an interface a number of its own, the same on all its routers"),
            );
        }
        for (address, at) in instance.addresses.iter().zip(&checked.addresses_at) {
            let key = (address.key.address, &*address.key.interface);
            match addresses.get(&key) {
                None => {
                    addresses.insert(key, (&instance.name, *at));
                }
                Some((owner, first)) => {
                    let whom = if **owner == *instance.name {
                        format!("twice in {}", quoted(&instance.name))
                    } else {
                        format!("in {} and in {}", quoted(owner), quoted(&instance.name))
                    };
                    cx.report(
                        Diagnostic::error(
                            Code::Duplicate,
                            *at,
                            format!("the address {} is {whom}", address.key.address),
                        )
                        .label("the second time")
                        .also(*first, "the first time")
                        .help("an address moves with one instance only"),
                    );
                }
            }
        }
    }
}

/// Where adverts for an instance come from; two instances that share one of these hear each other's.
fn hears(transport: &Transport) -> Vec<HeardFrom> {
    match transport {
        Transport::Multicast { group, .. } => vec![HeardFrom::Group(*group)],
        Transport::Unicast { peers, .. } => peers.iter().map(|peer| HeardFrom::Peer(peer.address)).collect(),
    }
}

#[derive(PartialEq, Eq, Hash)]
enum HeardFrom {
    Group(Ipv4Addr),
    Peer(Ipv4Addr),
}

/// A value with the place where it was said; the value is missing if what was said is wrong.
struct Said<V> {
    value: Option<V>,
    said: Option<Span>,
}

impl<V> Default for Said<V> {
    fn default() -> Self {
        Self { value: None, said: None }
    }
}

impl<V> Said<V> {
    fn set(&mut self, node: &Node, value: Option<V>) {
        *self = Self { value, said: Some(node.span()) };
    }
}

#[derive(Default)]
pub(super) struct Draft {
    state: Option<InitialState>,
    interface: Said<String>,
    virtual_router_id: Said<NonZeroU8>,
    priority: Said<NonZeroU8>,
    advert_interval: Said<Duration>,
    version: Option<Version>,
    nopreempt: Option<Span>,
    preempt_delay: Said<Duration>,
    authentication: AuthenticationDraft,
    authentication_at: Option<Span>,
    unicast_source: Said<Ipv4Addr>,
    mcast_source: Said<Ipv4Addr>,
    peers: Said<Vec<Peer>>,
    unicast_ttl: Said<u8>,
    check_unicast_src: Option<Span>,
    addresses: Vec<AddressDraft>,
    addresses_at: Option<Span>,
    had_bad_address: bool,
    garp: GarpDraft,
    notify: NotifyScripts,
}

impl Draft {
    /// keepalived drops what does not go with a state or with another word, and says so; so does this.
    fn election(&mut self, cx: &mut Cx<'_>, state: InitialState, priority: NonZeroU8) {
        if let Some(at) = self.nopreempt {
            let reason = match state {
                InitialState::Master => Some("`state MASTER`"),
                InitialState::Backup if priority == NonZeroU8::MAX => Some("priority 255"),
                InitialState::Backup => None,
            };
            if let Some(reason) = reason {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        at,
                        format!("`nopreempt` does not go with {reason}: it is left out"),
                    )
                    .label("this instance does preempt")
                    .help("write `state BACKUP` on all routers if the running master has to stay"),
                );
                self.nopreempt = None;
            }
        }
        if let (Some(at), Some(_)) =
            (self.preempt_delay.said, self.preempt_delay.value.filter(|d| !d.is_zero()))
        {
            let reason = match (state, self.nopreempt) {
                (InitialState::Master, _) => Some("`state MASTER`"),
                (InitialState::Backup, Some(_)) => Some("`nopreempt`"),
                (InitialState::Backup, None) => None,
            };
            if let Some(reason) = reason {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        at,
                        format!("`preempt_delay` does not go with {reason}: it is left out"),
                    )
                    .label("no delay"),
                );
                self.preempt_delay.value = None;
            }
        }
    }

    /// The address that adverts come from has to stay where it is; a backup removes the virtual ones.
    ///
    /// Differs from keepalived: it takes such a file (2.2.7, `-t`).
    fn own_addresses(&self, cx: &mut Cx<'_>, transport: &Transport, priority: NonZeroU8) {
        let (Transport::Multicast { source, .. } | Transport::Unicast { source, .. }) = transport;
        let Some(source) = source.filter(|_| priority != NonZeroU8::MAX) else { return };
        let from = [&self.unicast_source, &self.mcast_source];
        let Some(source_at) =
            from.into_iter().find(|said| said.value == Some(source)).and_then(|said| said.said)
        else {
            return;
        };
        for vip in self.addresses.iter().filter(|vip| vip.address() == source) {
            cx.report(
                Diagnostic::error(
                    Code::Conflict,
                    vip.at,
                    format!("{source} is the source of adverts and a virtual address at once"),
                )
                .label("a backup would remove its own address")
                .also(source_at, "adverts come from here")
                .help("name an address that stays on this router, or write `priority 255` if it owns the address"),
            );
        }
    }

    fn interval(&self, cx: &mut Cx<'_>, version: Version) -> Duration {
        let (Some(interval), Some(at)) = (self.advert_interval.value, self.advert_interval.said) else {
            return Duration::from_secs(1);
        };
        let wrong = match version {
            // Differs from keepalived: it rounds and goes on, and then drops the adverts of a router that rounds otherwise.
            Version::V2 if interval.subsec_nanos() != 0 => Some((
                "VRRP version 2 counts whole seconds",
                "write whole seconds, or `version 3` on all routers",
            )),
            Version::V3 if interval.subsec_micros() % 10_000 != 0 => {
                Some(("VRRP version 3 counts steps of 0.01 seconds", "write at most two decimals"))
            }
            Version::V3 if interval > Duration::from_millis(40_950) => {
                Some(("VRRP version 3 has no intervals above 40.95 seconds", "allowed are 0.01 to 40.95"))
            }
            Version::V2 | Version::V3 => None,
        };
        if let Some((message, help)) = wrong {
            cx.report(
                Diagnostic::error(Code::OutOfRange, at, message)
                    .label(format!("{} s cannot be sent", decimal(interval)))
                    .help(help),
            );
        }
        interval
    }

    fn password(&mut self, cx: &mut Cx<'_>, version: Version) -> Option<Password> {
        let at = self.authentication_at?;
        let given = std::mem::take(&mut self.authentication);
        if given.failed {
            return None;
        }
        match (given.kind, given.password) {
            (Some(AuthType::Pass), Some(password)) if version == Version::V2 => Some(password),
            (Some(AuthType::Pass), Some(_)) => {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        at,
                        "VRRP version 3 has no authentication: the block is left out",
                    )
                    .label("adverts carry no password"),
                );
                None
            }
            (Some(AuthType::Pass), None) => {
                cx.report(
                    Diagnostic::error(Code::MissingKeyword, at, "`auth_type PASS` without a password")
                        .label("`auth_pass` is missing in this block")
                        .help("add a line `auth_pass` with 1 to 8 characters, the same on all routers"),
                );
                None
            }
            (Some(AuthType::None), _) => None,
            (None, _) => {
                cx.report(
                    Diagnostic::warning(
                        Code::MissingKeyword,
                        at,
                        "`authentication` without `auth_type`: adverts carry no password, as in keepalived",
                    )
                    .label("this block has no effect")
                    .help("add a line `auth_type PASS`, or remove the block"),
                );
                None
            }
        }
    }

    fn transport(&mut self, cx: &mut Cx<'_>, global: &global::Draft) -> Transport {
        let peers = self.peers.value.take().unwrap_or_default();
        let group = global.mcast_group4.unwrap_or(Ipv4Addr::new(224, 0, 0, 18));
        if peers.is_empty() {
            let source = self.unicast_source.said.filter(|_| self.unicast_source.value.is_some());
            let ttl = self.unicast_ttl.said.filter(|_| self.unicast_ttl.value.is_some());
            let unicast = source.or(self.peers.said).or(ttl);
            if let Some(at) = unicast {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        at,
                        "no `unicast_peer` is given: adverts go by multicast, as in keepalived",
                    )
                    .label("a word of unicast")
                    .help("add `unicast_peer { ADDRESS }`, or remove this"),
                );
            }
            let source = self.mcast_source.value.or(self.unicast_source.value);
            return Transport::Multicast { group, source };
        }
        if let Some(at) = self.mcast_source.said {
            cx.report(
                Diagnostic::warning(Code::Conflict, at, "`mcast_src_ip` beside `unicast_peer`")
                    .label("used as source of unicast adverts only if there is no `unicast_src_ip`"),
            );
        }
        let limited = peers.iter().any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some());
        Transport::Unicast {
            source: self.unicast_source.value.or(self.mcast_source.value),
            check_source: limited || self.check_unicast_src.is_some() || global.check_unicast_src,
            peers,
            ttl: self.unicast_ttl.value.unwrap_or(255),
        }
    }
}

#[derive(Default)]
pub(super) struct AuthenticationDraft {
    kind: Option<AuthType>,
    password: Option<Password>,
    /// Something in the block was refused already.
    failed: bool,
}

#[derive(Clone, Copy)]
enum AuthType {
    Pass,
    None,
}

pub(super) const AUTHENTICATION: &[Keyword<AuthenticationDraft>] = &[
    Keyword::value("auth_type", "auth_type PASS", |cx, n, d| {
        let word = first(n);
        if &*word.text == "AH" {
            cx.report(
                Diagnostic::error(
                    Code::NotSupportedYet,
                    word.span,
                    "`auth_type AH` is known to keepalived; lvsd does not support it yet",
                )
                .label("not supported yet")
                .help("`PASS` is; it is sent in clear text and protects from mistakes only"),
            );
        } else {
            d.kind = cx.one_of("auth_type", word, &[("PASS", AuthType::Pass), ("none", AuthType::None)]);
        }
        d.failed |= d.kind.is_none();
    }),
    Keyword::value("auth_pass", "auth_pass PASSWORD", |cx, n, d| {
        let word = first(n);
        d.password = Password::new(&word.text);
        if d.password.is_none() {
            d.failed = true;
            cx.bad(word, "the password is empty", "write 1 to 8 characters");
        } else if word.text.len() > 8 {
            cx.report(
                Diagnostic::warning(
                    Code::OutOfRange,
                    word.span,
                    "the password is longer than 8 bytes: the rest is not used, as in keepalived",
                )
                .label("only its first 8 bytes count"),
            );
        }
    }),
];

pub(super) const TABLE: &[Keyword<Draft>] = &[
    Keyword::value("state", "state MASTER|BACKUP", |cx, n, d| {
        d.state = cx.one_of(
            "state",
            first(n),
            &[("MASTER", InitialState::Master), ("BACKUP", InitialState::Backup)],
        );
    }),
    Keyword::value("interface", "interface eth0", |cx, n, d| {
        let name = cx.interface("interface", first(n));
        d.interface.set(n, name);
    }),
    Keyword::value("virtual_router_id", "virtual_router_id 1-255", |cx, n, d| {
        let id = cx.number_u8("virtual_router_id", first(n), 1..=255).and_then(NonZeroU8::new);
        d.virtual_router_id.set(n, id);
    }),
    Keyword::value("priority", "priority 1-254", |cx, n, d| {
        let priority = priority(cx, n);
        d.priority.set(n, priority);
    }),
    Keyword::value("advert_int", "advert_int SECONDS", |cx, n, d| {
        let interval = cx.seconds(n, Duration::from_millis(10), Duration::from_secs(255));
        d.advert_interval.set(n, interval);
    }),
    Keyword::value("version", "version 2|3", |cx, n, d| d.version = global::version(cx, n)),
    Keyword::flag("nopreempt", |_, n, d: &mut Draft| d.nopreempt = Some(n.keyword.span)).sets("preempt"),
    Keyword::flag("preempt", |_, _, d| d.nopreempt = None),
    Keyword::value("preempt_delay", "preempt_delay SECONDS", |cx, n, d| {
        let delay = cx.seconds(n, Duration::ZERO, Duration::from_secs(1000));
        d.preempt_delay.set(n, delay);
    }),
    Keyword::block("authentication", "authentication { … }", 0, 0, |cx, n, d| {
        d.authentication_at = Some(n.keyword.span);
        let errors = cx.diagnostics.errors();
        cx.statements(
            Kind::Authentication,
            AUTHENTICATION,
            inner(n),
            &mut d.authentication,
            &mut Seen::default(),
        );
        d.authentication.failed |= cx.diagnostics.errors() > errors;
    }),
    Keyword::value("unicast_src_ip", "unicast_src_ip ADDRESS", |cx, n, d| {
        let address = cx.unicast_ipv4("unicast_src_ip", first(n));
        d.unicast_source.set(n, address);
    }),
    Keyword::value("mcast_src_ip", "mcast_src_ip ADDRESS", |cx, n, d| {
        let address = cx.unicast_ipv4("mcast_src_ip", first(n));
        d.mcast_source.set(n, address);
    }),
    Keyword::block("unicast_peer", "unicast_peer { ADDRESS … }", 0, 0, |cx, n, d| {
        let peers = addresses::peers(cx, n);
        // Entries that were all refused do not make the block an empty one.
        if !peers.is_empty() || inner(n).is_empty() {
            d.peers.set(n, Some(peers));
        }
    }),
    Keyword::value("unicast_ttl", "unicast_ttl 1-255", |cx, n, d| {
        let ttl = cx.number_u8("unicast_ttl", first(n), 1..=255);
        d.unicast_ttl.set(n, ttl);
    }),
    Keyword::flag("check_unicast_src", |_, n, d| d.check_unicast_src = Some(n.keyword.span)),
    Keyword::block("virtual_ipaddress", "virtual_ipaddress { ADDRESS … }", 0, 0, |cx, n, d| {
        d.addresses_at = Some(n.keyword.span);
        let addresses = addresses::addresses(cx, n);
        d.had_bad_address = addresses.len() < inner(n).len();
        // RFC 9568 §5.2.5: the count of addresses is one byte.
        if let Some(surplus) = addresses.get(255) {
            cx.report(
                Diagnostic::error(Code::Limit, surplus.at, "an advert holds at most 255 addresses")
                    .label("the 256th")
                    .help("divide them among several instances"),
            );
        }
        d.addresses = addresses;
    }),
    Keyword::value("garp_master_delay", "garp_master_delay SECONDS", |cx, n, d| d.garp.set_delay(cx, n)),
    Keyword::value("garp_master_repeat", "garp_master_repeat PACKETS", |cx, n, d| d.garp.set_repeat(cx, n)),
    Keyword::value("garp_master_refresh", "garp_master_refresh SECONDS", |cx, n, d| {
        d.garp.set_refresh(cx, n)
    }),
    Keyword::value("garp_master_refresh_repeat", "garp_master_refresh_repeat PACKETS", |cx, n, d| {
        d.garp.set_refresh_repeat(cx, n);
    }),
    script("notify_master", "notify_master COMMAND [USER [GROUP]]", |cx, n, d| d.notify.master = run(cx, n)),
    script("notify_backup", "notify_backup COMMAND [USER [GROUP]]", |cx, n, d| d.notify.backup = run(cx, n)),
    script("notify_fault", "notify_fault COMMAND [USER [GROUP]]", |cx, n, d| d.notify.fault = run(cx, n)),
    script("notify_stop", "notify_stop COMMAND [USER [GROUP]]", |cx, n, d| d.notify.stop = run(cx, n)),
    script("notify", "notify COMMAND [USER [GROUP]]", |cx, n, d| d.notify.any = run(cx, n)),
];

const fn script(
    name: &'static str,
    syntax: &'static str,
    apply: fn(&mut Cx<'_>, &Node, &mut Draft),
) -> Keyword<Draft> {
    Keyword::words(name, syntax, 1, 3, apply)
}

fn run(cx: &mut Cx<'_>, node: &Node) -> Option<Script> {
    cx.script(node)
}

fn priority(cx: &mut Cx<'_>, node: &Node) -> Option<NonZeroU8> {
    let word = first(node);
    let number = word.text.parse::<i128>().ok();
    if let Some(number) = number.filter(|n| !(1..=255).contains(n)) {
        let instead = if number > 255 {
            "write 254 or less; the highest number wins, such as `priority 200` here and `priority 100` there"
        } else {
            "write 1 or more; 0 is what a router sends when it resigns"
        };
        cx.report(
            Diagnostic::error(
                Code::OutOfRange,
                word.span,
                format!("`priority` is out of range: {}", word.shown()),
            )
            .label("must be from 1 to 254")
            .help("allowed are 1 to 254, and 255 for the router that owns the addresses itself")
            .help(instead),
        );
        return None;
    }
    cx.number_u8("priority", word, 1..=255).and_then(NonZeroU8::new)
}
