//! The kernel's connection table, from octets to rows: how many a second.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lvs_ipvs::Connections;

const ROWS: u32 = 100_000;

const HEADER: &str = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";

/// As the kernel writes them, in a mixture of states.
fn table(row: impl Fn(&mut String, u32, &str)) -> String {
    let states = ["ESTABLISHED", "ESTABLISHED", "ESTABLISHED", "TIME_WAIT", "FIN_WAIT", "SYN_RECV"];
    let mut table = HEADER.to_owned();
    for (number, state) in (0..ROWS).zip(states.into_iter().cycle()) {
        row(&mut table, number, state);
    }
    table
}

fn ipv4() -> String {
    table(|table, number, state| {
        let (client, port) = (0x0a00_0000 + number / 1000, 1024 + number % 1000);
        writeln!(
            table,
            "TCP {client:08X} {port:04X} C0A8010C 0050 C0A8020D 1F90 {state:<11} {:>7}",
            number % 900
        )
        .expect("memory");
    })
}

fn ipv6() -> String {
    table(|table, number, state| {
        let (high, low, network) =
            (number / 1000, 1024 + number % 1000, "2001:0db8:0000:0000:0000:0000:0000");
        writeln!(
            table,
            "TCP {network}:{high:04x} {low:04X} {network}:ffff 0050 {network}:fffe 1F90 {state:<11} {:>7}",
            number % 900
        )
        .expect("memory");
    })
}

fn sip() -> String {
    table(|table, number, _| {
        let call = "a84b4c76e66710@pc33.atlanta.example";
        writeln!(
            table,
            "UDP 0A000005 0000 C0A8010C 13C4 C0A8020D 13C4 ASSURED     {:>7} sip {number}-{call}",
            300
        )
        .expect("memory");
    })
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connection table, 100,000 rows");
    group.throughput(Throughput::Elements(ROWS.into()));
    for (name, table) in [("IPv4", ipv4()), ("IPv6", ipv6()), ("with data of an engine", sip())] {
        let read = |table: &str| {
            Connections::from_reader(table.as_bytes()).filter(|row| black_box(row).is_ok()).count()
        };
        assert_eq!(read(&table), usize::try_from(ROWS).expect("a small number"));
        group.bench_function(name, |b| b.iter(|| read(black_box(&table))));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = read
}
criterion_main!(benches);
