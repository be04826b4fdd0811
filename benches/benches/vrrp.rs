//! Adverts from octets and to octets, and what a router does with them.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lvs_core::{ClaimResult, Family, Instant, Role};
use lvs_vrrp::{
    Action, Advert, Advertised, AuthPass, Authentication, Config, Datagram, Delivery, Demux, Endpoints,
    Interval, Listener, Priority, Router, Vrid,
};

const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const TO_GROUP: Endpoints = Endpoints::v4(PEER, Ipv4Addr::new(224, 0, 0, 18));
const VIPS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 100), Ipv4Addr::new(192, 0, 2, 101)];
const ROUTERS: u16 = 1_000;

fn vrid(number: u8) -> Vrid {
    Vrid::new(number).expect("from 1")
}

fn priority(number: u8) -> Priority {
    Priority::new(number).expect("from 1")
}

fn one_second_v2() -> Interval {
    Interval::seconds(1).expect("in range")
}

fn one_second_v3() -> Interval {
    Interval::centis(100).expect("in range")
}

fn advert(interval: Interval, priority: Priority) -> Advert<'static> {
    Advert::new(vrid(51), Advertised::Running(priority), interval, &VIPS).expect("two addresses")
}

fn packet(advert: &Advert<'_>) -> Vec<u8> {
    let mut packet = Vec::new();
    advert.write_to(&TO_GROUP, &mut packet);
    packet
}

fn packets(criterion: &mut Criterion) {
    let password = Authentication::Password(AuthPass::new(b"secret").expect("short enough"));
    let v2 = advert(one_second_v2(), priority(100)).with_authentication(password);
    let v3 = advert(one_second_v3(), priority(100));
    let (v2_packet, v3_packet) = (packet(&v2), packet(&v3));
    let mut damaged = v3_packet.clone();
    damaged[2] ^= 1;
    assert!(Advert::parse(&v2_packet, &TO_GROUP).is_ok() && Advert::parse(&v3_packet, &TO_GROUP).is_ok());
    assert!(Advert::parse(&damaged, &TO_GROUP).is_err());

    let mut group = criterion.benchmark_group("VRRP advert with 2 addresses");
    group.throughput(Throughput::Elements(1));
    for (name, packet) in
        [("parse v2", &v2_packet), ("parse v3", &v3_packet), ("refuse wrong checksum", &damaged)]
    {
        group.bench_function(name, |b| {
            b.iter(|| Advert::parse(black_box(packet), black_box(&TO_GROUP)).map(|advert| advert.vrid()));
        });
    }
    let mut buffer = Vec::with_capacity(64);
    for (name, advert) in [("emit v2", v2), ("emit v3", v3)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                black_box(&advert).write_to(black_box(&TO_GROUP), &mut buffer);
                black_box(&buffer);
            });
        });
    }
    group.finish();
}

fn demultiplexer(criterion: &mut Criterion) {
    let mut demux = Demux::new();
    for id in 1..=255 {
        let listener = Listener::new(vrid(id), one_second_v3(), Delivery::to_group(Family::Ipv4));
        let vips = VIPS.map(IpAddr::from).to_vec();
        demux.insert(id.into(), listener.with_own_address(OWN.into()).with_addresses(vips));
    }
    let packet = packet(&advert(one_second_v3(), priority(100)));
    let (good, routed) = (Datagram::new(TO_GROUP, 255, &packet), Datagram::new(TO_GROUP, 254, &packet));
    assert!(demux.accept(&good).is_ok() && demux.accept(&routed).is_err());

    let mut group = criterion.benchmark_group("VRRP datagram to one of 255 instances");
    group.throughput(Throughput::Elements(1));
    for (name, datagram) in [("accept", &good), ("refuse TTL 254", &routed)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                demux.accept(black_box(datagram)).map(|accepted| accepted.id).map_err(|refused| refused.id)
            })
        });
    }
    group.finish();
}

fn drain(router: &mut Router) {
    while let Some(action) = router.poll_action() {
        black_box(action);
    }
}

fn master(interval: Interval) -> (Router, Instant) {
    let mut router = Router::new(Config::new(interval, priority(200)), OWN.into());
    router.enable(Instant::ORIGIN);
    let now = router.poll_timeout().expect("a backup waits for the master");
    router.handle_timeout(now);
    let mut epoch = None;
    while let Some(action) = router.poll_action() {
        if let Action::Claim { epoch: claimed } = action {
            epoch = Some(claimed);
        }
    }
    router.handle_claimed(now, epoch.expect("a new master claims"), ClaimResult::Confirmed);
    drain(&mut router);
    assert_eq!(router.role(), Role::Master);
    (router, now)
}

fn router(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("VRRP router");
    group.throughput(Throughput::Elements(1));

    let mut backup = Router::new(Config::new(one_second_v3(), priority(100)), OWN.into());
    backup.enable(Instant::ORIGIN);
    drain(&mut backup);
    let heard = advert(one_second_v3(), priority(200));
    let mut now = Instant::ORIGIN;
    group.bench_function("backup hears the master", |b| {
        b.iter(|| {
            now = now + Duration::from_millis(1);
            backup.handle_advert(now, IpAddr::from(PEER), black_box(&heard));
            drain(&mut backup);
            backup.poll_timeout()
        });
    });
    assert_eq!(backup.role(), Role::Backup);

    let (mut master_router, _) = master(one_second_v3());
    group.bench_function("master's advert timer", |b| {
        b.iter(|| {
            let due = master_router.poll_timeout().expect("a master has a timer");
            master_router.handle_timeout(due);
            drain(&mut master_router);
        });
    });

    let (mut master_router, mut now) = master(one_second_v3());
    let lower = advert(one_second_v3(), priority(100));
    group.bench_function("master hears a lower priority", |b| {
        b.iter(|| {
            now = now + Duration::from_millis(1);
            master_router.handle_advert(now, IpAddr::from(PEER), black_box(&lower));
            drain(&mut master_router);
        });
    });
    assert_eq!(master_router.role(), Role::Master);

    let mut routers: Vec<Router> = (0..ROUTERS).map(|_| master(one_second_v3()).0).collect();
    group.throughput(Throughput::Elements(ROUTERS.into()));
    group.bench_function("advert timers of 1,000 masters", |b| {
        b.iter(|| {
            for router in &mut routers {
                let due = router.poll_timeout().expect("a master has a timer");
                router.handle_timeout(due);
                drain(router);
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = packets, demultiplexer, router
}
criterion_main!(benches);
