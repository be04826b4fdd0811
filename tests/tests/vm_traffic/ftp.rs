//! FTP over IPv6 through address translation, in passive and active mode (S4.3 has IPv4, with a pair of lvsd).
//!
//! The servers are behind the balancer, whose kernel has ip_vs_ftp.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use lvs_core::Forwarding;
use lvs_tests::farm::Farm;
use lvs_tests::{Transport, peers, require_ipvs};

use crate::by_library::{key, make, server, service, with_servers};

#[test]
fn ftp_over_ipv6_opens_its_data_connections_in_both_directions() {
    require_ipvs();
    let farm = Farm::behind();
    let _ftp = farm.servers.each_ref().map(|server| peers::vsftpd(&server.host, server.host.name()));
    farm.balancer.sh("modprobe ip_vs_ftp").expect("the kernel has ip_vs_ftp");
    let vip = farm.vip.v6;
    let servers = farm
        .servers
        .each_ref()
        .map(|real| server(SocketAddr::new(real.address.v6, 21), Forwarding::Masquerade));
    let service = service(key(Transport::Tcp, SocketAddr::new(vip, 21)), "rr");
    make(&farm.balancer, &[with_servers(service, servers)].into_iter().collect());
    // RFC 2428: EPSV and EPRT.
    for (mode, word) in [("--ftp-pasv", "> EPSV"), ("--ftp-port -", "> EPRT |2|fd01::2|")] {
        let fetched = [(); 2].map(|()| {
            peers::curl(&farm.client, &format!("{mode} --stderr - ftp://[{vip}]/name"))
                .unwrap_or_else(|error| panic!("{mode}: {error}"))
        });
        let lines: BTreeSet<_> = fetched.iter().flat_map(|text| text.lines()).collect();
        assert!(lines.contains("web1") && lines.contains("web2"), "{mode}: {fetched:?}");
        assert!(fetched.iter().all(|text| text.contains(word)), "{mode}: {fetched:?}");
    }
}
