//! Virtual routers as `lvs-vrrp` takes them.

use std::collections::BTreeSet;
use std::time::Duration;

use lvs_core::claims::Bursts;
use lvs_vrrp::{
    AuthPass, Authentication, ChecksumForm, Config, Delivery, InstanceConfig, Interval, Multicast, Peer,
    Preempt, Priority, Start, Unicast, Vrid,
};

use crate::conf::model;

/// The router of an instance.
pub(super) fn router(
    instance: &model::VrrpInstance,
    priority: Priority,
) -> Result<InstanceConfig, lvs_vrrp::OutOfRange> {
    let vrid = Vrid::new(instance.virtual_router_id.get())?;
    let addresses = |list: &[lvs_core::VirtualAddress]| list.iter().map(|vip| vip.key.address).collect();
    let mut planned = InstanceConfig::new(
        &instance.name,
        &instance.interface,
        vrid,
        addresses(&instance.addresses),
        config(instance, priority)?,
    );
    planned.excluded_addresses = addresses(&instance.excluded);
    let all = instance.addresses.iter().chain(&instance.excluded);
    let used: BTreeSet<&String> = all.map(|vip| &vip.key.interface).collect();
    planned.tracked_interfaces =
        used.into_iter().filter(|name| **name != instance.interface).cloned().collect();
    planned.delivery = delivery(&instance.delivery);
    planned.authentication = match &instance.authentication {
        Some(model::Authentication::Pass(password) | model::Authentication::Ah(password)) => {
            Authentication::Password(AuthPass::truncated(&password.bytes()))
        }
        None => Authentication::None,
    };
    if instance.plain_checksum {
        planned.checksum = ChecksumForm::MessageOnly;
    }
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
    let start = match instance.state {
        model::InitialState::Master => Start::Master,
        model::InitialState::Backup => Start::Backup,
    };
    Ok(Config::new(interval, priority)
        .with_preempt(preempt)
        .with_start(start)
        .with_announce_delay(instance.garp.delay)
        .with_announce_refresh(instance.garp.refresh.unwrap_or(Duration::ZERO)))
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

/// More packets than 255 in one burst are not sent.
pub(super) fn bursts(garp: model::Garp) -> Bursts {
    let count = |packets: u32| u8::try_from(packets).unwrap_or(u8::MAX);
    Bursts {
        repeat: count(garp.repeat),
        first_rounds: if garp.delay.is_zero() { 1 } else { 2 },
        refresh_repeat: count(garp.refresh_repeat),
    }
}
