use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::dataplane::DataplaneErrorKind;
use crate::fakes::FakeDataplane;
use crate::service::{Protocol, RealServer, ServerKey, ServiceKey, VirtualService, Weight};
use crate::table::ServiceTable;

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
