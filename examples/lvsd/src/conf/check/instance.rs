//! `vrrp_instance`: one block.

mod addressing;
mod authentication;
mod delivery;
mod election;
mod strict;
mod table;
mod unique;

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

#[cfg(test)]
pub(super) use authentication::AUTHENTICATION;
use authentication::AuthenticationDraft;
use delivery::OldChecksum;
pub(super) use table::TABLE;
pub(super) use unique::check_all;

use super::super::known::Kind;
use super::super::lexer::quoted;
use super::super::model::{Answers, InitialState, NotifyScripts, Peer, Version, VrrpInstance};
use super::super::source::Span;
use super::super::tree::Node;
use super::addresses::AddressDraft;
use super::global::{self, GarpDraft, SyncDraft};
use super::group::Memberships;
use super::objects::Objects;
use super::track::{self, Entry, HasTracks, Tracker};
use super::{Cx, Seen, inner};

/// An instance with the places that comparisons with others need.
pub(super) struct Checked {
    pub(super) instance: VrrpInstance,
    name_at: Span,
    vrid_at: Span,
    /// In the order of the instance's addresses, then of those that adverts do not list.
    addresses_at: Vec<Span>,
    tracks: Vec<Entry>,
    /// `lvs_sync_daemon_interface`
    pub(super) sync: Option<SyncDraft>,
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
    cx.needs_name(name);
    let mut draft = Draft::default();
    cx.statements(Kind::Instance, TABLE, inner(node), &mut draft, &mut Seen::default());
    cx.needs(node, "interface", "interface eth0");
    cx.needs(node, "virtual_router_id", "virtual_router_id 51");
    let family = draft.family(cx);
    let version = draft.version(cx, family, global);
    let strict = draft.strict(global);
    draft.listed(cx, node, family, version, strict);
    let priority = draft.priority(cx, node);
    if let Some(strict) = strict {
        draft.obey(cx, strict, version, priority);
    }
    let priority = priority?;
    let state = draft.state.value.unwrap_or_default();
    draft.election(cx, state, priority);
    draft.lateness(cx);
    let garp = global.garp(draft.garp, strict.is_some());
    draft.without_effect(cx, priority, strict.is_some(), garp.refresh);
    let advert_interval = draft.interval(cx, version);
    let authentication = draft.authentication(cx, version);
    let delivery = draft.delivery(cx, family, global);
    draft.own_addresses(cx, &delivery, priority);
    let checksum = draft.checksum(cx, &delivery, global);
    let answers = Answers {
        lower_prio_no_advert: strict.is_some()
            || draft.lower_prio_no_advert.value.unwrap_or(global.lower_prio_no_advert),
        higher_prio_send_advert: strict.is_none()
            && draft.higher_prio_send_advert.value.unwrap_or(global.higher_prio_send_advert),
        owner_ignore_adverts: draft
            .owner_ignore_adverts
            .value
            .or(global.owner_ignore_adverts)
            .unwrap_or(strict.is_some()),
    };
    let down_timer_adverts = match strict {
        Some(_) => None,
        None => draft.down_timer_adverts.value.or(global.down_timer_adverts),
    };
    let interface = draft.interface.value?;
    let both = || draft.addresses.iter().chain(&draft.excluded);
    let addresses_at = both().map(|address| address.at).collect();
    let finish = |addresses: Vec<AddressDraft>| {
        addresses.into_iter().map(|address| address.finish(&interface)).collect()
    };
    let instance = VrrpInstance {
        name: name.text.to_string(),
        at: node.keyword.span,
        state,
        virtual_router_id: draft.virtual_router_id.value?,
        priority,
        advert_interval,
        version,
        strict: strict.is_some(),
        preempt: draft.nopreempt.is_none(),
        preempt_delay: draft.preempt_delay.value.unwrap_or_default(),
        down_timer_adverts: down_timer_adverts.unwrap_or(3),
        yield_when_late: draft.timer_expired_backup.map(|(others, _)| others),
        answers,
        authentication,
        family,
        any_first_address: strict.is_none(),
        delivery,
        checksum,
        check_addresses: !draft.skip_check_adv_addr.unwrap_or(global.skip_check_adv_addr),
        track_interface: !draft.dont_track_primary,
        track_source: draft.track_src_ip,
        addresses: finish(draft.addresses),
        excluded: finish(draft.excluded),
        garp,
        notify: draft.notify,
        notify_priority_changes: draft.notify_priority_changes.unwrap_or(global.notify_priority_changes),
        track: Vec::new(),
        interface,
    };
    let vrid_at = draft.virtual_router_id.said.unwrap_or(node.keyword.span);
    let sync = draft.sync.map(|sync| sync.following(name));
    Some(Checked { instance, name_at: name.span, vrid_at, addresses_at, tracks: draft.tracks, sync })
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

    /// The value and its place.
    fn get(&self) -> Option<(&V, Span)> {
        self.value.as_ref().zip(self.said)
    }
}

#[derive(Default)]
pub(in crate::conf::check) struct Draft {
    state: Said<InitialState>,
    interface: Said<String>,
    virtual_router_id: Said<NonZeroU8>,
    priority: Said<NonZeroU8>,
    advert_interval: Said<Duration>,
    version: Said<Version>,
    nopreempt: Option<Span>,
    preempt_delay: Said<Duration>,
    down_timer_adverts: Said<u8>,
    /// With the highest priority of the other routers.
    timer_expired_backup: Option<(NonZeroU8, Span)>,
    lower_prio_no_advert: Said<bool>,
    higher_prio_send_advert: Said<bool>,
    owner_ignore_adverts: Said<bool>,
    strict_mode: Said<bool>,
    accept: Option<Span>,
    skip_check_adv_addr: Option<bool>,
    authentication: AuthenticationDraft,
    authentication_at: Option<Span>,
    unicast_source: Said<IpAddr>,
    mcast_source: Said<IpAddr>,
    group: Said<IpAddr>,
    peers: Vec<(Peer, Span)>,
    peers_at: Option<Span>,
    unicast_ttl: Said<u8>,
    unicast_fault_no_peer: Option<Span>,
    check_unicast_src: Option<Span>,
    plain_checksum: Option<bool>,
    old_unicast_checksum: Said<OldChecksum>,
    native_ipv6: Option<Span>,
    dont_track_primary: bool,
    track_src_ip: bool,
    addresses: Vec<AddressDraft>,
    addresses_at: Option<Span>,
    had_bad_address: bool,
    no_virtual_ipaddress: Option<Span>,
    excluded: Vec<AddressDraft>,
    garp: GarpDraft,
    /// `garp_lower_prio_delay` and `garp_lower_prio_repeat`, where they are not zero.
    garp_lower_prio_at: Vec<Span>,
    garp_refresh_repeat_at: Option<Span>,
    notify: NotifyScripts,
    notify_priority_changes: Option<bool>,
    tracks: Vec<Entry>,
    /// `lvs_sync_daemon_interface`
    sync: Option<SyncDraft>,
}

impl HasTracks for Draft {
    fn tracks(&mut self) -> &mut Vec<Entry> {
        &mut self.tracks
    }
}
