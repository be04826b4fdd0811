//! lvs-ipvs on a real kernel, with Debian's ipvsadm as the other party.

#![allow(clippy::unwrap_used)] // the literals of a test are right

mod by_library;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lvs_core::applier::{ApplierOptions, ApplierStatus, keep_applied};
use lvs_core::{
    Change, Dataplane as _, DataplaneErrorKind, Family, Forwarding, Persistence, Protocol, RealServer,
    SchedulerFlags, Scope, ServerKey, ServiceKey, ServiceTable, Table, Timeouts, Tunnel, VirtualService,
    Weight,
};
use lvs_ipvs::{Cause, Client, IpvsDataplane, Refusal};
use lvs_tests::{Host, peers, require_ipvs};
use tokio::sync::watch;

use by_library::make_altered;

/// Runs a test on a host of its own: a table of its own, too.
fn isolated<T: Send>(test: impl AsyncFnOnce(&Host) -> Result<T> + Send) -> Result<T> {
    require_ipvs();
    let host = Host::new("balancer");
    host.run(|| tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(test(&host)))
}

fn ipvsadm(host: &Host, arguments: &str) -> Result<String> {
    peers::ipvsadm(host, arguments).map_err(anyhow::Error::msg)
}

/// The table in ipvsadm's own words, without regard to the order of its hash table.
fn saved(host: &Host) -> Result<BTreeSet<String>> {
    Ok(ipvsadm(host, "-S -n")?.lines().map(|line| line.trim().to_owned()).collect())
}

fn restore(host: &Host, lines: &[&str]) -> Result<()> {
    let file = host.write_file("table", &(lines.join("\n") + "\n"));
    host.sh(&format!("ipvsadm -R < {file}")).map_err(anyhow::Error::msg)?;
    Ok(())
}

fn lines(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

fn tcp(address: &str) -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, address.parse().unwrap())
}

fn udp(address: &str) -> ServiceKey {
    ServiceKey::address(Protocol::Udp, address.parse().unwrap())
}

fn fwmark(family: Family, mark: u32) -> ServiceKey {
    ServiceKey::Fwmark { family, mark: mark.try_into().unwrap() }
}

fn service(key: ServiceKey, scheduler: &str) -> VirtualService {
    VirtualService::new(key).with_scheduler(scheduler.parse().unwrap())
}

fn server(address: &str, weight: u32, forwarding: Forwarding) -> RealServer {
    RealServer::new(ServerKey::new(address.parse().unwrap()))
        .with_weight(Weight::new(weight).unwrap())
        .with_forwarding(forwarding)
}

fn table(services: Vec<(VirtualService, Vec<RealServer>)>) -> Table {
    services
        .into_iter()
        .map(|(service, servers)| {
            let mut entry = ServiceTable::new(service);
            for server in servers {
                entry.insert(server);
            }
            entry
        })
        .collect()
}

/// The lines that make [`everything`]. (Marks above 2,147,483,647 come out of ipvsadm 1.31 as negative numbers.)
const EVERYTHING: [&str; 24] = [
    "-A -t 10.0.0.1:80 -s wlc",
    "-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 1",
    "-a -t 10.0.0.1:80 -r 10.0.1.2:8080 -m -w 0 -x 200 -y 100",
    "-A -t 10.0.0.2:80 -s wrr -p 300",
    "-a -t 10.0.0.2:80 -r 10.0.1.1:80 -g -w 65535",
    "-a -t 10.0.0.2:80 -r 10.0.1.2:80 -g -w 2147483647",
    "-A -u 10.0.0.1:53 -s rr -o",
    "-a -u 10.0.0.1:53 -r 10.0.1.1:53 -m -w 1",
    "-A -u 10.0.0.2:53 -s sh -b sh-fallback,sh-port",
    "-a -u 10.0.0.2:53 -r 10.0.1.1:53 -g -w 7",
    "-A -t [2001:db8::1]:80 -s rr -p 60 -M 64",
    "-a -t [2001:db8::1]:80 -r [2001:db8:1::1]:8080 -m -w 1",
    "-A -t [2001:db8::2]:80 -s mh -b mh-port",
    "-a -t [2001:db8::2]:80 -r [2001:db8:1::1]:80 -g -w 1",
    "-A -u [2001:db8::1]:53 -s lc",
    "-a -u [2001:db8::1]:53 -r [2001:db8:1::1]:53 -m -w 3",
    "-A -u [2001:db8::2]:53 -s nq",
    "-a -u [2001:db8::2]:53 -r [2001:db8:1::1]:53 -g -w 3",
    "-A -f 7 -s rr -p 3600 -M 255.255.255.0",
    "-a -f 7 -r 10.0.1.1:0 -g -w 1",
    "-A -f 2147483647 -6 -s rr",
    "-a -f 2147483647 -6 -r [2001:db8:1::1]:0 -m -w 1",
    "-A -t 10.0.0.3:80 -s dh",
    "-a -t 10.0.0.3:80 -r 10.0.1.1:80 -i -w 1 --tun-type ipip",
];

/// [`EVERYTHING`] as ipvsadm saves it: it leaves the thresholds out.
fn everything_saved() -> BTreeSet<String> {
    EVERYTHING.iter().map(|line| line.split(" -x ").next().unwrap_or_default().to_owned()).collect()
}

/// TCP and UDP by NAT and direct routing over IPv4 and IPv6, a tunnel, marks, persistence, flags, thresholds.
fn everything() -> Table {
    let persistence = |family, seconds, prefix| {
        Some(Persistence::new(family, Duration::from_secs(seconds)).with_prefix_len(prefix))
    };
    let flags = |first, second| SchedulerFlags { first, second, third: false };
    let (nat, direct) = (Forwarding::Masquerade, Forwarding::DirectRoute);
    let v6 = "[2001:db8:1::1]";
    table(vec![
        (
            service(tcp("10.0.0.1:80"), "wlc"),
            vec![server("10.0.1.1:8080", 1, nat), server("10.0.1.2:8080", 0, nat).with_thresholds(200, 100)],
        ),
        (
            service(tcp("10.0.0.2:80"), "wrr").with_persistence(persistence(Family::Ipv4, 300, 32)),
            vec![server("10.0.1.1:80", 65_535, direct), server("10.0.1.2:80", 2_147_483_647, direct)],
        ),
        (service(udp("10.0.0.1:53"), "rr").with_one_packet(true), vec![server("10.0.1.1:53", 1, nat)]),
        (
            service(udp("10.0.0.2:53"), "sh").with_scheduler_flags(flags(true, true)),
            vec![server("10.0.1.1:53", 7, direct)],
        ),
        (
            service(tcp("[2001:db8::1]:80"), "rr").with_persistence(persistence(Family::Ipv6, 60, 64)),
            vec![server(&format!("{v6}:8080"), 1, nat)],
        ),
        (
            service(tcp("[2001:db8::2]:80"), "mh").with_scheduler_flags(flags(false, true)),
            vec![server(&format!("{v6}:80"), 1, direct)],
        ),
        (service(udp("[2001:db8::1]:53"), "lc"), vec![server(&format!("{v6}:53"), 3, nat)]),
        (service(udp("[2001:db8::2]:53"), "nq"), vec![server(&format!("{v6}:53"), 3, direct)]),
        (
            service(fwmark(Family::Ipv4, 7), "rr").with_persistence(persistence(Family::Ipv4, 3600, 24)),
            vec![server("10.0.1.1:0", 1, direct)],
        ),
        (service(fwmark(Family::Ipv6, 2_147_483_647), "rr"), vec![server(&format!("{v6}:0"), 1, nat)]),
        (service(tcp("10.0.0.3:80"), "dh"), vec![server("10.0.1.1:80", 1, Forwarding::Tunnel(Tunnel::Ipip))]),
    ])
}

/// Makes the kernel's table equal to `desired`, and panics if an edit fails.
async fn make(client: &mut Client, desired: &Table) -> Result<usize> {
    let changes = client.table().await?.changes_to(desired);
    for result in client.apply(&changes).await? {
        result?;
    }
    Ok(changes.len())
}

#[test]
fn every_scheduler_of_the_kernel_can_be_chosen_and_changed_in_place() -> Result<()> {
    const SCHEDULERS: [&str; 13] =
        ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];
    isolated(async |host| {
        let mut client = Client::open()?;
        let key = tcp("10.0.0.1:80");
        client.add_service(&service(key, "rr")).await?;
        client.add_destination(&key, &server("10.0.1.1:80", 1, Forwarding::Masquerade)).await?;
        for scheduler in SCHEDULERS {
            let other = udp("10.0.0.1:53");
            client.add_service(&service(other, scheduler)).await?;
            client.edit_service(&service(key, scheduler)).await?;
            let expected = lines(&[
                &format!("-A -t 10.0.0.1:80 -s {scheduler}"),
                "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 1",
                &format!("-A -u 10.0.0.1:53 -s {scheduler}"),
            ]);
            assert_eq!(saved(host)?, expected);
            let read = client.service(&other).await?.context("the service that was added")?;
            assert_eq!(read.service, service(other, scheduler));
            client.remove_service(&other).await?;
            assert_eq!(client.service(&other).await?, None);
        }
        Ok(())
    })
}

#[test]
fn ipvsadm_reads_what_we_write() -> Result<()> {
    isolated(async |host| {
        let mut client = Client::open()?;
        make(&mut client, &everything()).await?;
        assert_eq!(saved(host)?, everything_saved());
        let thresholds = ipvsadm(host, "-L -n --thresholds -t 10.0.0.1:80")?;
        let words: Vec<_> = thresholds
            .lines()
            .find(|line| line.contains("10.0.1.2:8080"))
            .context("the server")?
            .split_whitespace()
            .collect();
        assert_eq!(words, ["->", "10.0.1.2:8080", "200", "100", "0", "0"]);
        assert_eq!(client.table().await?, everything());
        assert_eq!(make(&mut client, &everything()).await?, 0, "an equal table needs no edit");
        Ok(())
    })
}

#[test]
fn we_read_what_ipvsadm_writes() -> Result<()> {
    isolated(async |host| {
        restore(host, &EVERYTHING)?;
        assert_eq!(Client::open()?.table().await?, everything());
        Ok(())
    })
}

#[test]
fn a_table_is_changed_in_place_to_any_other() -> Result<()> {
    isolated(async |host| {
        let mut client = Client::open()?;
        make(&mut client, &everything()).await?;
        let smaller = table(vec![(
            service(tcp("10.0.0.2:80"), "lc"),
            vec![
                server("10.0.1.2:80", 5, Forwarding::Masquerade),
                server("10.0.1.3:80", 1, Forwarding::Tunnel(Tunnel::Ipip)),
            ],
        )]);
        make(&mut client, &smaller).await?;
        assert_eq!(
            saved(host)?,
            lines(&[
                "-A -t 10.0.0.2:80 -s lc",
                "-a -t 10.0.0.2:80 -r 10.0.1.2:80 -m -w 5",
                "-a -t 10.0.0.2:80 -r 10.0.1.3:80 -i -w 1 --tun-type ipip",
            ])
        );
        client.flush().await?;
        assert_eq!(saved(host)?, lines(&[]));
        assert_eq!(client.table().await?, Table::default());
        Ok(())
    })
}

#[test]
fn a_strange_entry_of_somebody_else_does_not_stop_the_applier() -> Result<()> {
    isolated(async |_| {
        // IPVS_SVC_ATTR_PROTOCOL: GRE instead of TCP.
        let foreign = Change::AddService(service(tcp("10.0.0.9:80"), "rr"));
        make_altered(&foreign, [6, 0, 2, 0, 6, 0], [6, 0, 2, 0, 47, 0]).await?;
        // IPVS_DEST_ATTR_FWD_METHOD: IP_VS_CONN_F_BYPASS instead of IP_VS_CONN_F_MASQ, in a service of ours.
        let ours = tcp("10.0.0.1:80");
        let mut client = Client::open()?;
        client.add_service(&service(ours, "wlc")).await?;
        let bypass = Change::AddServer(ours, server("10.0.1.9:80", 1, Forwarding::Masquerade));
        make_altered(&bypass, [8, 0, 3, 0, 0, 0], [8, 0, 3, 0, 4, 0]).await?;
        assert!(matches!(client.services().await.unwrap_err().cause(), Cause::Unreadable(_)));
        assert!(matches!(client.destinations(&ours).await.unwrap_err().cause(), Cause::Unreadable(_)));
        let listing = client.list(None).await?;
        assert_eq!((listing.services.len(), listing.services[0].servers.len()), (1, 0));
        assert_eq!(
            listing.unsayable,
            [
                "a service of protocol 47 on port 80: a service has unknown protocol 47",
                "service tcp 10.0.0.1:80: destination 10.0.1.9:80 bypasses the balancer, which no table can say",
            ]
        );
        // Counters need no more than a name.
        let statistics = client.statistics(Scope::Everything).await?;
        assert_eq!(statistics.services.keys().collect::<Vec<_>>(), [&ours]);
        assert_eq!(statistics.services[&ours].servers.len(), 1);

        let desired =
            table(vec![(service(ours, "wlc"), vec![server("10.0.1.1:80", 1, Forwarding::Masquerade)])]);
        let mut dataplane = IpvsDataplane::new(client);
        for scope in [Scope::Everything, Scope::Service(ours)] {
            let changes = dataplane.observe(scope).await?.changes_to(&desired);
            let strange: ServerKey = ServerKey::new("10.0.1.9:80".parse()?);
            assert_eq!(changes.len(), 2, "{changes:?}");
            assert!(changes.contains(&Change::RemoveServer(ours, strange)), "{changes:?}");
        }
        let changes = dataplane.observe(Scope::Everything).await?.changes_to(&desired);
        for result in dataplane.apply(changes).await {
            result?;
        }
        assert_eq!(dataplane.observe(Scope::Everything).await?.changes_to(&desired), []);
        assert_eq!(dataplane.client().destinations(&ours).await?.len(), 1);
        Ok(())
    })
}

#[test]
fn an_ipv4_server_can_stand_behind_an_ipv6_service_by_a_tunnel_only() -> Result<()> {
    isolated(async |host| {
        let mut client = Client::open()?;
        let key = tcp("[2001:db8::1]:80");
        client.add_service(&service(key, "rr")).await?;
        client.add_destination(&key, &server("10.0.1.1:80", 1, Forwarding::Tunnel(Tunnel::Ipip))).await?;
        assert!(
            saved(host)?.contains("-a -t [2001:db8::1]:80 -r 10.0.1.1:80 -i -w 1 --tun-type ipip"),
            "{:?}",
            saved(host)?
        );
        let read = client.destinations(&key).await?;
        assert_eq!(
            read.iter().map(|entry| entry.server).collect::<Vec<_>>(),
            [server("10.0.1.1:80", 1, Forwarding::Tunnel(Tunnel::Ipip))]
        );
        let error = client
            .add_destination(&key, &server("10.0.1.2:80", 1, Forwarding::Masquerade))
            .await
            .unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::MixedFamilies), "{error}");
        Ok(())
    })
}

#[test]
fn the_kernels_refusals_have_their_meaning() -> Result<()> {
    isolated(async |host| {
        let mut client = Client::open()?;
        let (present, absent) = (tcp("10.0.0.1:80"), tcp("10.0.0.9:80"));
        let nat = Forwarding::Masquerade;
        client.add_service(&service(present, "rr")).await?;
        client.add_destination(&present, &server("10.0.1.1:80", 1, nat)).await?;
        let unknown = ServerKey::new("10.0.1.9:80".parse()?);

        let refusals = [
            (Refusal::ServiceExists, client.add_service(&service(present, "rr")).await),
            (Refusal::SchedulerAbsent, client.add_service(&service(absent, "nonesuch")).await),
            (Refusal::SchedulerAbsent, client.edit_service(&service(present, "nonesuch")).await),
            (Refusal::ServiceAbsent, client.edit_service(&service(absent, "rr")).await),
            (Refusal::ServiceAbsent, client.remove_service(&absent).await),
            (Refusal::ServiceAbsent, client.add_destination(&absent, &server("10.0.1.1:80", 1, nat)).await),
            (Refusal::ServiceAbsent, client.edit_destination(&absent, &server("10.0.1.1:80", 1, nat)).await),
            (Refusal::ServiceAbsent, client.remove_destination(&absent, &unknown).await),
            (Refusal::ServiceAbsent, client.destinations(&absent).await.map(|_| ())),
            (Refusal::ServiceAbsent, client.zero(Some(&absent)).await),
            (
                Refusal::DestinationExists,
                client.add_destination(&present, &server("10.0.1.1:80", 1, nat)).await,
            ),
            (
                Refusal::DestinationAbsent,
                client.edit_destination(&present, &server("10.0.1.9:80", 1, nat)).await,
            ),
            (Refusal::DestinationAbsent, client.remove_destination(&present, &unknown).await),
            (
                Refusal::OutOfRange,
                client.add_destination(&present, &server("10.0.1.2:80", 1, nat).with_thresholds(1, 2)).await,
            ),
            (
                Refusal::InvalidDestination,
                client.add_destination(&present, &server("224.0.0.1:80", 1, nat)).await,
            ),
        ];
        for (expected, result) in refusals {
            let error = result.expect_err("a refusal");
            assert_eq!(error.refusal(), Some(expected), "{error}: {:?}", error.cause());
        }
        assert_eq!(
            saved(host)?,
            lines(&["-A -t 10.0.0.1:80 -s rr", "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 1"])
        );
        // A service without servers is no absent service.
        client.remove_destination(&present, &ServerKey::new("10.0.1.1:80".parse()?)).await?;
        assert_eq!(client.destinations(&present).await?, []);
        Ok(())
    })
}

#[test]
fn a_batch_goes_on_after_a_failed_edit_and_says_which_failed_and_why() -> Result<()> {
    isolated(async |_| {
        let (good, bad) = (tcp("10.0.0.1:80"), tcp("10.0.0.2:80"));
        let server = server("10.0.1.1:80", 1, Forwarding::Masquerade);
        let mut client = Client::open()?;
        let changes = [
            Change::AddService(service(bad, "nonesuch")),
            Change::AddServer(bad, server),
            Change::AddService(service(good, "rr")),
            Change::AddServer(good, server),
            Change::AddServer(good, server),
            Change::RemoveService(tcp("10.0.0.3:80")),
        ];
        let results = client.apply(&changes).await?;
        assert_eq!(
            results.iter().map(|result| result.as_ref().err().and_then(|e| e.refusal())).collect::<Vec<_>>(),
            [
                Some(Refusal::SchedulerAbsent),
                None,
                None,
                None,
                Some(Refusal::DestinationExists),
                Some(Refusal::ServiceAbsent)
            ]
        );
        assert!(matches!(results[1].as_ref().map_err(lvs_ipvs::Error::cause), Err(Cause::Follows)));
        assert!(results[2].is_ok() && results[3].is_ok());
        assert_eq!(
            results[1].as_ref().unwrap_err().to_string(),
            "add destination 10.0.1.1:80 (weight 1) to tcp 10.0.0.2:80: the service was not added, see the earlier error"
        );

        let mut dataplane = IpvsDataplane::new(client);
        let kinds: Vec<_> = dataplane
            .apply(changes.to_vec())
            .await
            .into_iter()
            .map(|result| result.map_err(|error| error.kind()))
            .collect();
        use DataplaneErrorKind::{Drifted, Refused};
        let expected = [Err(Refused), Err(Refused), Err(Drifted), Err(Drifted), Err(Drifted), Err(Drifted)];
        assert_eq!(kinds, expected);
        Ok(())
    })
}

#[test]
fn version_and_timeouts_are_those_that_ipvsadm_shows() -> Result<()> {
    isolated(async |host| {
        let mut client = Client::open()?;
        let info = client.info().await?;
        let header =
            format!("IP Virtual Server version {} (size={})", info.version, info.connection_table_size);
        assert_eq!(ipvsadm(host, "-L -n")?.lines().next(), Some(header.as_str()));

        assert_eq!(client.timeouts().await?, Timeouts::default());
        let seconds = Duration::from_secs;
        let timeouts = Timeouts { tcp: seconds(901), tcp_fin: seconds(121), udp: seconds(301) };
        client.set_timeouts(&timeouts).await?;
        assert_eq!(client.timeouts().await?, timeouts);
        assert_eq!(ipvsadm(host, "-L --timeout")?.trim(), "Timeout (tcp tcpfin udp): 901 121 301");
        let only_udp = Timeouts { tcp: seconds(0), tcp_fin: seconds(0), udp: seconds(30) };
        client.set_timeouts(&only_udp).await?;
        assert_eq!(client.timeouts().await?, Timeouts { udp: seconds(30), ..timeouts });
        Ok(())
    })
}

#[test]
fn without_the_capability_every_call_says_so() {
    require_ipvs();
    let host = Host::new("balancer");
    let this = std::env::current_exe().unwrap();
    let mut child = host.command("setpriv");
    child.args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"]).arg(this);
    child.args(["--exact", "--ignored", "--nocapture", "forbidden_without_the_capability"]);
    let output = host.output(&mut child).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(output.contains("1 passed"), "{output}");
}

#[tokio::test]
#[ignore = "run by without_the_capability_every_call_says_so"]
async fn forbidden_without_the_capability() {
    let key = tcp("10.0.0.1:80");
    let mut client = Client::open().unwrap();
    let results = [
        client.services().await.map(|_| ()),
        client.service(&key).await.map(|_| ()),
        client.destinations(&key).await.map(|_| ()),
        client.add_service(&service(key, "rr")).await,
        client.flush().await,
    ];
    for result in results {
        let error = result.expect_err("a refusal");
        assert_eq!(error.refusal(), Some(Refusal::Forbidden), "{error}: {:?}", error.cause());
        assert!(error.to_string().contains("CAP_NET_ADMIN is missing"), "{error}");
    }
    let mut dataplane = IpvsDataplane::new(client);
    let error = dataplane.observe(Scope::Everything).await.expect_err("no empty table");
    assert_eq!(error.kind(), DataplaneErrorKind::Forbidden);
    let results = dataplane.apply(vec![Change::RemoveService(key)]).await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), DataplaneErrorKind::Forbidden);
}

#[test]
fn a_table_of_2277_services_with_16_servers_is_written_and_read() -> Result<()> {
    isolated(async |_| {
        let desired: Table = (0..2277u16)
            .map(|number| {
                let [high, low] = number.to_be_bytes();
                let mut entry = ServiceTable::new(service(tcp(&format!("10.{high}.{low}.1:80")), "wlc"));
                for last in 1..=16 {
                    entry.insert(server(&format!("10.200.0.{last}:80"), 1, Forwarding::DirectRoute));
                }
                entry
            })
            .collect();
        let mut client = Client::open()?;
        let changes = Table::default().changes_to(&desired);
        assert_eq!(changes.len(), 2277 * 17);

        let start = Instant::now();
        for result in client.apply(&changes).await? {
            result?;
        }
        let written = start.elapsed();
        let start = Instant::now();
        let observed = client.table().await?;
        let read = start.elapsed();
        assert!(observed == desired, "{:?}", observed.changes_to(&desired).first());
        let mut other = desired.clone();
        other.service_mut(&tcp("10.4.0.1:80")).context("one of the services")?.insert(server(
            "10.200.0.9:80",
            5,
            Forwarding::DirectRoute,
        ));
        let start = Instant::now();
        let change = observed.changes_to(&other);
        let difference = start.elapsed();
        let start = Instant::now();
        for result in client.apply(&change).await? {
            result?;
        }
        let changed = start.elapsed();
        assert_eq!(change.len(), 1);
        assert!(
            client.service_table(&tcp("10.4.0.1:80")).await?.as_ref() == other.service(&tcp("10.4.0.1:80"))
        );
        let start = Instant::now();
        client.flush().await?;
        let flushed = start.elapsed();
        println!(
            "2,277 services with 16 servers: written in {written:?}, read in {read:?}, compared in {difference:?}, \
             one weight changed in {changed:?}, flushed in {flushed:?}"
        );
        Ok(())
    })
}

#[test]
fn what_somebody_else_did_to_the_table_is_repaired() -> Result<()> {
    isolated(async |host| {
        let (desired, watched) = watch::channel(everything());
        let (status, mut reports) = watch::channel(ApplierStatus::default());
        let mut options = ApplierOptions::default();
        options.drift_interval = Duration::from_millis(100);
        options.full_interval = Duration::from_millis(500);
        // Somebody else's service stays as it is.
        ipvsadm(host, "-A -t 10.99.0.1:80 -s rr")?;
        let mut expected = everything_saved();
        expected.insert("-A -t 10.99.0.1:80 -s rr".to_owned());

        let dataplane = IpvsDataplane::new(Client::open()?);
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let applier = tokio::task::spawn_local(keep_applied(dataplane, watched, options, status));
                in_sync_after(&mut reports, 0).await?;
                assert_eq!(saved(host)?, expected);

                ipvsadm(host, "-d -t 10.0.0.1:80 -r 10.0.1.1:8080")?;
                ipvsadm(host, "-e -t 10.0.0.2:80 -r 10.0.1.1:80 -m -w 9")?;
                ipvsadm(host, "-E -f 7 -s wlc")?;
                ipvsadm(host, "-a -f 7 -r 10.0.1.7:0 -g")?;
                in_sync_after(&mut reports, 4).await?;
                assert_eq!(saved(host)?, expected);

                ipvsadm(host, "-C")?;
                in_sync_after(&mut reports, 4 + 24).await?;
                assert_eq!(saved(host)?, everything_saved());

                desired.send(Table::default())?;
                drop(desired);
                let mut dataplane = applier.await?;
                assert_eq!(saved(host)?, lines(&[]));
                assert_eq!(dataplane.observe(Scope::Service(tcp("10.0.0.1:80"))).await?, Table::default());
                Ok(())
            })
            .await
    })
}

/// Waits until the applier made at least that many repairs and reports an equal table.
async fn in_sync_after(reports: &mut watch::Receiver<ApplierStatus>, repairs: u64) -> Result<()> {
    let wait = reports.wait_for(|status| status.in_sync && status.repairs >= repairs);
    let result = tokio::time::timeout(Duration::from_secs(30), wait).await;
    result.map(|status| status.map(|_| ())).with_context(|| format!("{repairs} repairs"))??;
    Ok(())
}
