use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{ApplierOptions, ApplierStatus, Foreign, keep_applied};
use crate::dataplane::{DataplaneErrorKind, Scope};
use crate::fakes::FakeDataplane;
use crate::forwarding::{Forwarding, Tunnel};
use crate::service::{Protocol, RealServer, ServerKey, ServiceKey, VirtualService, Weight};
use crate::settings::{SyncDaemon, SyncRole, Timeouts};
use crate::table::{Change, ServiceTable, Table};

struct Run {
    fake: FakeDataplane,
    desired: watch::Sender<Table>,
    status: watch::Receiver<ApplierStatus>,
    task: JoinHandle<FakeDataplane>,
}

fn start(fake: FakeDataplane, desired: Table, options: ApplierOptions) -> Run {
    let (desired, wanted) = watch::channel(desired);
    let (sender, status) = watch::channel(ApplierStatus::default());
    let task = tokio::spawn(keep_applied(fake.clone(), wanted, options, sender));
    Run { fake, desired, status, task }
}

fn key(last: u8) -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, ([10, 0, 0, last], 80).into())
}

fn table(last: u8, weight: u32) -> Table {
    let server = RealServer::new(ServerKey::new(([10, 0, 1, 1], 80).into()));
    let mut service = ServiceTable::new(VirtualService::new(key(last)));
    service.insert(server.with_weight(Weight::new(weight).unwrap()));
    Table::from_iter([service])
}

async fn in_sync(run: &mut Run, passes: u64) {
    run.status.wait_for(|status| status.in_sync && status.passes >= passes).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_desired_table_is_applied_and_a_change_is_one_edit() {
    let mut run = start(FakeDataplane::default(), table(1, 1), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    assert_eq!(run.fake.table(), table(1, 1));

    run.desired.send_replace(table(1, 0));
    in_sync(&mut run, 2).await;
    assert_eq!(run.fake.applied().len(), 3);
    assert_eq!(run.status.borrow().repairs, 0);
}

#[tokio::test(start_paused = true)]
async fn a_flushed_table_is_repaired_within_the_drift_interval() {
    let mut run = start(FakeDataplane::default(), table(1, 1), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    run.fake.edit(|table| *table = Table::default());

    let flushed = Instant::now();
    run.status.wait_for(|status| status.repairs == 2).await.unwrap();
    assert_eq!(run.fake.table(), table(1, 1));
    assert!(flushed.elapsed() <= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_meets_a_drifted_table_observes_and_repairs_at_once() {
    let mut run = start(FakeDataplane::default(), table(1, 1), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    run.fake.edit(|table| *table = Table::default());
    run.desired.send_replace(table(1, 0));
    in_sync(&mut run, 2).await;
    assert_eq!(run.fake.table(), table(1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failing_data_plane_is_retried_with_growing_pauses_until_it_works() {
    let fake = FakeDataplane::default();
    fake.set_failure(Some(DataplaneErrorKind::Unavailable));
    let mut run = start(fake, table(1, 1), ApplierOptions::default());
    let begin = Instant::now();
    run.status.wait_for(|status| status.passes == 4).await.unwrap();
    // 100, 200 and 400 ms.
    assert_eq!(begin.elapsed().as_millis() / 100, 7);
    assert_eq!(run.status.borrow().error.as_deref(), Some("observe: the fake was told to fail"));

    run.fake.set_failure(None);
    in_sync(&mut run, 5).await;
    assert_eq!(run.fake.table(), table(1, 1));
    assert_eq!(run.status.borrow().error, None);
}

#[tokio::test(start_paused = true)]
async fn foreign_services_stay_and_our_own_leave_when_the_owner_ends() {
    let fake = FakeDataplane::default();
    fake.edit(|all| *all = table(9, 1));
    let mut run = start(fake, table(1, 1), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    run.desired.send_replace(Table::default());
    drop(run.desired);
    run.task.await.unwrap();
    assert_eq!(run.fake.table(), table(9, 1));
}

#[tokio::test(start_paused = true)]
async fn foreign_services_go_when_asked_to() {
    let fake = FakeDataplane::default();
    fake.edit(|all| *all = table(9, 1));
    let options = ApplierOptions { foreign: Foreign::Remove, ..ApplierOptions::default() };
    let mut run = start(fake, table(1, 1), options);
    in_sync(&mut run, 1).await;
    assert_eq!(run.fake.table(), table(1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_there_already_is_adopted_and_corrected() {
    let fake = FakeDataplane::default();
    fake.edit(|all| *all = table(1, 5));
    let mut run = start(fake, table(1, 1), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    assert_eq!(run.fake.applied().len(), 1);
    assert_eq!(run.fake.table(), table(1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_others_flush_is_repaired_although_another_service_changes_all_the_time() {
    let both = |weight| Table::from_iter(table(1, weight).services().chain(table(2, 1).services()).cloned());
    let mut run = start(FakeDataplane::default(), both(1), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    run.fake.edit(|table| {
        table.remove(&key(2));
    });
    for weight in 2..8 {
        tokio::time::advance(Duration::from_secs(1)).await;
        let passes = run.status.borrow().passes;
        run.desired.send_replace(both(weight));
        in_sync(&mut run, passes + 1).await;
    }
    assert!(run.fake.table().service(&key(2)).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_desired_any_more_may_be_made_by_others() {
    let mut run = start(FakeDataplane::default(), table(1, 1), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    run.desired.send_replace(Table::default());
    in_sync(&mut run, 2).await;
    run.fake.edit(|all| *all = table(1, 1));
    in_sync(&mut run, 4).await;
    assert_eq!(run.fake.table(), table(1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_last_removal_is_tried_again_after_failures_without_end() {
    let fake = FakeDataplane::default();
    fake.edit(|all| *all = table(1, 1));
    let mut run = start(fake, table(1, 1), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    run.fake.set_failure(Some(DataplaneErrorKind::Refused));
    run.desired.send_replace(table(1, 2));
    run.status.wait_for(|status| status.passes == 9).await.unwrap();
    run.desired.send_replace(Table::default());
    drop(run.desired);
    run.status.wait_for(|status| status.passes == 11).await.unwrap();
    run.fake.set_failure(None);
    run.task.await.unwrap();
    assert!(run.fake.table().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_data_plane_that_was_never_there_does_not_hold_up_the_end() {
    let fake = FakeDataplane::default();
    fake.set_failure(Some(DataplaneErrorKind::Unavailable));
    let mut run = start(fake, table(1, 1), ApplierOptions::default());
    run.status.wait_for(|status| status.passes == 3).await.unwrap();
    let begin = Instant::now();
    drop(run.desired);
    run.task.await.unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert!(!run.status.borrow().reached);
}

fn server(last: u8, weight: u32) -> RealServer {
    RealServer::new(ServerKey::new(([10, 0, 1, last], 80).into())).with_weight(Weight::new(weight).unwrap())
}

/// So many services with two servers each.
fn many(services: u16) -> Table {
    (0..services)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            let key = ServiceKey::address(Protocol::Tcp, ([10, 1, high, low], 80).into());
            let mut service = ServiceTable::new(VirtualService::new(key));
            service.insert(server(1, 1));
            service.insert(server(2, 1));
            service
        })
        .collect()
}

async fn repaired(run: &mut Run, repairs: u64) -> Duration {
    let begin = Instant::now();
    run.status.wait_for(|status| status.repairs >= repairs && status.in_sync).await.unwrap();
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_flush_of_thousands_is_one_incident_repaired_within_five_seconds() {
    let mut run = start(FakeDataplane::default(), many(2_277), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    run.fake.edit(|table| *table = Table::default());
    let took = repaired(&mut run, 2_277 * 3).await;
    assert!(took <= Duration::from_secs(5), "{took:?}");
    assert_eq!(run.fake.table(), many(2_277));
    let status = run.status.borrow().clone();
    assert_eq!(status.incidents, 1);
    assert_eq!(status.repaired.services_added, 2_277);
    assert_eq!(status.repaired.servers_added, 2_277 * 2);
    assert_eq!(status.repairs, 2_277 * 3);
}

#[tokio::test(start_paused = true)]
async fn one_changed_server_among_thousands_of_services_is_found_within_a_minute() {
    let mut run = start(FakeDataplane::default(), many(2_277), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    for (number, address) in [[10, 1, 0, 0], [10, 1, 8, 228], [10, 1, 3, 7]].into_iter().enumerate() {
        let key = ServiceKey::address(Protocol::Tcp, (address, 80).into());
        run.fake.edit(|table| {
            table.service_mut(&key).unwrap().insert(server(2, 9));
        });
        let took = repaired(&mut run, number as u64 + 1).await;
        assert!(took <= Duration::from_secs(60), "{took:?}");
        assert_eq!(run.fake.table(), many(2_277));
    }
    let status = run.status.borrow().clone();
    assert_eq!((status.incidents, status.repaired.servers_edited), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_removed_everywhere_is_back_within_a_minute_in_few_incidents() {
    let mut run = start(FakeDataplane::default(), many(500), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    run.fake.edit(|table| {
        for key in many(500).keys() {
            table.service_mut(key).unwrap().remove(&server(1, 1).key());
        }
    });
    assert!(repaired(&mut run, 500).await <= Duration::from_secs(60));
    assert_eq!(run.fake.table(), many(500));
    assert!(run.status.borrow().incidents <= 60, "{}", run.status.borrow().incidents);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_minute_reads_each_service_and_never_everything_again() {
    let mut run = start(FakeDataplane::default(), many(100), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    let before = run.fake.observed().len();
    tokio::time::sleep(Duration::from_secs(61)).await;
    let read = run.fake.observed().split_off(before);
    let bare = read.iter().filter(|scope| **scope == Scope::Services).count();
    assert_eq!(bare, 12);
    for key in many(100).keys() {
        assert!(read.contains(&Scope::Service(*key)), "{key}");
    }
    assert!(read.len() <= 12 + 2 * 61, "{}", read.len());
    assert_eq!(run.fake.applied().len(), 300);
}

#[tokio::test(start_paused = true)]
async fn what_one_reading_misses_is_not_believed_gone() {
    let mut run = start(FakeDataplane::default(), many(3), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    let keys: Vec<_> = many(3).keys().copied().collect();
    run.fake.skip_once(keys[0], None);
    run.fake.skip_once(keys[1], Some(server(2, 1).key()));
    tokio::time::sleep(Duration::from_secs(120)).await;
    let status = run.status.borrow().clone();
    assert_eq!((status.repairs, status.incidents, status.in_sync), (0, 0, true));
    assert_eq!(run.fake.applied().len(), 9, "only the first ones");
}

#[tokio::test(start_paused = true)]
async fn what_others_do_to_our_services_is_put_back_and_counted_by_kind() {
    let mut run = start(FakeDataplane::default(), many(4), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    let keys: Vec<_> = many(4).keys().copied().collect();
    run.fake.edit(|table| {
        table.remove(&keys[0]);
        let other = VirtualService::new(keys[1]).with_scheduler("rr".parse().unwrap());
        let mut entry = ServiceTable::new(other);
        entry.insert(server(1, 1));
        entry.insert(server(2, 1));
        table.insert(entry);
        let entry = table.service_mut(&keys[2]).unwrap();
        entry.insert(server(9, 1));
        entry.remove(&server(1, 1).key());
        table.service_mut(&keys[3]).unwrap().insert(server(1, 0));
    });
    repaired(&mut run, 7).await;
    assert_eq!(run.fake.table(), many(4));
    let repaired = run.status.borrow().repaired;
    assert_eq!((repaired.services_added, repaired.services_edited, repaired.services_removed), (1, 1, 0));
    assert_eq!((repaired.servers_added, repaired.servers_edited, repaired.servers_removed), (3, 1, 1));
    assert_eq!(run.status.borrow().repairs, 7);
}

#[tokio::test(start_paused = true)]
async fn a_refused_edit_holds_up_nothing_else_and_is_tried_again_ever_more_rarely() {
    let fake = FakeDataplane::default();
    let desired = many(3);
    let keys: Vec<_> = desired.keys().copied().collect();
    let refused = Change::AddServer(keys[1], server(1, 1));
    fake.set_refused([refused.clone()]);
    let mut run = start(fake, desired.clone(), ApplierOptions::default());
    run.status.wait_for(|status| status.refused == 1).await.unwrap();
    let begin = Instant::now();
    let mut without = desired.clone();
    without.service_mut(&keys[1]).unwrap().remove(&server(1, 1).key());
    assert_eq!(run.fake.table(), without, "all the rest is there");
    assert_eq!(
        run.status.borrow().error.as_deref(),
        Some("add destination 10.0.1.1:80 (weight 1) to tcp 10.1.0.1:80: the fake was told to refuse it")
    );
    assert!(!run.status.borrow().in_sync);

    // Another edit of the same service is made meanwhile.
    let mut other = desired.clone();
    other.service_mut(&keys[1]).unwrap().insert(server(2, 7));
    run.desired.send_replace(other.clone());
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(run.fake.table().service(&keys[1]).unwrap().server(&server(2, 7).key()), Some(&server(2, 7)));
    // 100 ms, doubled ten times to a minute, and then every minute.
    let tries = run.fake.tries(&refused);
    assert!((15..=25).contains(&tries), "{tries} tries in ten minutes");

    run.fake.set_refused([]);
    run.status.wait_for(|status| status.in_sync).await.unwrap();
    assert_eq!(run.fake.table(), other);
    assert_eq!(run.status.borrow().error, None);
    assert!(begin.elapsed() <= Duration::from_secs(661));
}

#[tokio::test(start_paused = true)]
async fn a_refused_service_does_not_have_its_servers_tried() {
    let fake = FakeDataplane::default();
    let desired = many(1);
    let service = desired.services().next().unwrap().service().clone();
    let refused = Change::AddService(service.clone());
    let add = Change::AddServer(service.key(), server(1, 1));
    fake.set_refused([refused.clone(), add.clone(), Change::AddServer(service.key(), server(2, 1))]);
    let mut run = start(fake, desired, ApplierOptions::default());
    run.status.wait_for(|status| status.refused > 0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(run.status.borrow().refused, 1, "the service itself");
    assert_eq!(run.fake.tries(&refused), run.fake.tries(&add), "in the same batches");
    run.desired.send_replace(many(0));
    in_sync(&mut run, 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_meets_what_no_reading_shows_does_not_spin() {
    let fake = FakeDataplane::default();
    let key = key(1);
    fake.set_conflicting([Change::AddService(VirtualService::new(key))]);
    let mut run = start(fake, table(1, 1), ApplierOptions::default());
    run.status.wait_for(|status| status.refused > 0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tries = run.fake.tries(&Change::AddService(VirtualService::new(key)));
    assert!((5..=15).contains(&tries), "{tries} tries in a minute");
    run.fake.set_conflicting([]);
    in_sync(&mut run, 1).await;
    assert_eq!(run.fake.table(), table(1, 1));
}

#[tokio::test(start_paused = true)]
async fn foreign_services_that_are_there_at_the_start_go_and_later_ones_stay_when_asked_to() {
    let fake = FakeDataplane::default();
    fake.edit(|all| *all = table(9, 1));
    let options = ApplierOptions { foreign: Foreign::RemoveAtStart, ..ApplierOptions::default() };
    let mut run = start(fake, table(1, 1), options);
    in_sync(&mut run, 1).await;
    assert_eq!(run.fake.table(), table(1, 1));
    run.fake.edit(|all| drop(all.insert(table(9, 1).services().next().unwrap().clone())));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(run.fake.table().service(&key(9)).is_some());
}

#[tokio::test(start_paused = true)]
async fn foreign_services_that_come_later_go_when_asked_to() {
    let options = ApplierOptions { foreign: Foreign::Remove, ..ApplierOptions::default() };
    let mut run = start(FakeDataplane::default(), table(1, 1), options);
    in_sync(&mut run, 1).await;
    run.fake.edit(|all| drop(all.insert(table(9, 1).services().next().unwrap().clone())));
    assert!(repaired(&mut run, 1).await <= Duration::from_secs(5));
    assert_eq!(run.fake.table(), table(1, 1));
    assert_eq!(run.status.borrow().repaired.services_removed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_making_was_never_answered_is_ours_to_remove() {
    let fake = FakeDataplane::default();
    let mut run = start(fake.clone(), Table::default(), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    fake.set_failure(Some(DataplaneErrorKind::Unavailable));
    run.desired.send_replace(table(1, 1));
    run.status.wait_for(|status| status.error.is_some()).await.unwrap();
    // It was made all the same, and is not desired any more when the data plane answers again.
    fake.edit(|all| *all = table(1, 1));
    run.desired.send_replace(Table::default());
    fake.set_failure(None);
    in_sync(&mut run, 1).await;
    assert_eq!(fake.table(), Table::default());
}

fn daemon(role: SyncRole) -> SyncDaemon {
    SyncDaemon::new(role, "eth0").unwrap().with_sync_id(7)
}

#[tokio::test(start_paused = true)]
async fn timeouts_and_daemons_are_set_and_put_back_within_five_seconds() {
    let wanted = Timeouts { tcp: Duration::from_secs(100), ..Timeouts::UNCHANGED };
    let desired = table(1, 1).with_timeouts(wanted).with_daemons([daemon(SyncRole::Master)]);
    let fake = FakeDataplane::default();
    fake.edit(|table| *table = Table::default().with_timeouts(Timeouts::default()).with_daemons([]));
    let mut run = start(fake, desired.clone(), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    let expected = Timeouts { tcp: Duration::from_secs(100), ..Timeouts::default() };
    assert_eq!(run.fake.table().timeouts(), Some(expected));
    assert_eq!(run.status.borrow().repairs, 0);

    run.fake.edit(|table| {
        *table = table.clone().with_timeouts(Timeouts::default()).with_daemons([daemon(SyncRole::Backup)]);
    });
    assert!(repaired(&mut run, 3).await <= Duration::from_secs(5));
    assert_eq!(run.status.borrow().repaired.settings, 3);
    assert_eq!(run.status.borrow().incidents, 1);
    assert_eq!(run.fake.table().timeouts(), Some(expected));
    assert_eq!(run.fake.table().daemons().unwrap().collect::<Vec<_>>(), [&daemon(SyncRole::Master)]);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_changes_its_role_does_so_at_once() {
    let with = |role| table(1, 1).with_daemons([daemon(role)]);
    let fake = FakeDataplane::default();
    fake.edit(|table| *table = Table::default().with_daemons([]));
    let mut run = start(fake, with(SyncRole::Backup), ApplierOptions::default());
    in_sync(&mut run, 1).await;
    let begin = Instant::now();
    let passes = run.status.borrow().passes;
    run.desired.send_replace(with(SyncRole::Master));
    in_sync(&mut run, passes + 1).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(run.fake.table().daemons().unwrap().collect::<Vec<_>>(), [&daemon(SyncRole::Master)]);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_beside_servers_of_another_family_is_an_error_that_says_so() {
    let key = ServiceKey::address(Protocol::Tcp, "[2001:db8::1]:80".parse().unwrap());
    let mut service = ServiceTable::new(VirtualService::new(key));
    service.insert(server(1, 1).with_forwarding(Forwarding::Tunnel(Tunnel::Ipip)));
    let desired = Table::from_iter([service]).with_daemons([daemon(SyncRole::Master)]);
    let fake = FakeDataplane::default();
    fake.set_refused([Change::StartDaemon(daemon(SyncRole::Master))]);
    let mut run = start(fake, desired, ApplierOptions::default());
    run.status.wait_for(|status| status.refused == 1).await.unwrap();
    let error = run.status.borrow().error.clone().unwrap();
    assert!(
        error.ends_with(
            "a sync daemon excludes servers of another address family than their service's (server 10.0.1.1:80 of tcp \
             [2001:db8::1]:80): leave out one of them"
        ),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sync_daemon_whose_length_the_kernel_moves_is_started_once() {
    let wanted = SyncDaemon::new(SyncRole::Backup, "eth0").unwrap();
    let (short, moved) = [1000, 1024].map(|length| wanted.clone().with_max_length(length).unwrap()).into();
    let desired = Table::default().with_daemons([short.clone()]);
    let mut run = start(FakeDataplane::default(), desired, ApplierOptions::default());
    in_sync(&mut run, 1).await;
    run.fake.edit(|table| *table = Table::default().with_daemons([moved]));
    let seen = run.fake.observed().len();
    run.status.wait_for(|status| status.passes > 20).await.unwrap();
    assert!(run.fake.observed().len() > seen, "it was looked at");
    assert_eq!(run.fake.applied(), [Change::StartDaemon(short)]);
}
