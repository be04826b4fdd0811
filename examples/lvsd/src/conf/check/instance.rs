//! `vrrp_instance`: one block.

mod authentication;
mod delivery;
mod election;
mod table;
mod unique;

use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::time::Duration;

use super::super::diagnostic::{Code, Diagnostic};
use super::super::known::Kind;
use super::super::lexer::quoted;
use super::super::model::{InitialState, NotifyScripts, Peer, Version, VrrpInstance};
use super::super::source::Span;
use super::super::tree::Node;
use super::addresses::AddressDraft;
use super::global::{self, GarpDraft};
use super::group::Memberships;
use super::objects::Objects;
use super::track::{self, Entry, HasTracks, Tracker};
use super::{Cx, Seen, inner};
#[cfg(test)]
pub(super) use authentication::AUTHENTICATION;
use authentication::AuthenticationDraft;
pub(super) use table::TABLE;
pub(super) use unique::check_all;

/// An instance with the places that comparisons with others need.
pub(super) struct Checked {
    pub(super) instance: VrrpInstance,
    name_at: Span,
    vrid_at: Span,
    /// In the order of the instance's addresses.
    addresses_at: Vec<Span>,
    tracks: Vec<Entry>,
}

impl Checked {
    /// Looks up what it tracks, when all that can be tracked is known.
    pub(super) fn resolve_tracks(
        &mut self,
        cx: &mut Cx<'_>,
        objects: &mut Objects,
        groups: &Memberships<'_>,
    ) {
        let name = &self.instance.name;
        let place = format!("the instance {}", quoted(name));
        let tracker = Tracker {
            place: &place,
            interface: Some(&self.instance.interface),
            ignores_weights_of: groups.ignoring_weights_of(name),
        };
        self.instance.track = track::resolve(cx, &self.tracks, objects, &tracker);
    }
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
        track: Vec::new(),
    };
    let vrid_at = draft.virtual_router_id.said.unwrap_or(node.keyword.span);
    Some(Checked { instance, name_at: name.span, vrid_at, addresses_at, tracks: draft.tracks })
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
pub(in crate::conf::check) struct Draft {
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
    tracks: Vec<Entry>,
}

impl HasTracks for Draft {
    fn tracks(&mut self) -> &mut Vec<Entry> {
        &mut self.tracks
    }
}
