//! The names of this machine: the C library's hosts and `/etc/services`.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use lvs_core::{Family, Protocol};

use super::services::Services;
use super::{Names, Resolve};

/// The names that this machine knows. Each is asked for once; a question to a name server can take seconds.
#[derive(Debug, Default)]
pub struct System {
    services: OnceCell<Services>,
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
    addresses: RefCell<HashMap<(String, Family), Option<IpAddr>>>,
}

impl System {
    /// Without a table of services there are just no names of services.
    fn services(&self) -> &Services {
        self.services.get_or_init(|| {
            let table = fs::read("/etc/services").unwrap_or_default();
            Services::parse(&String::from_utf8_lossy(&table))
        })
    }
}

impl Resolve for System {
    fn address(&self, name: &str, family: Family) -> Option<IpAddr> {
        let mut addresses = self.addresses.borrow_mut();
        *addresses.entry((name.to_owned(), family)).or_insert_with(|| {
            let addresses = (name, 0).to_socket_addrs().ok()?;
            addresses.map(|address| address.ip()).find(|address| Family::of(address) == family)
        })
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.services().port(name, protocol)
    }
}

impl Names for System {
    fn host(&self, address: IpAddr) -> Option<String> {
        let mut hosts = self.hosts.borrow_mut();
        let name = hosts.entry(address).or_insert_with(|| {
            // The port is not asked for: its name would be that of a TCP service.
            let (name, _) = dns_lookup::getnameinfo(&SocketAddr::new(address, 0), 0).ok()?;
            // Without a name the library answers with the number. A name server may answer with anything.
            let shown = name.parse::<IpAddr>().is_err() && name.bytes().all(|byte| byte.is_ascii_graphic());
            shown.then_some(name)
        });
        name.clone()
    }

    fn service(&self, port: u16, protocol: Protocol) -> Option<String> {
        self.services().name(port, protocol).map(str::to_owned)
    }
}
