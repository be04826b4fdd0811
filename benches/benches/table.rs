//! The difference between a desired and an observed table of 10,000 services with 10 servers each.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use lvs_core::{
    Director, Health, OnFailure, Pool, Protocol, RealServer, ServerKey, ServiceKey, Table, VirtualService,
};

const SERVICES: u16 = 10_000;
const SERVERS: u8 = 10;

fn service_key(service: u16) -> ServiceKey {
    let [high, low] = service.to_be_bytes();
    ServiceKey::address(Protocol::Tcp, ([10, 1, high, low], 80).into())
}

fn server_key(service: u16, server: u8) -> ServerKey {
    let [high, low] = service.to_be_bytes();
    ServerKey::new(([10, server, high, low], 8080).into())
}

fn director() -> Director {
    Director::new((0..SERVICES).map(|service| {
        let mut pool = Pool::new(VirtualService::new(service_key(service)));
        for server in 0..SERVERS {
            pool.insert(RealServer::new(server_key(service, server + 2)), OnFailure::Remove);
        }
        pool
    }))
}

/// The same table built anew, as reading a kernel gives it: nothing is shared.
fn observed(table: &Table) -> Table {
    table.services().cloned().collect()
}

fn difference(criterion: &mut Criterion) {
    let mut director = director();
    let before = director.desired();
    director.set_health(&service_key(77), &server_key(77, 2), Health::Down);
    let after = director.desired();
    let kernel = observed(&before);

    let mut group = criterion.benchmark_group("table difference, 10,000 services x 10 servers");
    group.bench_function("observed and equal", |b| {
        b.iter(|| black_box(&kernel).changes_to(black_box(&before)))
    });
    group.bench_function("observed, one server down", |b| {
        b.iter(|| black_box(&kernel).changes_to(black_box(&after)));
    });
    group.bench_function("known, one server down", |b| {
        b.iter(|| black_box(&before).changes_to(black_box(&after)));
    });
    group.bench_function("empty to full", |b| {
        b.iter(|| black_box(&Table::default()).changes_to(black_box(&after)));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5));
    targets = difference
}
criterion_main!(benches);
