//! Makes a table of what the kernel has, and keeps apart what a table cannot say.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::{
    Forwarding, RealServer, SchedulerFlags, SchedulerName, ServerKey, ServiceKey, ServiceTable, SyncDaemon,
    SyncRole, Table, VirtualService, Weight,
};

use crate::convert::{self, Found, Unsayable};
use crate::raw::{self, DecodeError};
use crate::reading::DUMPS;

/// What cannot be said, by service; those without a key that can be said come under `None`.
pub(crate) type Unsaid = BTreeMap<Option<ServiceKey>, BTreeSet<String>>;

/// What the kernel has: the part that a table can say, and the rest in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) table: Table,
    pub(crate) unsaid: Unsaid,
}

impl Observation {
    /// The services of a dump whose keys can be said; one that came twice is one.
    pub(crate) fn read_services(&mut self, answers: &[raw::Service]) -> BTreeMap<ServiceKey, VirtualService> {
        let mut services = BTreeMap::new();
        for raw in answers {
            let service = match (convert::service(raw), convert::service_key(raw)) {
                (Ok(service), _) => service,
                (Err(error), Ok(key)) => {
                    self.note(Some(key), unsayable_service(raw, &error));
                    service_stand_in(key)
                }
                (Err(_), Err(error)) => {
                    self.note(None, unsayable_service(raw, &error));
                    continue;
                }
            };
            services.insert(service.key(), service);
        }
        services
    }

    /// Puts a service with the destinations of a dump into the table; one that came twice is one.
    pub(crate) fn read_service_table(&mut self, service: VirtualService, answers: Vec<Found<RealServer>>) {
        let key = service.key();
        let servers = answers.into_iter().filter_map(|found| match found {
            Ok(server) => Some(server),
            Err(unsayable) => {
                self.note(Some(key), unsayable_server(&key, &unsayable));
                unsayable.address.map(server_stand_in)
            }
        });
        let table = ServiceTable::new(service).with_servers(servers);
        self.table.insert(table);
    }

    /// Puts a service with whatever was seen of its destinations into the table, since they were changed all the time.
    ///
    /// One that is gone by now is in it all the same: to remove it is a conflict, and the applier observes again. One that
    /// is there and was missed in some dumps is not taken for absent: a server that drains would be let go of for that.
    pub(crate) fn read_torn_service_table(&mut self, service: VirtualService, seen: Vec<Found<RealServer>>) {
        let key = service.key();
        self.note(Some(key), torn_service(&key, "it counts with all that was seen"));
        self.read_service_table(service, seen);
    }

    /// The sync daemons of a dump, each in its role; one that cannot be said is one that nobody desires.
    pub(crate) fn read_daemons(&mut self, answers: &[raw::Daemon]) -> Vec<SyncDaemon> {
        let mut daemons = Vec::new();
        for raw in answers {
            match convert::daemon(raw) {
                Ok(daemon) => daemons.push(daemon),
                Err(error) => {
                    self.note(None, error.to_string());
                    daemons.extend(raw.state.and_then(convert::role).and_then(daemon_stand_in));
                }
            }
        }
        daemons
    }

    fn note(&mut self, service: Option<ServiceKey>, text: String) {
        self.unsaid.entry(service).or_default().insert(text);
    }
}

/// What was reported already; as large as what the kernel has of it.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    known: Unsaid,
}

impl Reported {
    /// What the last observation of each of them could not say.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.known.values().flatten().map(String::as_str)
    }

    /// What to tell after an observation of everything, or of one service: the first of what is new, and how many more.
    pub(crate) fn update(&mut self, only: Option<ServiceKey>, unsaid: Unsaid) -> Option<String> {
        let mut news = unsaid.iter().flat_map(|(service, texts)| {
            let known = self.known.get(service);
            texts.iter().filter(move |&text| known.is_none_or(|known| !known.contains(text)))
        });
        let report = news.next().map(|first| match news.count() {
            0 => format!("IPVS has an entry that no table can say: {first}"),
            more => format!("IPVS has entries that no table can say: {first}; and {more} more"),
        });
        match only {
            None => self.known = unsaid,
            Some(key) => {
                self.known.remove(&Some(key));
                self.known.extend(unsaid);
            }
        }
        report
    }
}

/// Which service cannot be said, and why.
pub(crate) fn unsayable_service(raw: &raw::Service, error: &DecodeError) -> String {
    if let Ok(key) = convert::service_key(raw) {
        return format!("service {key}: {error}");
    }
    let protocol = raw.protocol.map(|number| format!(" of protocol {number}"));
    let port = raw.port.map(|port| format!(" on port {port}"));
    format!("a service{}{}: {error}", protocol.unwrap_or_default(), port.unwrap_or_default())
}

/// Which server cannot be said, and why.
pub(crate) fn unsayable_server(service: &ServiceKey, server: &Unsayable) -> String {
    format!("service {service}: {}", server.reason)
}

/// Which service's destinations never held still, and what became of it.
pub(crate) fn torn_service(service: &ServiceKey, outcome: &str) -> String {
    format!("service {service}: others changed its destinations during each of {DUMPS} readings; {outcome}")
}

/// A service that nobody desires, in the place of one that cannot be said.
fn service_stand_in(key: ServiceKey) -> VirtualService {
    let service = VirtualService::new(key).with_one_packet(true).with_scheduler_flags(SchedulerFlags {
        first: true,
        second: true,
        third: true,
    });
    match NO_SCHEDULER.parse::<SchedulerName>() {
        Ok(name) => service.with_scheduler(name),
        // The flags alone are strange enough.
        Err(_) => service,
    }
}

/// A server that nobody desires, in the place of one that cannot be said.
fn server_stand_in(key: ServerKey) -> RealServer {
    RealServer::new(key)
        .with_weight(Weight::MAX)
        .with_forwarding(Forwarding::LocalNode)
        .with_thresholds(u32::MAX, u32::MAX)
}

/// A sync daemon that nobody desires, in the place of one that cannot be said.
fn daemon_stand_in(role: SyncRole) -> Option<SyncDaemon> {
    SyncDaemon::new(role, "?").ok()
}

/// What the kernel calls the scheduler of a service that has none.
const NO_SCHEDULER: &str = "none";

#[cfg(test)]
mod tests {
    use lvs_core::{Change, Family, Protocol};

    use super::*;

    const BYPASS: u32 = 4;
    const IPPROTO_GRE: u16 = 47;

    fn key(last: u8) -> ServiceKey {
        ServiceKey::address(Protocol::Tcp, ([10, 0, 0, last], 80).into())
    }

    fn server(last: u8) -> RealServer {
        RealServer::new(ServerKey::new(([10, 0, 1, last], 80).into()))
    }

    fn raw_service(last: u8) -> raw::Service {
        convert::raw_service(&VirtualService::new(key(last)))
    }

    fn raw_server(last: u8) -> raw::Destination {
        convert::raw_server(&server(last)).unwrap()
    }

    fn altered_service(last: u8, alter: impl FnOnce(&mut raw::Service)) -> raw::Service {
        let mut service = raw_service(last);
        alter(&mut service);
        service
    }

    fn altered_server(last: u8, alter: impl FnOnce(&mut raw::Destination)) -> raw::Destination {
        let mut server = raw_server(last);
        alter(&mut server);
        server
    }

    fn observed(services: &[raw::Service], servers: &[raw::Destination]) -> Observation {
        let mut observation = Observation::default();
        for service in observation.read_services(services).into_values() {
            let found = |raw: &raw::Destination| convert::found(raw, Family::Ipv4, convert::server);
            observation.read_service_table(service, servers.iter().map(found).collect());
        }
        observation
    }

    fn desired(servers: &[RealServer]) -> Table {
        let mut service = ServiceTable::new(VirtualService::new(key(1)));
        for server in servers {
            service.insert(*server);
        }
        Table::from_iter([service])
    }

    #[test]
    fn a_service_of_an_unknown_protocol_is_left_out_and_the_others_stay() {
        let foreign = altered_service(9, |service| service.protocol = Some(IPPROTO_GRE));
        let observation = observed(&[foreign, raw_service(1)], &[raw_server(2)]);
        assert_eq!(observation.table, desired(&[server(2)]));
        assert_eq!(observation.unsaid.keys().collect::<Vec<_>>(), [&None]);
    }

    #[test]
    fn a_destination_that_bypasses_the_balancer_is_removed_from_our_service() {
        let bypass = altered_server(3, |server| server.forwarding = Some(BYPASS));
        let observation = observed(&[raw_service(1)], &[raw_server(2), bypass]);
        assert_eq!(
            observation.table.changes_to(&desired(&[server(2)])),
            [Change::RemoveServer(key(1), server(3).key())]
        );
        assert_eq!(observation.unsaid.keys().collect::<Vec<_>>(), [&Some(key(1))]);
    }

    #[test]
    fn a_destination_of_ours_that_forwards_in_an_unknown_way_is_edited() {
        let strange = altered_server(2, |server| server.forwarding = Some(7));
        let observation = observed(&[raw_service(1)], &[strange]);
        assert_eq!(
            observation.table.changes_to(&desired(&[server(2)])),
            [Change::EditServer(key(1), server(2))]
        );
    }

    #[test]
    fn a_service_of_ours_whose_scheduler_cannot_be_said_is_edited() {
        let strange = altered_service(1, |service| service.scheduler = None);
        let observation = observed(&[strange], &[raw_server(2)]);
        assert_eq!(
            observation.table.changes_to(&desired(&[server(2)])),
            [Change::EditService(VirtualService::new(key(1)))]
        );
    }

    #[test]
    fn a_destination_without_an_address_is_told_and_left_out() {
        let nameless = altered_server(3, |server| server.address = None);
        let observation = observed(&[raw_service(1)], &[nameless, raw_server(2)]);
        assert_eq!(observation.table, desired(&[server(2)]));
        assert_eq!(observation.unsaid.len(), 1);
    }

    #[test]
    fn a_service_that_never_holds_still_has_all_that_was_seen_as_it_was_last_and_is_told() {
        let seen = |last, weight| {
            let raw = altered_server(last, |server| server.weight = Some(weight));
            convert::found(&raw, Family::Ipv4, convert::server)
        };
        let mut observation = Observation::default();
        let seen = vec![seen(1, 1), seen(2, 1), seen(2, 7), seen(3, 1)];
        observation.read_torn_service_table(VirtualService::new(key(1)), seen);
        let last = server(2).with_weight(Weight::new(7).unwrap());
        assert_eq!(observation.table, desired(&[server(1), last, server(3)]));
        let told: Vec<_> = observation.unsaid.values().flatten().collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("tcp 10.0.0.1:80: others changed its destinations"), "{told:?}");
    }

    #[test]
    fn a_sync_daemon_that_cannot_be_said_is_stopped_before_ours_is_started() {
        let wanted = SyncDaemon::new(SyncRole::Backup, "eth0").unwrap();
        let running = |alter: fn(&mut raw::Daemon)| {
            let mut daemon = convert::raw_daemon(&wanted);
            alter(&mut daemon);
            daemon
        };
        let mut observation = Observation::default();
        let strange =
            [running(|daemon| daemon.sync_id = Some(256)), running(|daemon| daemon.state = Some(7))];
        let daemons = observation.read_daemons(&strange);
        assert_eq!(daemons.len(), 1, "one has no role to stand in");
        assert_eq!(observation.unsaid.get(&None).map(BTreeSet::len), Some(2));
        let changes = Table::default()
            .with_daemons(daemons)
            .changes_to(&Table::default().with_daemons([wanted.clone()]));
        assert_eq!(changes, [Change::StopDaemon(SyncRole::Backup), Change::StartDaemon(wanted)]);
    }

    #[test]
    fn what_cannot_be_said_is_reported_once_and_again_when_it_comes_back() {
        let unsaid = |texts: &[&str]| -> Unsaid {
            texts.iter().map(|&text| (Some(key(1)), BTreeSet::from([text.to_owned()]))).collect()
        };
        let mut reported = Reported::default();
        let first = reported.update(None, unsaid(&["a"]));
        assert_eq!(first.as_deref(), Some("IPVS has an entry that no table can say: a"));
        assert_eq!(reported.update(None, unsaid(&["a"])), None);
        assert_eq!(reported.update(Some(key(1)), unsaid(&["a"])), None);
        assert_eq!(reported.update(Some(key(2)), Unsaid::new()), None);
        assert_eq!(reported.update(None, unsaid(&["a"])), None);
        assert_eq!(reported.update(None, Unsaid::new()), None);
        assert!(reported.update(Some(key(1)), unsaid(&["a"])).is_some());
    }

    #[test]
    fn many_entries_that_cannot_be_said_are_one_line() {
        let bypass = |last| altered_server(last, |server| server.forwarding = Some(BYPASS));
        let observation = observed(&[raw_service(1)], &[bypass(1), bypass(2), bypass(3)]);
        let report = Reported::default().update(None, observation.unsaid).unwrap();
        assert!(report.contains("10.0.1.1:80") && report.ends_with("; and 2 more"), "{report}");
    }
}
