//! What two instances must not share: names, router ids on a link, addresses.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use super::super::Cx;
use super::Checked;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::lexer::quoted;
use crate::conf::model::Delivery;
use crate::conf::source::Span;

/// Checks what is unique among all instances: names, router ids on a link, addresses.
pub(in crate::conf::check) fn check_all(cx: &mut Cx<'_>, all: &[Checked]) {
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
        for from in hears(&instance.delivery) {
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
        let all = instance.addresses.iter().chain(&instance.excluded);
        for (address, at) in all.zip(&checked.addresses_at) {
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
fn hears(delivery: &Delivery) -> Vec<HeardFrom> {
    match delivery {
        Delivery::Multicast { group, .. } => vec![HeardFrom::Group(*group)],
        Delivery::Unicast { peers, .. } => peers.iter().map(|peer| HeardFrom::Peer(peer.address)).collect(),
    }
}

#[derive(PartialEq, Eq, Hash)]
enum HeardFrom {
    Group(IpAddr),
    Peer(IpAddr),
}
