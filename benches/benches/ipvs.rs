//! Messages of the kernel's IPVS: edits to octets, and entries of a dump from octets.

use std::hint::black_box;
use std::num::NonZeroU16;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lvs_core::{
    Change, Family, Forwarding, Protocol, RealServer, ServerKey, ServiceKey, Tunnel, TunnelChecksum,
    VirtualService, Weight,
};
use lvs_ipvs::codec;

const DESTINATIONS: u16 = 1_000;

fn service() -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, ([10, 0, 0, 1], 80).into())
}

fn server(number: u16) -> RealServer {
    let [high, low] = number.to_be_bytes();
    RealServer::new(ServerKey::new(([10, 1, high, low], 8080).into())).with_forwarding(Forwarding::Masquerade)
}

fn encode(criterion: &mut Criterion) {
    let edit = Change::EditServer(service(), server(7).with_weight(Weight::ZERO));
    let additions: Vec<Change> =
        (0..DESTINATIONS).map(|number| Change::AddServer(service(), server(number))).collect();
    let add_service = Change::AddService(VirtualService::new(service()));
    let tunnel = Tunnel::Gue { port: NonZeroU16::MIN, checksum: TunnelChecksum::Remote };
    let full = server(7).with_forwarding(Forwarding::Tunnel(tunnel)).with_thresholds(1_000, 500);
    let full = Change::AddServer(service(), full);
    let all = [&edit, &add_service, &full].into_iter().chain(&additions);
    assert!(all.into_iter().all(|change| codec::encode(change).is_some()));

    let mut group = criterion.benchmark_group("IPVS message, encode");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a service", |b| b.iter(|| codec::encode(black_box(&add_service))));
    group.bench_function("a destination's weight", |b| b.iter(|| codec::encode(black_box(&edit))));
    group.bench_function("a destination with everything", |b| b.iter(|| codec::encode(black_box(&full))));
    group.throughput(Throughput::Elements(DESTINATIONS.into()));
    group.bench_function("1,000 destinations", |b| {
        b.iter(|| {
            for change in black_box(&additions) {
                black_box(codec::encode(change));
            }
        });
    });
    group.finish();
}

/// The first entry of this command that the kernel answered to `ipvsadm -L -n`, with the generic netlink header.
fn captured(command: &str) -> Vec<u8> {
    let (_, listing) = CAPTURES.split_once("# ipvsadm -L -n\n").expect("it was captured");
    let answer =
        listing.lines().filter_map(|line| line.strip_prefix("< ")).find(|line| line.starts_with(command));
    let (pairs, _) = answer.expect("both commands were answered").as_bytes().as_chunks::<2>();
    let octet = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(|pair| octet(pair).expect("hexadecimal")).collect()
}

fn decode(criterion: &mut Criterion) {
    let (service, destination) = (captured(NEW_SERVICE), captured(NEW_DEST));
    let dump = vec![destination.clone(); DESTINATIONS.into()];
    assert_eq!((codec::decode(&service), codec::decode(&destination)), (Ok(()), Ok(())));
    codec::decode_server(&destination, Family::Ipv4).expect("it is a server");

    let mut group = criterion.benchmark_group("IPVS dump, decode");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a service and its counters", |b| b.iter(|| codec::decode(black_box(&service))));
    group.bench_function("a destination and its counters", |b| {
        b.iter(|| codec::decode(black_box(&destination)))
    });
    group.bench_function("a destination as the data plane reads it", |b| {
        b.iter(|| codec::decode_server(black_box(&destination), Family::Ipv4));
    });
    group.throughput(Throughput::Elements(DESTINATIONS.into()));
    group.bench_function("1,000 destinations as the data plane reads them", |b| {
        b.iter(|| {
            for entry in black_box(&dump) {
                let _ = black_box(codec::decode_server(entry, Family::Ipv4));
            }
        });
    });
    group.finish();
}

/// What the kernel sent for real (little-endian).
const CAPTURES: &str = include_str!("../../lvs-ipvs/captures/ipvsadm-1.31.txt");
/// `IPVS_CMD_NEW_SERVICE` and `IPVS_CMD_NEW_DEST` as the first octet of an answer.
const NEW_SERVICE: &str = "01";
const NEW_DEST: &str = "05";

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = encode, decode
}
criterion_main!(benches);
