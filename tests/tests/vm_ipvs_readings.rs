//! Tables that are read while others edit them, answers that do not come, and what a reading costs.

#![allow(clippy::unwrap_used)] // the literals of a test are right

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use lvs_core::{
    Change, Dataplane as _, Protocol, RealServer, Scope, ServerKey, ServiceKey, ServiceTable, Table,
    VirtualService, Weight,
};
use lvs_ipvs::{Cause, Client, IpvsDataplane, Refusal};
use lvs_tests::{Host, require_ipvs};

/// Runs a test on a host of its own: a table of its own, too.
fn on<T: Send>(host: &Host, test: impl AsyncFnOnce() -> Result<T> + Send) -> Result<T> {
    host.run(|| tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(test()))
}

fn key(number: u16) -> ServiceKey {
    let [high, low] = number.to_be_bytes();
    ServiceKey::address(Protocol::Tcp, ([10, 0, high, low], 80).into())
}

fn server(number: u16) -> RealServer {
    let [high, low] = number.to_be_bytes();
    RealServer::new(ServerKey::new(([10, 1, high, low], 80).into()))
}

fn service(number: u16, servers: u16) -> ServiceTable {
    let mut service = ServiceTable::new(VirtualService::new(key(number)));
    for number in 0..servers {
        service.insert(server(number));
    }
    service
}

async fn make(client: &mut Client, desired: &Table) -> Result<()> {
    for result in client.apply(&Table::default().changes_to(desired)).await? {
        result?;
    }
    Ok(())
}

/// Edits in a thread of its own, as many rounds as `body` orders, until it ends; returns how many that were.
fn beside_edits<R>(
    host: &Host,
    edits: impl Fn(u64) -> Vec<Change> + Sync,
    body: impl FnOnce(&mpsc::Sender<u64>) -> R,
) -> (R, u64) {
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let (order, orders) = mpsc::channel();
    std::thread::scope(|scope| {
        let (stop, rounds, edits) = (&stop, &rounds, &edits);
        scope.spawn(move || {
            on(host, async move || {
                let orders: mpsc::Receiver<u64> = orders;
                let mut client = Client::open()?;
                for _ in orders.iter().flat_map(|ordered| 0..ordered) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let round = rounds.fetch_add(1, Ordering::Relaxed);
                    // Additions of what is there, and removals of what is not, are refused and do no harm.
                    client.apply(&edits(round)).await?;
                }
                Ok(())
            })
            .unwrap();
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&order)));
        stop.store(true, Ordering::Relaxed);
        drop(order);
        match result {
            Ok(result) => (result, rounds.load(Ordering::Relaxed)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// As many rounds as there is time for.
const ALL_THE_TIME: u64 = u64::MAX;

/// Which services and servers come and go: those with numbers from `from` on, added or removed at random, all removed,
/// all added.
fn disorder(
    round: u64,
    from: u16,
    count: u16,
    add: impl Fn(u16) -> Change,
    remove: impl Fn(u16) -> Change,
) -> Vec<Change> {
    let all = from..from + count;
    match round % 4 {
        0 => all.map(remove).collect(),
        1 => all.map(add).collect(),
        _ => {
            let mut random = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            all.map(|number| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if random.is_multiple_of(2) { add(number) } else { remove(number) }
            })
            .collect()
        }
    }
}

#[test]
fn no_service_that_is_there_all_the_time_is_ever_missing_from_a_reading() -> Result<()> {
    const STABLE: u16 = 300;
    require_ipvs();
    let host = Host::new("balancer");
    let stable: Table = (0..STABLE).map(|number| service(number, 1)).collect();
    on(&host, async || make(&mut Client::open()?, &stable).await)?;
    let edits = |round| {
        let add = |number| Change::AddService(VirtualService::new(key(number)));
        disorder(round, STABLE, 100, add, |number| Change::RemoveService(key(number)))
    };
    let (result, rounds) = beside_edits(&host, edits, |order| {
        on(&host, async || {
            let wanted: BTreeSet<_> = (0..STABLE).map(key).collect();
            let mut client = Client::open()?;
            // It knows the table before the trouble begins: what it saw once it never loses.
            assert_eq!(client.services().await?.len(), usize::from(STABLE));
            order.send(ALL_THE_TIME)?;
            let mut most = 0;
            for _ in 0..40 {
                let entries = client.services().await?;
                let read: BTreeSet<_> = entries.iter().map(|entry| entry.service.key()).collect();
                assert_eq!(read.len(), entries.len(), "none comes twice");
                assert_eq!(wanted.difference(&read).collect::<Vec<_>>(), Vec::<&ServiceKey>::new());
                most = most.max(read.len());
            }
            Ok(most)
        })
    });
    let most = result?;
    assert!(
        rounds > 8 && most > usize::from(STABLE),
        "{rounds} rounds of edits, at most {most} services read"
    );
    Ok(())
}

#[test]
fn no_table_of_one_datagram_ever_misses_what_is_there_all_the_time_not_even_at_first_sight() -> Result<()> {
    require_ipvs();
    let host = Host::new("balancer");
    let stable: Table = (0..20).map(|number| service(number, 16)).collect();
    on(&host, async || make(&mut Client::open()?, &stable).await)?;
    let edits = |round| {
        let add = |number| Change::AddService(VirtualService::new(key(number)));
        let mut edits = disorder(round, 100, 40, add, |number| Change::RemoveService(key(number)));
        let add = |number| Change::AddServer(key(3), server(number));
        let remove = |number| Change::RemoveServer(key(3), server(number).key());
        edits.extend(disorder(round, 100, 40, add, remove));
        edits
    };
    let (result, rounds) = beside_edits(&host, edits, |order| {
        on(&host, async || {
            order.send(ALL_THE_TIME)?;
            for _ in 0..30 {
                let read = Client::open()?.table().await?;
                for wanted in stable.services() {
                    let key = wanted.service().key();
                    let service = read.service(&key).with_context(|| format!("{key} is missing"))?;
                    let missing =
                        wanted.servers().find(|server| service.server(&server.key()) != Some(server));
                    assert_eq!(missing, None, "of {key}");
                }
            }
            Ok(())
        })
    });
    result?;
    assert!(rounds > 4, "{rounds} rounds of edits");
    Ok(())
}

#[test]
fn destinations_of_many_datagrams_are_all_read_or_it_is_an_error() -> Result<()> {
    const STABLE: u16 = 250;
    require_ipvs();
    let host = Host::new("balancer");
    on(&host, async || make(&mut Client::open()?, &Table::from_iter([service(1, STABLE)])).await)?;
    // Servers come first in a dump in the opposite order: every removal shifts those that stay.
    let edits = |round| {
        let add = |number| Change::AddServer(key(1), server(number));
        let remove = |number| Change::RemoveServer(key(1), server(number).key());
        disorder(round, STABLE, 30, add, remove)
    };
    let (result, _) = beside_edits(&host, edits, |order| {
        on(&host, async || {
            let mut client = Client::open()?;
            let (mut whole, mut torn) = (0, 0);
            while whole + torn < 60 {
                // A few rounds each time, so that some readings see the end of them.
                order.send(2)?;
                match client.destinations(&key(1)).await {
                    Ok(entries) => {
                        whole += 1;
                        let read: BTreeSet<_> = entries.iter().map(|entry| entry.server.key()).collect();
                        let missing =
                            (0..STABLE).map(|number| server(number).key()).find(|it| !read.contains(it));
                        assert_eq!(missing, None);
                    }
                    Err(error) => {
                        assert!(matches!(error.cause(), Cause::Interrupted { .. }), "{error:?}");
                        torn += 1;
                    }
                }
            }
            Ok((whole, torn))
        })
    });
    let (whole, torn) = result?;
    println!("{whole} readings were whole, {torn} torn");
    assert!(whole > 0, "none was whole");
    on(&host, async || {
        let entries = Client::open()?.destinations(&key(1)).await?;
        assert!(entries.len() >= usize::from(STABLE), "at rest it is read");
        Ok(())
    })
}

#[test]
fn a_service_that_never_holds_still_keeps_nobody_from_reading_the_others() -> Result<()> {
    const STABLE: u16 = 250;
    require_ipvs();
    let host = Host::new("balancer");
    let (busy, calm) = (service(1, STABLE), service(2, 16));
    on(&host, async || make(&mut Client::open()?, &Table::from_iter([busy, calm.clone()])).await)?;
    let edits = |round| {
        let add = |number| Change::AddServer(key(1), server(number));
        let remove = |number| Change::RemoveServer(key(1), server(number).key());
        disorder(round, STABLE, 30, add, remove)
    };
    let (result, rounds) = beside_edits(&host, edits, |order| {
        on(&host, async || {
            let mut dataplane = IpvsDataplane::new(Client::open()?);
            order.send(ALL_THE_TIME)?;
            let (mut observed_torn, mut listed_torn) = (0, 0);
            for _ in 0..100 {
                let table = dataplane.observe(Scope::Everything).await?;
                assert_eq!(table.service(&key(2)), Some(&calm));
                let read = table.service(&key(1)).context("the busy service")?;
                let told: Vec<_> = dataplane.unsayable().collect();
                if told.is_empty() {
                    assert_eq!((0..STABLE).find(|&it| read.server(&server(it).key()).is_none()), None);
                } else {
                    assert!(told.len() == 1 && told[0].contains("changed its destinations"), "{told:?}");
                    observed_torn += 1;
                }
                let counted = Client::open()?.statistics(Scope::Everything).await?;
                assert_eq!(counted.services[&key(2)].servers.len(), 16);
                let listing = Client::open()?.list(None).await?;
                let calm = listing.services.iter().find(|listed| listed.entry.service.key() == key(2));
                assert_eq!(calm.context("the calm service")?.servers.len(), 16);
                if listing.services.len() == 1 {
                    let told = &listing.unsayable;
                    assert!(told.len() == 1 && told[0].contains("changed its destinations"), "{told:?}");
                    listed_torn += 1;
                }
                if observed_torn > 1 && listed_torn > 1 {
                    return Ok(());
                }
            }
            anyhow::bail!("it held still: {observed_torn} observations torn, {listed_torn} lists")
        })
    });
    println!("{rounds} rounds of edits");
    result
}

#[test]
fn flushed_and_restored_again_and_again_a_service_is_present_with_its_servers_or_absent() -> Result<()> {
    require_ipvs();
    let host = Host::new("balancer");
    let edits = |_| {
        let mut edits = vec![Change::AddService(VirtualService::new(key(1)))];
        edits.extend((0..16).map(|number| Change::AddServer(key(1), server(number))));
        edits.push(Change::RemoveService(key(1)));
        edits
    };
    let (result, rounds) = beside_edits(&host, edits, |order| {
        on(&host, async || {
            let mut client = Client::open()?;
            order.send(ALL_THE_TIME)?;
            for _ in 0..200 {
                match client.destinations(&key(1)).await {
                    // An instant between two edits: the last servers that were added are the first.
                    Ok(entries) => {
                        let read: BTreeSet<_> = entries.iter().map(|entry| entry.server.key()).collect();
                        let made: BTreeSet<_> =
                            (0..).map(|number| server(number).key()).take(read.len()).collect();
                        assert_eq!(read, made);
                    }
                    Err(error) => assert_eq!(error.refusal(), Some(Refusal::ServiceAbsent), "{error}"),
                }
            }
            Ok(())
        })
    });
    result?;
    assert!(rounds > 4, "{rounds} rounds of edits");
    Ok(())
}

#[test]
fn a_call_that_was_given_up_does_not_disturb_the_next() -> Result<()> {
    require_ipvs();
    let host = Host::new("balancer");
    on(&host, async || {
        let mut client = Client::open()?;
        let table: Table = (0..300).map(|number| service(number, 1)).collect();
        make(&mut client, &table).await?;
        for _ in 0..20 {
            // Polled once: the question is sent, and the answers are not waited for.
            let mut reading = std::pin::pin!(client.services());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let _ = reading.as_mut().poll(&mut context);
        }
        assert_eq!(client.services().await?.len(), 300);
        assert_eq!(client.destinations(&key(7)).await?.len(), 1);
        Ok(())
    })
}

#[test]
fn what_readings_of_a_table_of_2277_services_with_16_servers_cost() -> Result<()> {
    require_ipvs();
    let host = Host::new("balancer");
    on(&host, async || {
        let mut client = Client::open()?;
        let desired: Table = (0..2277).map(|number| service(number, 16)).collect();
        make(&mut client, &desired).await?;
        let mut lines = Vec::new();
        for round in ["first", "later"] {
            let start = Instant::now();
            let read = client.table().await?;
            lines.push(format!("{round} table {:?}", start.elapsed()));
            assert!(read == desired);
            let start = Instant::now();
            let read = client.statistics(Scope::Everything).await?;
            lines.push(format!("{round} statistics of everything {:?}", start.elapsed()));
            assert_eq!(read.services.values().map(|service| service.servers.len()).sum::<usize>(), 2277 * 16);
            let start = Instant::now();
            let read = client.statistics(Scope::Services).await?;
            lines.push(format!("{round} statistics of services {:?}", start.elapsed()));
            assert_eq!(read.services.len(), 2277);
            let start = Instant::now();
            let read = client.statistics(Scope::Service(key(7))).await?;
            lines.push(format!("{round} statistics of one service {:?}", start.elapsed()));
            assert_eq!(read.services.len(), 1);
        }
        println!("2,277 services with 16 servers: {}", lines.join(", "));
        // What the weight of one server is stays readable beside all that.
        let changed = server(3).with_weight(Weight::new(7).unwrap());
        client.edit_destination(&key(7), &changed).await?;
        assert_eq!(client.destination(&key(7), &changed.key()).await?.context("the server")?.server, changed);
        Ok(())
    })
}
