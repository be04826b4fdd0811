//! Virtual routers as `lvs-vrrp` takes them.

use std::collections::BTreeSet;
use std::time::Duration;

use lvs_vrrp::{
    AnnounceSchedule, AuthPass, Authentication, ChecksumForm, Config, Delivery, DownTimerAdverts,
    InstanceConfig, Interval, Multicast, Peer, Preempt, Priority, Unicast, Vrid,
};

use crate::conf::model;

/// The router of an instance that does nothing for the first `start_delay`.
pub(super) fn router(
    instance: &model::VrrpInstance,
    priority: Priority,
    start_delay: Duration,
) -> Result<InstanceConfig, lvs_vrrp::OutOfRange> {
    let vrid = Vrid::new(instance.virtual_router_id.get())?;
    let addresses = |list: &[lvs_core::VirtualAddress]| list.iter().map(|vip| vip.key.address).collect();
    let mut planned = InstanceConfig::new(
        &instance.name,
        &instance.interface,
        vrid,
        addresses(&instance.addresses),
        config(instance, priority)?.with_start_delay(start_delay),
    );
    planned.excluded_addresses = addresses(&instance.excluded);
    planned.takes_any_first_address = instance.any_first_address;
    let all = instance.addresses.iter().chain(&instance.excluded);
    let used: BTreeSet<&String> = all.map(|vip| &vip.key.interface).collect();
    planned.tracked_interfaces =
        used.into_iter().filter(|name| **name != instance.interface).cloned().collect();
    planned.ignores_link_state = !instance.track_interface;
    planned.tracks_source = instance.track_source;
    planned.is_faulty_without_peers = true;
    planned.delivery = delivery(&instance.delivery);
    planned.authentication = match &instance.authentication {
        Some(model::Authentication::Pass(password)) => {
            Authentication::Password(AuthPass::truncated(&password.bytes()))
        }
        Some(model::Authentication::Ah(key)) => Authentication::Ah(AuthPass::truncated(&key.bytes())),
        None => Authentication::None,
    };
    planned.checksum = match instance.checksum {
        model::Checksum::WithAddresses => ChecksumForm::PseudoHeader,
        model::Checksum::MessageAlone => ChecksumForm::MessageOnly,
        model::Checksum::OldUnicast => ChecksumForm::OldUnicast,
    };
    Ok(planned)
}

fn config(instance: &model::VrrpInstance, priority: Priority) -> Result<Config, lvs_vrrp::OutOfRange> {
    let interval = match instance.version {
        model::Version::V2 => {
            // The configuration holds whole seconds for this version; saturating is for what cannot be.
            Interval::seconds(u8::try_from(instance.advert_interval.as_secs()).unwrap_or(u8::MAX))?
        }
        model::Version::V3 => {
            let centis = instance.advert_interval.as_millis() / 10;
            Interval::centis(u16::try_from(centis).unwrap_or(u16::MAX))?
        }
    };
    let preempt = match (instance.preempt, instance.preempt_delay) {
        (false, _) => Preempt::Never,
        (true, Duration::ZERO) => Preempt::Always,
        (true, delay) => Preempt::After(delay),
    };
    // Whatever `state` says, it listens for a whole master down interval first, as keepalived does.
    let config = Config::new(interval, priority)
        .with_preempt(preempt)
        .with_down_timer_adverts(DownTimerAdverts::new(instance.down_timer_adverts)?)
        .with_yield_when_late(instance.yield_when_late.is_some())
        .with_lower_prio_no_advert(instance.answers.lower_prio_no_advert)
        .with_higher_prio_send_advert(instance.answers.higher_prio_send_advert)
        .with_owner_ignore_adverts(instance.answers.owner_ignore_adverts)
        .with_announcements(announcements(instance.garp));
    Ok(match instance.yield_when_late {
        Some(others) => config.with_highest_other_priority(Priority::new(others.get())?),
        None => config,
    })
}

fn delivery(delivery: &model::Delivery) -> Delivery {
    match delivery {
        model::Delivery::Multicast { group, source } => {
            let mut multicast = Multicast::to(*group);
            multicast.source = *source;
            Delivery::Multicast(multicast)
        }
        model::Delivery::Unicast { source, peers, ttl, check_source } => {
            let mut unicast = Unicast::to([]);
            unicast.peers = peers.iter().map(peer).collect();
            unicast.source = *source;
            unicast.ttl = *ttl;
            unicast.check_source = *check_source;
            Delivery::Unicast(unicast)
        }
    }
}

fn peer(peer: &model::Peer) -> Peer {
    let mut planned = Peer::new(peer.address);
    planned.min_ttl = peer.min_ttl;
    planned.max_ttl = peer.max_ttl;
    planned
}

fn announcements(garp: model::Garp) -> AnnounceSchedule {
    AnnounceSchedule::default()
        .with_repeat(garp.repeat)
        .with_delay(garp.delay)
        .with_refresh(garp.refresh.unwrap_or(Duration::ZERO))
        .with_refresh_repeat(garp.refresh_repeat)
        .with_lower_prio_repeat(garp.lower_prio_repeat)
        .with_lower_prio_delay(garp.lower_prio_delay)
}
