//! `lvs_method`, also called `lb_kind`: how packets reach a server.

use std::num::NonZeroU16;

use lvs_core::{Forwarding, Tunnel, TunnelChecksum};

use super::super::super::diagnostic::{Code, Diagnostic};
use super::super::super::lexer::Word;
use super::super::super::tree::Node;
use super::super::{Cx, Seen, first};

/// How the keyword is written, for messages.
pub(super) const SYNTAX: &str = "lvs_method NAT|DR|TUN [type ipip|gue port NUMBER|gre] [nocsum|csum|remcsum]";

/// The same by its other name.
pub(super) const LB_KIND: &str = "lb_kind NAT|DR|TUN [type ipip|gue port NUMBER|gre] [nocsum|csum|remcsum]";

/// The most words that it takes: `TUN type gue port 6080 csum`.
pub(super) const MOST: usize = 6;

#[derive(Clone, Copy)]
enum Kind {
    Nat,
    Dr,
    Tun,
}

#[derive(Clone, Copy)]
enum TunnelType {
    Ipip,
    Gue,
    Gre,
}

#[derive(Clone, Copy)]
enum TunnelOption {
    Type,
    Port,
    Checksum(TunnelChecksum),
}

/// What the words say, if they are right.
pub(super) fn method(cx: &mut Cx<'_>, node: &Node) -> Option<Forwarding> {
    let kinds = [("NAT", Kind::Nat), ("DR", Kind::Dr), ("TUN", Kind::Tun)];
    let forwarding = match cx.one_of(&node.keyword.text, first(node), &kinds)? {
        Kind::Tun => return tunnel(cx, node).map(Forwarding::Tunnel),
        Kind::Nat => Forwarding::Masquerade,
        Kind::Dr => Forwarding::DirectRoute,
    };
    if let Some(surplus) = node.args.get(1) {
        let message = format!("`{} {}` takes no options", &node.keyword.text, &first(node).text);
        cx.report(
            Diagnostic::error(Code::SurplusWords, surplus.span, message)
                .label("this does not belong here")
                .help(format!("only `TUN` has them: `{SYNTAX}`")),
        );
        return None;
    }
    Some(forwarding)
}

fn tunnel(cx: &mut Cx<'_>, node: &Node) -> Option<Tunnel> {
    let mut tunnel_type = TunnelType::Ipip;
    let mut port: Option<(&Word, NonZeroU16)> = None;
    let mut checksum: Option<(&Word, TunnelChecksum)> = None;
    let mut seen = Seen::default();
    let mut words = node.args.iter().skip(1);
    while let Some(word) = words.next() {
        let (name, option) = match &*word.text {
            "type" => ("type", TunnelOption::Type),
            "port" => ("port", TunnelOption::Port),
            "nocsum" => ("checksum", TunnelOption::Checksum(TunnelChecksum::None)),
            "csum" => ("checksum", TunnelOption::Checksum(TunnelChecksum::Full)),
            "remcsum" => ("checksum", TunnelOption::Checksum(TunnelChecksum::Remote)),
            _ => {
                cx.bad(word, format!("a tunnel has no option {}", word.shown()), format!("write `{SYNTAX}`"));
                return None;
            }
        };
        if !cx.is_first_option(&mut seen, name, word, "keepalived would silently use the last") {
            return None;
        }
        match option {
            TunnelOption::Type => {
                let types = [("ipip", TunnelType::Ipip), ("gue", TunnelType::Gue), ("gre", TunnelType::Gre)];
                let name = value(cx, word, words.next())?;
                tunnel_type = cx.one_of("type", name, &types)?;
            }
            TunnelOption::Port => {
                let number = value(cx, word, words.next())?;
                port = Some((word, cx.port("port", number)?));
            }
            TunnelOption::Checksum(said) => checksum = Some((word, said)),
        }
    }
    let sum = checksum.map_or(TunnelChecksum::None, |(_, sum)| sum);
    let refused = |cx: &mut Cx<'_>, option: Option<&Word>, tunnels: &str, remedy: &str| {
        let word = option.unwrap_or(&node.keyword);
        let message = format!("`{}` is nothing that {tunnels} tunnels have", &word.text);
        cx.report(Diagnostic::error(Code::Conflict, word.span, message).label(remedy.to_owned()));
        None
    };
    match (tunnel_type, port) {
        (TunnelType::Gue, Some((_, port))) => Some(Tunnel::Gue { port, checksum: sum }),
        (TunnelType::Gue, None) => {
            let message = format!("`{}`: a tunnel of type gue needs a port", &node.keyword.text);
            cx.report(
                Diagnostic::error(Code::MissingParameter, node.span(), message)
                    .label("`port NUMBER` is missing")
                    .help("the servers say on which UDP port they take it; 6080 is usual"),
            );
            None
        }
        (_, Some((word, _))) => refused(cx, Some(word), "ipip and gre", "only `type gue` has a port"),
        (TunnelType::Ipip, None) if sum != TunnelChecksum::None => refused(
            cx,
            checksum.map(|(word, _)| word),
            "ipip",
            "only `type gue` and `type gre` have checksums",
        ),
        (TunnelType::Ipip, None) => Some(Tunnel::Ipip),
        (TunnelType::Gre, None) if sum == TunnelChecksum::Remote => {
            refused(cx, checksum.map(|(word, _)| word), "gre", "`csum` or `nocsum`")
        }
        (TunnelType::Gre, None) => Some(Tunnel::Gre { checksum: sum == TunnelChecksum::Full }),
    }
}

fn value<'w>(cx: &mut Cx<'_>, option: &'w Word, value: Option<&'w Word>) -> Option<&'w Word> {
    if value.is_none() {
        let message = format!("`{}` lacks its value", &option.text);
        cx.report(
            Diagnostic::error(Code::MissingParameter, option.span, message)
                .label("something has to follow")
                .help(format!("write `{SYNTAX}`")),
        );
    }
    value
}
