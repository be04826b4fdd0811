//! The table that all programs load, in the words of each of them.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use lvs_core::{
    Change, Forwarding, Protocol, RealServer, ServerKey, ServiceKey, ServiceTable, Table, VirtualService,
    Weight,
};
use lvs_ipvs::codec;

/// How many services, and how many servers each of them has.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Shape {
    /// Services, at most 65,536.
    #[arg(long, default_value_t = 2_277)]
    pub(crate) services: u32,
    /// Servers of each, at most 255.
    #[arg(long, default_value_t = 16)]
    pub(crate) servers: u32,
}

impl Shape {
    /// Servers in all.
    pub(crate) fn total(self) -> usize {
        usize::try_from(self.services * self.servers).unwrap_or(usize::MAX)
    }

    fn places(self) -> impl Iterator<Item = u32> {
        0..self.services
    }

    pub(crate) fn service(self, place: u32) -> ServiceKey {
        ServiceKey::address(Protocol::Tcp, at(10, place, 1))
    }

    /// The server in the last service that is changed.
    pub(crate) fn changed(self) -> (ServiceKey, RealServer) {
        let place = self.services.saturating_sub(1);
        (self.service(place), server(place, self.servers.saturating_sub(1)))
    }

    pub(crate) fn table(self) -> Table {
        let service = |place| {
            let service = VirtualService::new(self.service(place)).with_scheduler(scheduler());
            let mut table = ServiceTable::new(service);
            for number in 0..self.servers {
                table.insert(server(place, number));
            }
            table
        };
        self.places().map(service).collect()
    }

    /// What `ipvsadm -R` and `ipvsctl -R` read.
    pub(crate) fn saved(self) -> String {
        let mut text = String::new();
        for place in self.places() {
            let service = at(10, place, 1);
            text.push_str(&format!("-A -t {service} -s {SCHEDULER}\n"));
            for number in 0..self.servers {
                let server = server(place, number).key();
                text.push_str(&format!("-a -t {service} -r {server} -g -w 1\n"));
            }
        }
        text
    }

    /// What keepalived and lvsd read: no checks; the weight of the server that is changed is given.
    pub(crate) fn configuration(self, weight: u32) -> Result<String> {
        let changed = self.changed().1.key();
        let mut text = "global_defs {\n    router_id bench\n}\n".to_owned();
        for place in self.places() {
            let service = at(10, place, 1);
            write!(
                text,
                "virtual_server {} {} {{\n    lb_algo {SCHEDULER}\n    lb_kind DR\n    protocol TCP\n",
                service.ip(),
                service.port()
            )?;
            for number in 0..self.servers {
                let key = server(place, number).key();
                let weight = if key == changed { weight } else { 1 };
                let address = key.address();
                writeln!(
                    text,
                    "    real_server {} {} {{\n        weight {weight}\n    }}",
                    address.ip(),
                    address.port()
                )?;
            }
            text.push_str("}\n");
        }
        Ok(text)
    }

    /// The messages that load the table, without acknowledgements.
    pub(crate) fn messages(self, family: u16) -> Result<Vec<u8>> {
        messages(family, 0, &Table::default().changes_to(&self.table()))
    }

    /// The message that gives the changed server another weight.
    pub(crate) fn change(self, family: u16, weight: u32) -> Result<Vec<u8>> {
        let (service, server) = self.changed();
        let weight = Weight::new(weight).context("a weight")?;
        messages(family, 0, &[Change::EditServer(service, server.with_weight(weight))])
    }

    /// The questions for all services, and for the servers of each.
    pub(crate) fn questions(self, family: u16) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        message(&mut all, family, NLM_F_DUMP, 1, &[IPVS_CMD_GET_SERVICE, 1, 0, 0]);
        for place in self.places() {
            // DEL_SERVICE has the attributes that name a service, as GET_DEST wants them.
            let mut payload =
                codec::encode(&Change::RemoveService(self.service(place))).context("a service")?;
            *payload.first_mut().context("a header")? = IPVS_CMD_GET_DEST;
            message(&mut all, family, NLM_F_DUMP, place + 2, &payload);
        }
        Ok(all)
    }
}

/// The message that empties a table.
pub(crate) fn flush(family: u16) -> Vec<u8> {
    let mut all = Vec::new();
    message(&mut all, family, 0, 1, &[IPVS_CMD_FLUSH, 1, 0, 0]);
    all
}

fn messages(family: u16, flags: u16, changes: &[Change]) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for (change, sequence) in changes.iter().zip(1..) {
        message(&mut all, family, flags, sequence, &codec::encode(change).context("an edit")?);
    }
    Ok(all)
}

fn message(all: &mut Vec<u8>, family: u16, flags: u16, sequence: u32, payload: &[u8]) {
    let length = u32::try_from(16 + payload.len()).unwrap_or(u32::MAX);
    all.extend_from_slice(&length.to_ne_bytes());
    all.extend_from_slice(&family.to_ne_bytes());
    all.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
    all.extend_from_slice(&sequence.to_ne_bytes());
    all.extend_from_slice(&0_u32.to_ne_bytes());
    all.extend_from_slice(payload);
    all.resize(all.len().next_multiple_of(4), 0);
}

fn server(place: u32, number: u32) -> RealServer {
    let last = u8::try_from(number + 1).unwrap_or(u8::MAX);
    RealServer::new(ServerKey::new(at(172, place, last))).with_forwarding(Forwarding::DirectRoute)
}

fn at(network: u8, place: u32, last: u8) -> SocketAddr {
    let [_, _, high, low] = place.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(network, high, low, last), 80))
}

fn scheduler() -> lvs_core::SchedulerName {
    SCHEDULER.parse().unwrap_or_default()
}

const SCHEDULER: &str = "rr";

// include/uapi/linux/ip_vs.h
const IPVS_CMD_GET_SERVICE: u8 = 4;
const IPVS_CMD_GET_DEST: u8 = 8;
const IPVS_CMD_FLUSH: u8 = 17;
// include/uapi/linux/netlink.h
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
