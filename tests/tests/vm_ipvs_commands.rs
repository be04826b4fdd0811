//! Every command of the kernel's IPVS through lvs-ipvs, each read back by Debian's ipvsadm: flags, tunnels, marks, sync
//! daemons, counters, refusals, other network namespaces.

#![allow(clippy::unwrap_used)] // the literals of a test are right

use std::collections::BTreeSet;
use std::fs::File;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lvs_core::{
    Dataplane as _, Family, Forwarding, Persistence, Protocol, RealServer, SchedulerFlags, Scope, ServerKey,
    ServiceKey, SyncDaemon, SyncRole, Table, Timeouts, Tunnel, TunnelChecksum, VirtualService, Weight,
};
use lvs_ipvs::{Client, IpvsDataplane, Options, Refusal};
use lvs_tests::{Host, peers, poll_until, require_ipvs};

/// Runs a test on a host of its own: a table of its own, too.
fn isolated<T: Send>(test: impl AsyncFnOnce(&Host) -> Result<T> + Send) -> Result<T> {
    require_ipvs();
    let host = Host::new("balancer");
    on(&host, test)
}

fn on<T: Send>(host: &Host, test: impl AsyncFnOnce(&Host) -> Result<T> + Send) -> Result<T> {
    host.run(|| tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(test(host)))
}

fn ipvsadm(host: &Host, arguments: &str) -> Result<String> {
    peers::ipvsadm(host, arguments).map_err(anyhow::Error::msg)
}

/// The table in ipvsadm's own words, without regard to the order of its hash table.
fn saved(host: &Host) -> Result<BTreeSet<String>> {
    Ok(ipvsadm(host, "-S -n")?.lines().map(|line| line.trim().to_owned()).collect())
}

fn tcp(address: &str) -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, address.parse().unwrap())
}

fn udp(address: &str) -> ServiceKey {
    ServiceKey::address(Protocol::Udp, address.parse().unwrap())
}

fn service(key: ServiceKey, scheduler: &str) -> VirtualService {
    VirtualService::new(key).with_scheduler(scheduler.parse().unwrap())
}

fn server(address: &str, forwarding: Forwarding) -> RealServer {
    RealServer::new(ServerKey::new(address.parse().unwrap())).with_forwarding(forwarding)
}

fn persistence(family: Family, seconds: u64, prefix: u8) -> Option<Persistence> {
    Some(Persistence::new(family, Duration::from_secs(seconds)).with_prefix_len(prefix))
}

fn gue(port: u16, checksum: TunnelChecksum) -> Forwarding {
    Forwarding::Tunnel(Tunnel::Gue { port: port.try_into().unwrap(), checksum })
}

/// What the service that a line of ipvsadm is about is called in our words, and that line.
fn services() -> Vec<(VirtualService, &'static str)> {
    let flags = |first, second, third| SchedulerFlags { first, second, third };
    let mark = |family, mark: u32| ServiceKey::Fwmark { family, mark: mark.try_into().unwrap() };
    let sctp = ServiceKey::address(Protocol::Sctp, "10.0.0.1:9".parse().unwrap());
    let (four, six) = (Family::Ipv4, Family::Ipv6);
    vec![
        (service(tcp("10.0.0.1:80"), "wlc"), "-A -t 10.0.0.1:80 -s wlc"),
        (service(udp("10.0.0.1:80"), "rr").with_one_packet(true), "-A -u 10.0.0.1:80 -s rr -o"),
        (service(sctp, "lc"), "-A --sctp-service 10.0.0.1:9 -s lc"),
        (
            service(tcp("10.0.0.2:80"), "sh").with_scheduler_flags(flags(true, false, false)),
            "-A -t 10.0.0.2:80 -s sh -b sh-fallback",
        ),
        (
            service(tcp("10.0.0.3:80"), "sh").with_scheduler_flags(flags(false, true, false)),
            "-A -t 10.0.0.3:80 -s sh -b sh-port",
        ),
        (
            service(tcp("10.0.0.4:80"), "mh").with_scheduler_flags(flags(true, true, false)),
            "-A -t 10.0.0.4:80 -s mh -b mh-fallback,mh-port",
        ),
        (
            service(tcp("10.0.0.5:80"), "rr").with_scheduler_flags(flags(true, true, true)),
            "-A -t 10.0.0.5:80 -s rr -b flag-1,flag-2,flag-3",
        ),
        (
            service(tcp("10.0.0.6:80"), "rr").with_persistence(persistence(four, 2_678_400, 32)),
            "-A -t 10.0.0.6:80 -s rr -p 2678400",
        ),
        (
            service(tcp("10.0.0.7:80"), "rr").with_persistence(persistence(four, 1, 0)),
            "-A -t 10.0.0.7:80 -s rr -p 1 -M 0.0.0.0",
        ),
        (
            service(tcp("10.0.0.8:80"), "rr").with_persistence(persistence(four, 300, 1)),
            "-A -t 10.0.0.8:80 -s rr -p 300 -M 128.0.0.0",
        ),
        (
            service(tcp("[2001:db8::1]:80"), "rr").with_persistence(persistence(six, 300, 1)),
            "-A -t [2001:db8::1]:80 -s rr -p 300 -M 1",
        ),
        (
            service(tcp("[2001:db8::2]:80"), "rr").with_persistence(persistence(six, 300, 128)),
            "-A -t [2001:db8::2]:80 -s rr -p 300",
        ),
        (
            service(udp("10.0.0.9:5060"), "rr")
                .with_one_packet(true)
                .with_persistence(persistence(four, 600, 32))
                .with_persistence_engine(Some("sip".parse().unwrap())),
            "-A -u 10.0.0.9:5060 -s rr -p 600 --pe sip -o",
        ),
        (
            service(tcp("0.0.0.0:0"), "rr").with_persistence(persistence(four, 360, 32)),
            "-A -t 0.0.0.0:0 -s rr -p 360",
        ),
        (service(mark(four, 1), "fo"), "-A -f 1 -s fo"),
        (service(mark(six, 1), "ovf"), "-A -f 1 -6 -s ovf"),
    ]
}

#[test]
fn every_kind_of_service_is_written_and_read() -> Result<()> {
    isolated(async |host| {
        let mut client = Client::open()?;
        for (service, line) in services() {
            client.add_service(&service).await.with_context(|| line.to_owned())?;
            assert_eq!(saved(host)?, BTreeSet::from([line.to_owned()]));
            let read = client.service(&service.key()).await?.context("the service")?;
            assert_eq!(read.service, service);
            client.remove_service(&service.key()).await?;
        }
        Ok(())
    })
}

#[test]
fn every_kind_of_service_becomes_every_other_in_place() -> Result<()> {
    isolated(async |host| {
        let mut client = Client::open()?;
        let key = udp("10.0.0.9:5060");
        client.add_service(&service(key, "wlc")).await?;
        client.add_destination(&key, &server("10.0.1.1:5060", Forwarding::Masquerade)).await?;
        let of_this_family = services().into_iter().filter(|(it, _)| it.key().family() == key.family());
        for (kind, line) in of_this_family {
            let wanted = VirtualService::new(key)
                .with_scheduler(kind.scheduler().clone())
                .with_persistence(kind.persistence())
                .with_persistence_engine(kind.persistence_engine().cloned())
                .with_one_packet(kind.one_packet())
                .with_scheduler_flags(kind.scheduler_flags());
            client.edit_service(&wanted).await.with_context(|| line.to_owned())?;
            assert_eq!(client.service(&key).await?.context("the service")?.service, wanted);
            let listed = ipvsadm(host, "-L -n")?;
            assert_eq!(listed.contains("pe sip"), kind.persistence_engine().is_some(), "{listed}");
            assert_eq!(client.destinations(&key).await?.len(), 1, "servers stay");
        }
        Ok(())
    })
}

#[test]
fn every_way_to_reach_a_server_is_written_and_read_and_becomes_every_other() -> Result<()> {
    let gre = |checksum| Forwarding::Tunnel(Tunnel::Gre { checksum });
    let ways = [
        (Forwarding::Masquerade, "-m -w 1"),
        (Forwarding::DirectRoute, "-g -w 1"),
        (Forwarding::Tunnel(Tunnel::Ipip), "-i -w 1 --tun-type ipip"),
        (gue(1, TunnelChecksum::None), "-i -w 1 --tun-type gue --tun-port 1 --tun-nocsum"),
        (gue(6080, TunnelChecksum::Full), "-i -w 1 --tun-type gue --tun-port 6080 --tun-csum"),
        (gue(65_535, TunnelChecksum::Remote), "-i -w 1 --tun-type gue --tun-port 65535 --tun-remcsum"),
        (gre(false), "-i -w 1 --tun-type gre --tun-nocsum"),
        (gre(true), "-i -w 1 --tun-type gre --tun-csum"),
    ];
    isolated(async |host| {
        let mut client = Client::open()?;
        let key = tcp("10.0.0.1:80");
        client.add_service(&service(key, "rr")).await?;
        let edited = "10.0.1.9:80";
        client.add_destination(&key, &server(edited, Forwarding::Masquerade)).await?;
        for (forwarding, words) in ways {
            let added = server("10.0.1.1:80", forwarding);
            client.add_destination(&key, &added).await?;
            client.edit_destination(&key, &server(edited, forwarding)).await?;
            let expected = BTreeSet::from([
                "-A -t 10.0.0.1:80 -s rr".to_owned(),
                format!("-a -t 10.0.0.1:80 -r 10.0.1.1:80 {words}"),
                format!("-a -t 10.0.0.1:80 -r {edited} {words}"),
            ]);
            assert_eq!(saved(host)?, expected);
            for address in ["10.0.1.1:80", edited] {
                let read = client.destination(&key, &ServerKey::new(address.parse()?)).await?;
                assert_eq!(read.context("the server")?.server, server(address, forwarding));
            }
            client.remove_destination(&key, &added.key()).await?;
            assert_eq!(client.destination(&key, &added.key()).await?, None);
        }
        // A local node is what the kernel makes of any server with an address of this host; as such it can be said too.
        client.edit_destination(&key, &server(edited, Forwarding::LocalNode)).await?;
        assert_eq!(client.destinations(&key).await?[0].server, server(edited, Forwarding::LocalNode));
        assert!(ipvsadm(host, "-L -n")?.contains("Local"));
        Ok(())
    })
}

#[test]
fn thresholds_and_the_largest_weight_are_written_and_read() -> Result<()> {
    isolated(async |host| {
        let mut client = Client::open()?;
        let key = tcp("10.0.0.1:80");
        client.add_service(&service(key, "wlc")).await?;
        let wanted = server("10.0.1.1:80", Forwarding::Masquerade)
            .with_weight(Weight::MAX)
            .with_thresholds(0x7fff_ffff, 0x7fff_ffff);
        client.add_destination(&key, &wanted).await?;
        assert_eq!(client.destinations(&key).await?[0].server, wanted);
        let listed = ipvsadm(host, "-L -n --thresholds")?;
        assert!(listed.contains("2147483647 2147483647"), "{listed}");
        client.edit_destination(&key, &wanted.with_thresholds(10, 0).with_weight(Weight::ZERO)).await?;
        let read = client.destinations(&key).await?[0].server;
        assert_eq!((read.upper_threshold(), read.lower_threshold(), read.weight()), (10, 0, Weight::ZERO));
        Ok(())
    })
}

/// A host with an interface that sync daemons can use.
fn connected() -> (Host, Host) {
    require_ipvs();
    let (host, other) = (Host::new("balancer"), Host::new("other"));
    host.link("eth0", &other, "eth0");
    (host, other)
}

#[test]
fn sync_daemons_are_started_as_ipvsadm_lists_them_and_stopped() -> Result<()> {
    let (host, _other) = connected();
    host.add_address("eth0", "10.9.0.1/24");
    on(&host, async |host| {
        let mut client = Client::open()?;
        assert_eq!(client.daemons().await?, []);
        let daemon = |role| SyncDaemon::new(role, "eth0").unwrap();
        let plain = [daemon(SyncRole::Master), daemon(SyncRole::Backup).with_sync_id(7)];
        let full = [
            daemon(SyncRole::Master)
                .with_sync_id(255)
                .with_max_length(1400)?
                .with_group("239.1.2.3".parse()?)?
                .with_port(9000.try_into()?)
                .with_ttl(255.try_into()?),
            daemon(SyncRole::Backup)
                .with_max_length(500)?
                .with_group("ff02::99".parse()?)?
                .with_port(65_535.try_into()?),
        ];
        let listed = [
            [
                "master sync daemon (mcast=eth0, syncid=0, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)",
                "backup sync daemon (mcast=eth0, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)",
            ],
            [
                "master sync daemon (mcast=eth0, syncid=255, maxlen=1400, group=239.1.2.3, port=9000, ttl=255)",
                "backup sync daemon (mcast=eth0, syncid=0, maxlen=1024, group=ff02::99, port=65535, ttl=1)",
            ],
        ];
        for (wanted, listed) in [plain, full].into_iter().zip(listed) {
            for daemon in &wanted {
                client.start_daemon(daemon).await?;
                let error = client.start_daemon(daemon).await.unwrap_err();
                assert_eq!(error.refusal(), Some(Refusal::DaemonExists), "{error}");
            }
            let lines = ipvsadm(host, "-L --daemon")?;
            assert_eq!(lines.lines().map(str::trim).collect::<Vec<_>>(), listed);
            let running = client.daemons().await?;
            assert!(
                wanted.iter().zip(&running).all(|(wanted, running)| wanted.is_met_by(running)),
                "{running:?}"
            );

            // As desired state: nothing to do, and others are stopped.
            let mut dataplane = IpvsDataplane::new(Client::open()?);
            let observed = dataplane.observe(Scope::Services).await?;
            assert_eq!(observed.changes_to(&Table::default().with_daemons(wanted.clone())), []);
            for role in [SyncRole::Backup, SyncRole::Master] {
                client.stop_daemon(role).await?;
                let error = client.stop_daemon(role).await.unwrap_err();
                assert_eq!(error.refusal(), Some(Refusal::DaemonAbsent), "{error}");
            }
            assert_eq!(client.daemons().await?, []);
        }
        Ok(())
    })
}

#[test]
fn a_sync_daemon_that_cannot_be_started_says_why() -> Result<()> {
    let (host, _other) = connected();
    on(&host, async |_| {
        let mut client = Client::open()?;
        let absent = SyncDaemon::new(SyncRole::Master, "eth9")?;
        let error = client.start_daemon(&absent).await.unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::InterfaceAbsent), "{error}");
        assert_eq!(
            error.to_string(),
            "start sync daemon master on eth9, id 0, group 224.0.0.81 port 8848: there is no such interface"
        );
        assert_eq!(client.daemons().await?, []);
        Ok(())
    })
}

#[test]
fn a_sync_daemon_and_a_server_of_another_family_exclude_each_other() -> Result<()> {
    let (host, _other) = connected();
    host.add_address("eth0", "10.9.0.1/24");
    on(&host, async |_| {
        let mut client = Client::open()?;
        let key = tcp("[2001:db8::1]:80");
        let mixed = server("10.0.1.1:80", Forwarding::Tunnel(Tunnel::Ipip));
        let daemon = SyncDaemon::new(SyncRole::Master, "eth0")?;
        client.add_service(&service(key, "rr")).await?;
        client.add_destination(&key, &mixed).await?;
        let error = client.start_daemon(&daemon).await.unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::InvalidDaemon), "{error}");
        client.remove_destination(&key, &mixed.key()).await?;
        client.start_daemon(&daemon).await?;
        let error = client.add_destination(&key, &mixed).await.unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::MixedFamilies), "{error}");
        client.stop_daemon(SyncRole::Master).await?;
        client.add_destination(&key, &mixed).await?;
        Ok(())
    })
}

#[test]
fn counters_are_those_that_ipvsadm_prints_and_are_set_to_zero_for_one_service_or_all() -> Result<()> {
    let (host, _other) = connected();
    host.add_address("eth0", "10.9.0.1/24");
    let (first, second) = (udp("10.9.0.1:5353"), udp("10.9.0.1:5354"));
    on(&host, async |_| {
        let mut client = Client::open()?;
        for key in [first, second] {
            client.add_service(&service(key, "rr")).await?;
            client.add_destination(&key, &server("10.9.0.1:9", Forwarding::Masquerade)).await?;
        }
        Ok(())
    })?;
    let packets = |host: &Host| {
        let mut command = host.command("bash");
        let script =
            "for i in 1 2 3; do echo hello > /dev/udp/10.9.0.1/5353; echo > /dev/udp/10.9.0.1/5354; done";
        host.output(command.args(["-c", script])).unwrap();
    };
    // Connections, packets and bytes of a line, ours and theirs.
    let theirs = |host: &Host, mark: &str| -> Vec<u64> {
        let listed = ipvsadm(host, "-L -n --stats --exact").unwrap();
        let line = listed.lines().find(|line| line.contains(mark)).unwrap_or_default();
        line.split_whitespace().skip(2).map(|number| number.parse().unwrap()).collect()
    };
    // The kernel adds up service and server one after the other.
    let ours = |host: &Host, key: ServiceKey| {
        poll_until(Duration::from_secs(20), "a service counts what its only server does", || {
            let numbers = on(host, async |_| {
                let statistics = Client::open()?.statistics(Scope::Everything).await?;
                let service = statistics.services.get(&key).context("the service")?;
                let server = service.servers.values().next().context("the server")?;
                Ok([service.counters, server.counters].map(|it| {
                    vec![
                        it.connections,
                        it.incoming_packets,
                        it.outgoing_packets,
                        it.incoming_bytes,
                        it.outgoing_bytes,
                    ]
                }))
            });
            let [service, server] = numbers.map_err(|error: anyhow::Error| error.to_string())?;
            if service == server { Ok(service) } else { Err(format!("{service:?} and {server:?}")) }
        })
    };
    packets(&host);
    poll_until(Duration::from_secs(20), "both count 3 connections", || {
        match (ours(&host, first)[0], ours(&host, second)[0]) {
            (3, 3) => Ok(()),
            counted => Err(format!("{counted:?}")),
        }
    });
    assert_eq!(ours(&host, first), theirs(&host, "10.9.0.1:5353"));
    assert_eq!(ours(&host, second), theirs(&host, "10.9.0.1:5354"));
    on(&host, async |_| Ok(Client::open()?.zero(Some(&first)).await?))?;
    assert_eq!((ours(&host, first)[0], ours(&host, second)[0]), (0, 3));
    assert_eq!(ours(&host, first), theirs(&host, "10.9.0.1:5353"));
    on(&host, async |_| Ok(Client::open()?.zero(None).await?))?;
    assert_eq!((ours(&host, first)[0], ours(&host, second)[0]), (0, 0));
    on(&host, async |_| {
        let mut client = Client::open()?;
        let of_one = client.statistics(Scope::Service(first)).await?;
        assert_eq!(of_one.services.keys().copied().collect::<Vec<_>>(), [first]);
        assert_eq!(of_one.services[&first].servers.len(), 1);
        let of_services = client.statistics(Scope::Services).await?;
        assert_eq!(of_services.services.len(), 2);
        assert!(of_services.services.values().all(|it| it.servers.is_empty()));
        let absent = client.statistics(Scope::Service(tcp("10.0.0.1:1"))).await?;
        assert!(absent.services.is_empty());
        Ok(())
    })
}

#[test]
fn refusals_that_need_more_than_a_table_have_their_meaning() -> Result<()> {
    isolated(async |_| {
        let mut client = Client::open()?;
        let key = tcp("10.0.0.1:80");
        client.add_service(&service(key, "rr")).await?;
        let engine = |scheduler: &str, engine: &str| {
            service(tcp("10.0.0.2:80"), scheduler).with_persistence_engine(Some(engine.parse().unwrap()))
        };
        let long = Timeouts { tcp: Duration::from_secs(u32::MAX.into()), ..Timeouts::UNCHANGED };
        // Older kernels take this one.
        let many = server("10.0.1.1:80", Forwarding::Masquerade).with_thresholds(u32::MAX, 0);
        let refusals = [
            (Refusal::SchedulerOrEngineAbsent, client.add_service(&engine("rr", "nonesuch")).await),
            (Refusal::SchedulerOrEngineAbsent, client.add_service(&engine("nonesuch", "sip")).await),
            (Refusal::InvalidTimeouts, client.set_timeouts(&long).await),
            (Refusal::OutOfRange, client.add_destination(&key, &many).await),
            (
                Refusal::InvalidDestination,
                client.add_destination(&key, &server("255.255.255.255:80", Forwarding::Masquerade)).await,
            ),
            (
                Refusal::MixedFamilies,
                client.add_destination(&key, &server("[2001:db8::3]:80", Forwarding::DirectRoute)).await,
            ),
        ];
        for (expected, result) in refusals {
            let error = result.expect_err("a refusal");
            assert_eq!(error.refusal(), Some(expected), "{error}: {:?}", error.cause());
        }
        assert_eq!(client.services().await?.len(), 1);
        Ok(())
    })
}

#[test]
fn any_persistence_mask_is_kept() -> Result<()> {
    isolated(async |host| {
        let line = "-A -t 10.0.0.1:80 -s rr -p 60 -M 255.0.255.0";
        ipvsadm(host, line)?;
        let mut dataplane = IpvsDataplane::new(Client::open()?);
        let holes =
            Persistence::new(Family::Ipv4, Duration::from_secs(60)).with_netmask([255, 0, 255, 0].into());
        let wanted = service(tcp("10.0.0.1:80"), "rr").with_persistence(Some(holes));
        let desired = Table::from_iter([lvs_core::ServiceTable::new(wanted.clone())]);
        assert_eq!(dataplane.observe(Scope::Everything).await?.changes_to(&desired), []);
        dataplane.client().remove_service(&wanted.key()).await?;
        dataplane.client().add_service(&wanted).await?;
        assert_eq!(saved(host)?, BTreeSet::from([line.to_owned()]));
        Ok(())
    })
}

#[test]
fn a_client_works_in_another_network_namespace() -> Result<()> {
    require_ipvs();
    let (here, there) = (Host::new("here"), Host::new("there"));
    let namespace = there.run(|| File::open("/proc/thread-self/ns/net"))?;
    on(&here, async |_| {
        let options = Options::default().with_netns(namespace.into());
        let mut client = Client::open_with(&options)?;
        client.add_service(&service(tcp("10.0.0.1:80"), "rr")).await?;
        assert_eq!(Client::open()?.services().await?, []);
        assert_eq!(client.services().await?.len(), 1);
        Ok(())
    })?;
    assert_eq!(saved(&here)?, BTreeSet::new());
    assert_eq!(saved(&there)?, BTreeSet::from(["-A -t 10.0.0.1:80 -s rr".to_owned()]));
    Ok(())
}
