//! Family, version, and which addresses adverts list.

use std::net::IpAddr;

use lvs_core::Family;

use super::super::addresses::AddressDraft;
use super::super::{Cx, global, lacks, says};
use super::Draft;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::model::Version;
use crate::conf::source::Span;
use crate::conf::tree::Node;

impl Draft {
    /// The family of the virtual addresses, or of what else has one; whatever is of the other one is an error.
    pub(super) fn family(&mut self, cx: &mut Cx<'_>) -> Family {
        let listed = self.addresses.iter().map(|vip| (vip.address(), vip.at));
        let peers = self.peers.iter().map(|(peer, at)| (peer.address, *at));
        let said = [&self.unicast_source, &self.mcast_source, &self.group];
        let said = said.into_iter().filter_map(|said| said.get().map(|(address, at)| (*address, at)));
        let all: Vec<(IpAddr, Span)> = listed.chain(peers).chain(said).collect();
        let Some(&(first, first_at)) = all.first() else { return Family::Ipv4 };
        let family = Family::of(&first);
        let is_vip = |at: Span| self.addresses.iter().any(|vip| vip.at == at);
        for (address, at) in all.into_iter().filter(|(address, _)| Family::of(address) != family) {
            let (message, help) = if is_vip(at) {
                (
                    format!("an instance advertises addresses of one family, and {first} came first"),
                    "move it to `virtual_ipaddress_excluded`, which takes both, or to an instance of its own",
                )
            } else {
                (
                    format!("this instance is one of {}", name(family)),
                    "write an address of that family, or remove this",
                )
            };
            cx.report(
                Diagnostic::error(Code::Conflict, at, message)
                    .label(format!("{address} is an address of {}", name(Family::of(&address))))
                    .also(first_at, format!("an address of {}", name(family)))
                    .help(help),
            );
        }
        self.old_words(cx, family);
        family
    }

    fn old_words(&self, cx: &mut Cx<'_>, family: Family) {
        let Some(at) = self.native_ipv6 else { return };
        cx.report(match family {
            Family::Ipv4 => Diagnostic::error(Code::Conflict, at, "`native_ipv6` in an instance of IPv4")
                .label("this does not go with IPv4 addresses")
                .help("remove it: the addresses decide"),
            Family::Ipv6 => Diagnostic::warning(
                Code::NoEffect,
                at,
                "`native_ipv6` has no effect: the addresses decide, as in keepalived",
            )
            .label("read, and otherwise left out")
            .help("remove it"),
        });
    }

    /// keepalived takes version 3 for IPv6 whatever it is told, and says so; so does this.
    pub(super) fn version(&self, cx: &mut Cx<'_>, family: Family, global: &global::Draft) -> Version {
        match (family, self.version.get()) {
            (Family::Ipv4, said) => said.map(|(version, _)| *version).or(global.version).unwrap_or_default(),
            (Family::Ipv6, Some((Version::V2, at))) => {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        at,
                        "VRRP version 2 has no IPv6: version 3 is used, as in keepalived",
                    )
                    .label("left out")
                    .help("write `version 3`, or remove this"),
                );
                Version::V3
            }
            (Family::Ipv6, _) => Version::V3,
        }
    }

    /// Sees to it that there are addresses, and that they fit an advert: what does not is moved to the others.
    pub(super) fn listed(
        &mut self,
        cx: &mut Cx<'_>,
        node: &Node,
        family: Family,
        version: Version,
        strict: Option<Span>,
    ) {
        let had_wrong_block = self.addresses_at.is_none() && says(node, "virtual_ipaddress");
        if self.addresses.is_empty() && !self.had_bad_address && !had_wrong_block {
            self.none_listed(cx, node, version, strict);
        }
        self.first_of_the_link(cx, strict);
        let (all, most) = (self.addresses.len(), MOST_LISTED);
        // The driver knows the MTU, and lists what fits.
        let usual = match family {
            Family::Ipv4 => most,
            Family::Ipv6 => USUAL_IPV6,
        };
        let Some(surplus) = self.addresses.get(usual) else { return };
        let diagnostic = if all > most {
            let message = format!(
                "an advert lists at most {most} addresses: the other {} are not advertised",
                all - most
            );
            let at = self.addresses.get(most).map_or(surplus.at, |surplus| surplus.at);
            Diagnostic::warning(Code::Limit, at, message)
        } else {
            let message = format!(
                "where the MTU is 1,500 an advert lists {usual} addresses of IPv6, and there are {all}"
            );
            Diagnostic::warning(Code::Limit, surplus.at, message)
        };
        cx.report(
            diagnostic
                .label("from here on as in `virtual_ipaddress_excluded`, as in keepalived")
                .help("divide them among several instances, or move them there on all routers"),
        );
        if all > most {
            let mut moved = self.addresses.split_off(most);
            moved.append(&mut self.excluded);
            self.excluded = moved;
        }
    }

    /// What RFC 9568 §5.2.9 wants of IPv6. As in keepalived a warning, and in strict mode an error.
    fn first_of_the_link(&self, cx: &mut Cx<'_>, strict: Option<Span>) {
        let Some(first) = self.addresses.first() else { return };
        let is_global =
            |address: IpAddr| matches!(address, IpAddr::V6(address) if !address.is_unicast_link_local());
        if !is_global(first.address()) {
            return;
        }
        let of_the_link = self
            .addresses
            .iter()
            .map(AddressDraft::address)
            .find(|address| address.is_ipv6() && !is_global(*address));
        let help = match of_the_link {
            Some(address) => format!("move {address} to the front, on all routers"),
            None => "put one in front of it, the same on all routers, such as `fe80::51`".to_owned(),
        };
        let label = format!("{} is not in fe80::/10", first.address());
        cx.report(match strict {
            Some(strict) => Diagnostic::error(
                Code::Conflict,
                first.at,
                "the first IPv6 address of an instance has to be one of the link (RFC 9568 §5.2.9)",
            )
            .label(label)
            .also(strict, "strict mode is asked for here")
            .help(help),
            None => Diagnostic::warning(
                Code::Conflict,
                first.at,
                "the first IPv6 address of an instance should be one of the link (RFC 9568 §5.2.9)",
            )
            .label(format!("{label}: routers other than keepalived may discard the adverts"))
            .help(help),
        });
    }

    /// As in keepalived a warning in version 2, unless the mode is strict, and an error in version 3.
    fn none_listed(&self, cx: &mut Cx<'_>, node: &Node, version: Version, strict: Option<Span>) {
        const HELP: &str = "with `no_virtual_ipaddress` there may be none, in version 2";
        match (self.no_virtual_ipaddress, self.addresses_at) {
            (None, at) if version == Version::V2 && strict.is_none() => {
                let (at, label) = match at {
                    Some(at) => (at, "no address stands in this block"),
                    None => (node.span(), "`virtual_ipaddress` is missing in this block"),
                };
                cx.report(
                    Diagnostic::warning(Code::MissingKeyword, at, "the instance advertises no address")
                        .label(label)
                        .help("add `virtual_ipaddress { 192.0.2.10 }`, or `no_virtual_ipaddress` if that is meant"),
                );
            }
            (Some(at), _) if version == Version::V3 => cx.report(
                Diagnostic::error(
                    Code::Conflict,
                    at,
                    "adverts of version 3 list at least one address (RFC 9568 §5.2.5)",
                )
                .label("other routers do not count those that list none")
                .help("add `virtual_ipaddress { ADDRESS }`, or write `version 2`"),
            ),
            (Some(_), _) => {}
            (None, None) => {
                cx.report(lacks(node, "virtual_ipaddress", "virtual_ipaddress { 192.0.2.10 }").help(HELP));
            }
            (None, Some(at)) => cx.report(
                Diagnostic::error(Code::MissingKeyword, at, "`virtual_ipaddress` is empty")
                    .label("at least one address has to stand in this block")
                    .help(HELP),
            ),
        }
    }
}

fn name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

/// RFC 9568 §5.2.5: the count of addresses is one byte.
const MOST_LISTED: usize = 255;
/// What keepalived 2.2.7 puts into a packet of 1,500 bytes.
const USUAL_IPV6: usize = 89;
