//! Adverts from octets and to octets, and what a router does with them.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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

fn v4_vips(number: u8) -> Vec<Ipv4Addr> {
    (0..number).map(|last| Ipv4Addr::new(192, 0, 2, last)).collect()
}

fn v6_vips(number: u8) -> Vec<Ipv6Addr> {
    (0..number).map(|last| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last.into())).collect()
}

fn packets(criterion: &mut Criterion) {
    let password = Authentication::Password(AuthPass::new(b"secret").expect("short enough"));
    let v6_endpoints = Endpoints::v6(
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2),
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12),
    );
    let running = Advertised::Running(priority(100));
    for number in [1, 20] {
        let (v4, v6) = (v4_vips(number), v6_vips(number));
        let v2 = Advert::new(vrid(51), running, one_second_v2(), &v4).expect("valid");
        let v3 = Advert::new(vrid(51), running, one_second_v3(), &v4).expect("valid");
        let adverts = [
            ("v2", v2.with_authentication(password), TO_GROUP),
            ("v3", v3, TO_GROUP),
            (
                "v3 over IPv6",
                Advert::new(vrid(51), running, one_second_v3(), &v6).expect("valid"),
                v6_endpoints,
            ),
        ];
        let mut group = criterion.benchmark_group(format!("VRRP advert with {number} addresses"));
        group.throughput(Throughput::Elements(1));
        let mut buffer = Vec::with_capacity(2048);
        for (name, advert, endpoints) in adverts {
            advert.write_to(&endpoints, &mut buffer);
            let packet = buffer.clone();
            assert_eq!(Advert::parse(&packet, &endpoints), Ok(advert));
            group.bench_function(format!("parse {name}"), |b| {
                b.iter(|| Advert::parse(black_box(&packet), black_box(&endpoints)));
            });
            group.bench_function(format!("emit {name}"), |b| {
                b.iter(|| {
                    black_box(&advert).write_to(black_box(&endpoints), &mut buffer);
                    black_box(&buffer);
                });
            });
        }
        group.finish();
    }
    let mut damaged = packet(&advert(one_second_v3(), priority(100)));
    damaged[2] ^= 1;
    assert!(Advert::parse(&damaged, &TO_GROUP).is_err());
    criterion.bench_function("VRRP advert refused for its checksum", |b| {
        b.iter(|| Advert::parse(black_box(&damaged), black_box(&TO_GROUP)));
    });
}

fn demultiplexer(criterion: &mut Criterion) {
    let mut demux = Demux::new();
    for id in 1..=255 {
        let listener = Listener::new(vrid(id), one_second_v3(), Delivery::to_group(Family::Ipv4));
        demux.insert(id.into(), listener.with_own_address(OWN.into()).with_addresses(&VIPS));
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
