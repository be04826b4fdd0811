//! `virtual_ipaddress` and `unicast_peer`: blocks whose lines start with an address.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use lvs_core::{AddressScope, VirtualAddress};

use super::super::diagnostic::{Code, Diagnostic};
use super::super::known::{Kind, nearest};
use super::super::lexer::Word;
use super::super::model::Peer;
use super::super::source::Span;
use super::super::tree::Node;
use super::values::is_host;
use super::{Cx, inner};

/// An address whose interface may be the instance's, which is not known yet.
pub(super) struct AddressDraft {
    pub(super) at: Span,
    address: IpAddr,
    prefix_len: u8,
    dev: Option<String>,
    scope: AddressScope,
    label: Option<String>,
    broadcast: Option<Ipv4Addr>,
}

impl AddressDraft {
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn finish(self, interface: &str) -> VirtualAddress {
        let dev = self.dev.unwrap_or_else(|| interface.to_owned());
        let mut address = VirtualAddress::new(dev, self.address, self.prefix_len);
        address.scope = self.scope;
        address.label = self.label;
        address.broadcast = self.broadcast;
        address
    }
}

/// The entries of `virtual_ipaddress` and `virtual_ipaddress_excluded`.
pub(super) fn addresses(cx: &mut Cx<'_>, node: &Node) -> Vec<AddressDraft> {
    inner(node).iter().filter_map(|entry| address(cx, entry, &node.keyword.text)).collect()
}

fn address(cx: &mut Cx<'_>, entry: &Node, block: &str) -> Option<AddressDraft> {
    no_block(cx, entry);
    let (address, prefix_len) = prefix(cx, &entry.keyword, block)?;
    let mut draft = AddressDraft {
        at: entry.keyword.span,
        address,
        prefix_len,
        dev: None,
        scope: AddressScope::GLOBAL,
        label: None,
        broadcast: None,
    };
    let mut words = entry.args.iter();
    let mut seen: Vec<&str> = Vec::new();
    while let Some(word) = words.next() {
        let name = match &*word.text {
            "broadcast" => "brd",
            name => name,
        };
        if ADDRESS_WORDS.contains(&name) && seen.contains(&name) {
            cx.report(
                Diagnostic::error(Code::Duplicate, word.span, format!("{} is there twice", word.shown()))
                    .label("the second time"),
            );
        }
        seen.push(name);
        if !ADDRESS_WORDS.contains(&name) {
            unknown_option(cx, word);
            return None;
        }
        let Some(value) = words.next() else {
            cx.report(
                Diagnostic::error(
                    Code::MissingParameter,
                    word.span,
                    format!("{} lacks its value", word.shown()),
                )
                .label("something has to follow"),
            );
            return None;
        };
        if address.is_ipv6() && name != "dev" {
            ipv4_only(cx, name, word);
            continue;
        }
        match name {
            "dev" => draft.dev = cx.interface("dev", value),
            "scope" => draft.scope = scope(cx, value)?,
            "label" => draft.label = label(cx, value),
            _ => draft.broadcast = broadcast(cx, value, address, prefix_len),
        }
    }
    Some(draft)
}

/// keepalived ignores scope and label of an IPv6 address, and says so; an address with `brd` it leaves out.
fn ipv4_only(cx: &mut Cx<'_>, name: &str, word: &Word) {
    let message = format!("{} does not go with an IPv6 address", word.shown());
    cx.report(if name == "brd" {
        Diagnostic::error(Code::Conflict, word.span, message)
            .label("there is no broadcast in IPv6")
            .help("remove it")
    } else {
        Diagnostic::warning(Code::Conflict, word.span, format!("{message}: it is left out"))
            .label("only IPv4 addresses have one")
    });
}

fn no_block(cx: &mut Cx<'_>, entry: &Node) {
    if let Some(block) = &entry.block {
        cx.report(
            Diagnostic::error(Code::UnexpectedBlock, block.open, "an address has no block")
                .label("this brace does not belong here"),
        );
    }
}

/// `ADDRESS[/LENGTH]`, a host's address.
fn prefix(cx: &mut Cx<'_>, word: &Word, block: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match word.text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (&*word.text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        not_an_address(cx, word, block);
        return None;
    };
    if !is_host(address) {
        cx.bad(word, format!("{} cannot be a virtual address", word.shown()), "no host may announce it");
        return None;
    }
    if address.is_loopback() {
        let message =
            format!("{} is a loopback address: it is added all the same, as in keepalived", word.shown());
        cx.report(
            Diagnostic::warning(Code::BadValue, word.span, message)
                .label("no other host can reach it (RFC 1122 §3.2.1.3)"),
        );
    }
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => longest,
        Some(text) => match text.parse::<u8>().ok().filter(|n| *n <= longest && !text.starts_with('+')) {
            Some(length) => length,
            None => {
                let message = format!(
                    "the prefix length of {} is not one: /{longest} is taken, as in keepalived",
                    word.shown()
                );
                cx.instead(word, message, format!("must be from /0 to /{longest}"));
                longest
            }
        },
    };
    Some((address, length))
}

fn not_an_address(cx: &mut Cx<'_>, word: &Word, block: &str) {
    let mut diagnostic = Diagnostic::error(
        Code::BadValue,
        word.span,
        format!("`{block}` holds addresses, not {}", word.shown()),
    )
    .label("not an IPv4 or IPv6 address");
    if Kind::Instance.knows(&word.text) {
        diagnostic = diagnostic.help(format!("is the `}}` that closes `{block}` missing above?"));
    }
    cx.report(diagnostic);
}

fn unknown_option(cx: &mut Cx<'_>, word: &Word) {
    let name = &*word.text;
    let diagnostic = if LATER_ADDRESS_WORDS.contains(&name) {
        Diagnostic::error(
            Code::NotSupportedYet,
            word.span,
            format!("{} is a word of keepalived that lvsd does not support yet", word.shown()),
        )
        .label("not supported yet")
    } else if name.parse::<IpAddr>().is_ok()
        || name.split_once('/').is_some_and(|(a, _)| a.parse::<IpAddr>().is_ok())
    {
        Diagnostic::error(Code::SurplusWords, word.span, "two addresses on one line")
            .label("put it on a line of its own")
    } else {
        let label = match nearest(name, ADDRESS_WORDS.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "not known here".into(),
        };
        Diagnostic::error(
            Code::UnknownKeyword,
            word.span,
            format!("unknown word {} after an address", word.shown()),
        )
        .label(label)
        .help("write `ADDRESS[/LENGTH] [dev IF] [scope SCOPE] [label LABEL] [brd ADDRESS|+|-]`")
    };
    cx.report(diagnostic);
}

fn scope(cx: &mut Cx<'_>, word: &Word) -> Option<AddressScope> {
    if word.text.bytes().all(|b| b.is_ascii_digit()) {
        return cx.number_u8("scope", word, 0..=255).map(AddressScope);
    }
    let known = SCOPES.iter().find(|(name, _)| *name == &*word.text);
    if known.is_none() {
        let label = match nearest(&word.text, SCOPES.iter().map(|(name, _)| *name)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "allowed: global, site, link, host, nowhere".into(),
        };
        let message = format!("there is no scope {}: it is left out, as in keepalived", word.shown());
        cx.report(Diagnostic::warning(Code::BadValue, word.span, message).label(label));
    }
    Some(known.map_or(AddressScope::GLOBAL, |(_, scope)| *scope))
}

fn label(cx: &mut Cx<'_>, word: &Word) -> Option<String> {
    if word.text.is_empty()
        || word.text.len() > 15
        || word.text.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        cx.report(
            Diagnostic::error(Code::BadValue, word.span, format!("no label can be {}", word.shown()))
                .label("must have 1 to 15 bytes")
                .help("write the interface, a colon and a short text, such as `eth0:vip`"),
        );
        return None;
    }
    Some(word.text.to_string())
}

/// `+` sets the bits of the host part, `-` clears them, as in ip-address(8).
fn broadcast(cx: &mut Cx<'_>, word: &Word, address: IpAddr, prefix_len: u8) -> Option<Ipv4Addr> {
    // Refused before for the other family.
    let IpAddr::V4(address) = address else { return None };
    let host = u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0);
    match &*word.text {
        "+" | "-" if prefix_len > 30 => {
            cx.bad(
                word,
                format!("a /{prefix_len} has no broadcast address"),
                "give the address a shorter prefix, or remove this",
            );
            None
        }
        "+" => Some(Ipv4Addr::from(u32::from(address) | host)),
        "-" => Some(Ipv4Addr::from(u32::from(address) & !host)),
        _ => cx.ipv4("brd", word),
    }
}

/// Adds the entries of a `unicast_peer`.
pub(super) fn peers(cx: &mut Cx<'_>, node: &Node, peers: &mut Vec<(Peer, Span)>) {
    let mut known: BTreeSet<IpAddr> = peers.iter().map(|(peer, _)| peer.address).collect();
    for entry in inner(node) {
        no_block(cx, entry);
        let Some(peer) = peer(cx, entry) else { continue };
        if !known.insert(peer.address) {
            cx.report(
                Diagnostic::warning(
                    Code::Duplicate,
                    entry.keyword.span,
                    format!("the peer {} is there twice", entry.keyword.shown()),
                )
                .label("left out"),
            );
            continue;
        }
        if peers.len() >= MAX_PEERS {
            cx.report(
                Diagnostic::error(Code::Limit, entry.keyword.span, format!("more than {MAX_PEERS} peers"))
                    .label("one too many"),
            );
            break;
        }
        peers.push((peer, entry.keyword.span));
    }
}

fn peer(cx: &mut Cx<'_>, entry: &Node) -> Option<Peer> {
    let text = &*entry.keyword.text;
    if text.split_once('/').map_or(text, |(address, _)| address).parse::<IpAddr>().is_err() {
        not_an_address(cx, &entry.keyword, "unicast_peer");
        return None;
    }
    let mut peer = Peer { address: cx.router("unicast_peer", &entry.keyword)?, min_ttl: None, max_ttl: None };
    let mut words = entry.args.iter();
    while let Some(word) = words.next() {
        let limit = match &*word.text {
            "min_ttl" => &mut peer.min_ttl,
            "max_ttl" => &mut peer.max_ttl,
            _ => {
                cx.report(
                    Diagnostic::error(
                        Code::UnknownKeyword,
                        word.span,
                        format!("unknown word {} after a peer", word.shown()),
                    )
                    .label("not known here")
                    .help("write one peer a line: `ADDRESS [min_ttl 0-255] [max_ttl 0-255]`"),
                );
                return None;
            }
        };
        let Some(value) = words.next() else {
            cx.report(
                Diagnostic::error(
                    Code::MissingParameter,
                    word.span,
                    format!("{} lacks its value", word.shown()),
                )
                .label("a number from 0 to 255 has to follow"),
            );
            return None;
        };
        *limit = cx.number_u8(&word.text, value, 0..=255);
    }
    if let (Some(min), Some(max)) = (peer.min_ttl, peer.max_ttl)
        && min > max
    {
        cx.report(
            Diagnostic::error(Code::Conflict, entry.span(), "min_ttl is larger than max_ttl")
                .label("no packet can have such a TTL"),
        );
    }
    Some(peer)
}

/// By their names in rtnetlink(7).
const SCOPES: [(&str, AddressScope); 5] = [
    ("global", AddressScope::GLOBAL),
    ("site", AddressScope::SITE),
    ("link", AddressScope::LINK),
    ("host", AddressScope::HOST),
    ("nowhere", AddressScope::NOWHERE),
];
/// Words that may follow an address.
pub(super) const ADDRESS_WORDS: [&str; 4] = ["dev", "scope", "label", "brd"];
/// Words that keepalived takes there, too.
const LATER_ADDRESS_WORDS: [&str; 11] = [
    "peer",
    "home",
    "nodad",
    "-nodad",
    "mngtmpaddr",
    "noprefixroute",
    "autojoin",
    "preferred_lft",
    "use_vmac",
    "no_track",
    "track_group",
];
/// An advert goes to each of them one by one.
const MAX_PEERS: usize = 4096;
