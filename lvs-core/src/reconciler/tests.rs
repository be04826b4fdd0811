//! Drains, and whatever may happen to a table, on a virtual clock; drift and refusals are tested through the loop
//! (`applier/tests.rs`).

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::service::{Protocol, RealServer, VirtualService, Weight};
use crate::statistics::{ServerStatistics, ServiceStatistics};

/// A reconciler, and a data plane that is a table and numbers of connections.
struct Bench {
    now: Instant,
    reconciler: Reconciler,
    table: Table,
    active: BTreeMap<ServerKey, u32>,
    counts: u32,
    events: Vec<Event>,
    edits: Vec<String>,
    /// Nothing is answered; edits are made or not.
    down: Option<bool>,
    /// Every edit of such a service is refused.
    refused: Option<ServiceKey>,
    /// The next reading does not show it.
    skipped: Option<ServiceKey>,
}

impl Bench {
    fn new(desired: Table) -> Self {
        let mut reconciler = Reconciler::new(ApplierOptions::default());
        reconciler.set_desired(Instant::ORIGIN, desired);
        let mut bench = Self {
            now: Instant::ORIGIN,
            reconciler,
            table: Table::default(),
            active: BTreeMap::new(),
            counts: 0,
            events: Vec::new(),
            edits: Vec::new(),
            down: None,
            refused: None,
            skipped: None,
        };
        bench.settle();
        bench.edits.clear();
        bench
    }

    fn want(&mut self, desired: Table) {
        self.reconciler.set_desired(self.now, desired);
        self.settle();
    }

    /// Carries out what is to be done now.
    fn settle(&mut self) {
        let mut actions = 0;
        while let Some(action) = self.reconciler.poll_action(self.now) {
            actions += 1;
            assert!(actions < 1_000, "no end of {action:?}");
            match action {
                Action::Observe(scope) => {
                    let result = self.read(scope);
                    self.reconciler.handle_observed(self.now, scope, result);
                }
                Action::Apply(changes) => {
                    self.edits.extend(changes.iter().map(ToString::to_string));
                    let results = changes.iter().map(|change| self.edit(change)).collect();
                    self.reconciler.handle_applied(self.now, changes, results);
                }
                Action::Count(key) => {
                    self.counts += 1;
                    let result = self.count(key);
                    self.reconciler.handle_counted(self.now, key, result);
                }
            }
        }
        self.events.extend(std::iter::from_fn(|| self.reconciler.poll_event()));
    }

    fn read(&mut self, scope: Scope) -> Result<Table, DataplaneError> {
        if self.down.is_some() {
            return Err(failure(DataplaneErrorKind::Unavailable));
        }
        let mut table = self.table.clone();
        if let Some(key) = self.skipped.take() {
            table.remove(&key);
        }
        match scope {
            Scope::Everything => {}
            Scope::Services => {
                table = table.services().map(|entry| ServiceTable::new(entry.service().clone())).collect();
            }
            Scope::Service(wanted) => table.retain(|key| *key == wanted),
        }
        Ok(table)
    }

    fn edit(&mut self, change: &Change) -> Result<(), DataplaneError> {
        if self.refused.is_some() && change.service() == self.refused {
            return Err(failure(DataplaneErrorKind::Refused));
        }
        if self.down != Some(false) && self.table.apply(change).is_err() {
            return Err(failure(DataplaneErrorKind::Drifted));
        }
        if self.down.is_some() { Err(failure(DataplaneErrorKind::Unavailable)) } else { Ok(()) }
    }

    fn count(&self, key: ServiceKey) -> Result<TableStatistics, DataplaneError> {
        if self.down.is_some() {
            return Err(failure(DataplaneErrorKind::Unavailable));
        }
        let mut counted = ServiceStatistics::default();
        for server in self.table.service(&key).into_iter().flat_map(ServiceTable::servers) {
            let active_connections = self.active.get(&server.key()).copied().unwrap_or(0);
            let statistics = ServerStatistics { active_connections, ..Default::default() };
            counted.servers.insert(server.key(), statistics);
        }
        Ok(TableStatistics { services: BTreeMap::from([(key, counted)]) })
    }

    /// Lets time pass, from timeout to timeout.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.reconciler.poll_timeout().filter(|next| *next <= end) {
            assert!(next > self.now, "a timeout that has passed, and nothing was done");
            self.now = next;
            self.settle();
        }
        self.now = end;
    }

    fn weight(&self, key: ServerKey) -> Option<u32> {
        self.table.service(&service())?.server(&key).map(|server| server.weight().value())
    }

    fn progress(&self) -> Option<DrainProgress> {
        self.reconciler.drains().progress(&service(), &leaving())
    }
}

fn failure(kind: DataplaneErrorKind) -> DataplaneError {
    DataplaneError::new(kind, "do it", "the test says so")
}

fn service() -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, ([10, 0, 0, 1], 80).into())
}

fn staying() -> ServerKey {
    ServerKey::new(([10, 0, 1, 1], 80).into())
}

fn leaving() -> ServerKey {
    ServerKey::new(([10, 0, 1, 2], 80).into())
}

fn both() -> Table {
    let mut entry = ServiceTable::new(VirtualService::new(service()));
    entry.insert(RealServer::new(staying()));
    entry.insert(RealServer::new(leaving()).with_weight(Weight::new(7).unwrap()));
    Table::from_iter([entry])
}

fn draining(within: Duration) -> Table {
    let mut table = both();
    table.service_mut(&service()).unwrap().drain(leaving(), within);
    table
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_server_drains_at_weight_zero_until_its_last_connection_has_ended() {
    let mut bench = Bench::new(both());
    bench.active.insert(leaving(), 3);
    bench.want(draining(MINUTE));
    assert_eq!(bench.weight(leaving()), Some(0));
    assert_eq!(bench.progress(), Some(DrainProgress::Waiting(Some(3))));
    assert!(bench.reconciler.in_sync());

    bench.pass(Duration::from_secs(10));
    bench.active.insert(leaving(), 1);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.progress(), Some(DrainProgress::Waiting(Some(1))));
    assert_eq!(bench.events, []);

    bench.active.insert(leaving(), 0);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.weight(leaving()), None);
    assert_eq!(bench.weight(staying()), Some(1));
    let end = DrainProgress::Idle;
    assert_eq!(bench.events, [Event::Drained { service: service(), server: leaving(), end }]);
    assert_eq!(bench.progress(), Some(end), "for as long as the drain is desired");
    assert_eq!(
        bench.edits,
        [
            "edit destination 10.0.1.2:80 (weight 0) of tcp 10.0.0.1:80",
            "remove destination 10.0.1.2:80 from tcp 10.0.0.1:80"
        ]
    );
}

#[test]
fn a_server_whose_time_is_up_leaves_with_the_connections_it_has() {
    let mut bench = Bench::new(both());
    bench.active.insert(leaving(), 2);
    bench.want(draining(Duration::from_millis(2_500)));
    bench.pass(Duration::from_millis(2_499));
    assert_eq!(bench.weight(leaving()), Some(0));
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.weight(leaving()), None);
    assert_eq!(bench.progress(), Some(DrainProgress::Expired(Some(2))));
    bench.pass(MINUTE);
    assert_eq!(bench.events.len(), 1);
}

#[test]
fn a_server_without_connections_leaves_at_once() {
    let mut bench = Bench::new(both());
    bench.want(draining(MINUTE));
    assert_eq!(bench.weight(leaving()), None);
    assert_eq!(bench.progress(), Some(DrainProgress::Idle));
    assert_eq!(bench.edits.len(), 2, "first the weight: a connection could come between: {:?}", bench.edits);
}

#[test]
fn a_drain_that_is_called_off_gives_the_weight_back() {
    let mut bench = Bench::new(both());
    bench.active.insert(leaving(), 2);
    bench.want(draining(MINUTE));
    bench.pass(Duration::from_secs(30));
    bench.want(both());
    assert_eq!(bench.weight(leaving()), Some(7));
    assert_eq!(bench.progress(), None);

    // Another one has all its time again.
    bench.want(draining(MINUTE));
    bench.pass(Duration::from_secs(59));
    assert_eq!(bench.weight(leaving()), Some(0));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.weight(leaving()), None);
}

#[test]
fn a_drain_goes_on_through_other_changes_and_a_new_length_counts_from_its_begin() {
    let mut bench = Bench::new(both());
    bench.active.insert(leaving(), 2);
    bench.want(draining(MINUTE));
    bench.pass(Duration::from_secs(30));
    let mut other = draining(Duration::from_secs(40));
    other.service_mut(&service()).unwrap().insert(RealServer::new(staying()).with_weight(Weight::ZERO));
    bench.want(other);
    assert_eq!(bench.weight(leaving()), Some(0));
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.weight(leaving()), None);
    assert_eq!(bench.weight(staying()), Some(0));
}

#[test]
fn a_server_that_is_not_there_is_not_made_to_drain() {
    let bench = Bench::new(draining(MINUTE));
    assert_eq!(bench.weight(leaving()), None);
    assert_eq!(bench.progress(), Some(DrainProgress::Absent));
    assert_eq!(bench.counts, 0);
}

#[test]
fn a_server_that_somebody_takes_out_while_it_drains_stays_away() {
    let mut bench = Bench::new(both());
    bench.active.insert(leaving(), 2);
    bench.want(draining(MINUTE));
    bench.table.service_mut(&service()).unwrap().remove(&leaving());
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.progress(), Some(DrainProgress::Absent));
    assert_eq!(bench.weight(leaving()), None);
}

#[test]
fn a_server_whose_connections_cannot_be_counted_leaves_when_its_time_is_up() {
    let mut bench = Bench::new(both());
    bench.active.insert(leaving(), 2);
    bench.want(draining(Duration::from_secs(3)));
    bench.now = bench.now + Duration::from_secs(3);
    assert_eq!(bench.reconciler.poll_action(bench.now), Some(Action::Count(service())));
    let error = DataplaneError::new(DataplaneErrorKind::Unavailable, "count", "no answer");
    bench.reconciler.handle_counted(bench.now, service(), Err(error));
    assert_eq!(bench.progress(), Some(DrainProgress::Expired(Some(2))));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.weight(leaving()), None);
}

#[test]
fn an_end_waits_for_drains_and_no_longer_than_they_may_take() {
    let mut bench = Bench::new(both());
    bench.active.insert(leaving(), 2);
    bench.want(draining(Duration::from_secs(3)));
    bench.reconciler.close();
    bench.settle();
    assert!(!bench.reconciler.is_finished());
    bench.pass(Duration::from_secs(3));
    assert!(bench.reconciler.is_finished());
    assert_eq!(bench.weight(leaving()), None);
    assert_eq!(bench.reconciler.poll_timeout(), None);
}

#[test]
fn connections_are_counted_once_a_second_and_only_while_something_drains() {
    let mut bench = Bench::new(both());
    bench.pass(MINUTE);
    assert_eq!(bench.counts, 0);
    bench.active.insert(leaving(), 2);
    bench.want(draining(MINUTE));
    bench.pass(Duration::from_millis(9_999));
    assert_eq!(bench.counts, 10);
}

/// Something that happens. Services below [`OURS`] are those that may be desired, others are somebody else's.
#[derive(Clone, Debug)]
enum Act {
    Want(Vec<(u8, Vec<(u8, u32)>)>),
    Drain(u8, u8),
    Flush,
    RemoveService(u8),
    AddService(u8),
    RemoveServer(u8, u8),
    PutServer(u8, u8, u32),
    Connections(u8, u32),
    Skip(u8),
    Refuse(Option<u8>),
    Down(Option<bool>),
    Pass(u64),
}

const OURS: u8 = 4;

fn numbered(service: u8) -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, ([10, 0, 0, service], 80).into())
}

fn host(server: u8, weight: u32) -> RealServer {
    RealServer::new(ServerKey::new(([10, 0, 1, server], 80).into())).with_weight(Weight::new(weight).unwrap())
}

fn act() -> impl Strategy<Value = Act> {
    let servers = prop::collection::vec((0..4u8, 0..3u32), 0..4);
    let wanted = prop::collection::vec((0..OURS, servers), 0..4);
    let any = 0..OURS + 2;
    prop_oneof![
        3 => wanted.prop_map(Act::Want),
        2 => (0..OURS, 0..4u8).prop_map(|(service, server)| Act::Drain(service, server)),
        1 => Just(Act::Flush),
        2 => any.clone().prop_map(Act::RemoveService),
        2 => any.clone().prop_map(Act::AddService),
        2 => (any.clone(), 0..4u8).prop_map(|(service, server)| Act::RemoveServer(service, server)),
        2 => (any.clone(), 0..4u8, 0..3u32).prop_map(|(service, server, weight)| Act::PutServer(service, server, weight)),
        2 => (0..4u8, 0..3u32).prop_map(|(server, active)| Act::Connections(server, active)),
        1 => any.prop_map(Act::Skip),
        1 => prop::option::of(0..OURS).prop_map(Act::Refuse),
        1 => prop::option::of(prop::bool::ANY).prop_map(Act::Down),
        6 => (0..20_000u64).prop_map(Act::Pass),
    ]
}

proptest! {
    /// Whatever happens: when it is over, the table is as desired within two minutes, and what others made is untouched.
    #[test]
    fn the_table_becomes_as_desired_whatever_others_do_and_however_it_fails(acts in prop::collection::vec(act(), 0..60)) {
        let mut bench = Bench::new(Table::default());
        let mut desired = Table::default();
        let mut foreign = Table::default();
        for act in acts {
            match act {
                Act::Want(services) => {
                    desired = services
                        .into_iter()
                        .map(|(service, servers)| {
                            let mut entry = ServiceTable::new(VirtualService::new(numbered(service)));
                            for (server, weight) in servers {
                                entry.insert(host(server, weight));
                            }
                            entry
                        })
                        .collect();
                    bench.want(desired.clone());
                }
                Act::Drain(service, server) => {
                    if let Some(entry) = desired.service_mut(&numbered(service)) {
                        entry.drain(host(server, 0).key(), Duration::from_secs(30));
                        bench.want(desired.clone());
                    }
                }
                Act::Flush => {
                    bench.table = Table::default();
                    foreign = Table::default();
                }
                // Only what is somebody else's all the time: what was ours once may be taken for ours.
                Act::AddService(service) if service >= OURS => {
                    let entry = ServiceTable::new(VirtualService::new(numbered(service)));
                    bench.table.insert(entry.clone());
                    foreign.insert(entry);
                }
                Act::AddService(_) => {}
                Act::RemoveService(service) => {
                    bench.table.remove(&numbered(service));
                    foreign.remove(&numbered(service));
                }
                Act::RemoveServer(service, server) => {
                    for table in [&mut bench.table, &mut foreign] {
                        table.service_mut(&numbered(service)).map(|entry| entry.remove(&host(server, 0).key()));
                    }
                }
                Act::PutServer(service, server, weight) => {
                    for table in [&mut bench.table, &mut foreign] {
                        table.service_mut(&numbered(service)).map(|entry| entry.insert(host(server, weight)));
                    }
                }
                Act::Connections(server, active) => {
                    bench.active.insert(host(server, 0).key(), active);
                }
                Act::Skip(service) => bench.skipped = Some(numbered(service)),
                Act::Refuse(service) => bench.refused = service.map(numbered),
                Act::Down(down) => bench.down = down,
                Act::Pass(millis) => bench.pass(Duration::from_millis(millis)),
            }
        }
        bench.refused = None;
        bench.down = None;
        bench.pass(MINUTE * 2);
        let expected: Table = desired.services().chain(foreign.services()).cloned().collect();
        prop_assert_eq!(bench.table.changes_to(&expected), []);
        prop_assert!(bench.reconciler.in_sync(), "{:?}", bench.reconciler.error());
        let edits = bench.edits.len();
        bench.pass(MINUTE);
        prop_assert_eq!(bench.edits.len(), edits, "it rests");
    }
}
