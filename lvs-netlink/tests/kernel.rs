//! The transport against the running kernel, each test in a network namespace of its own. Needs root.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use lvs_netlink::{Command, Error, Event, Flags, Generic, Monitor, Options, Protocol, Request, Socket};
use nix::sched::{CloneFlags, unshare};

const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTNLGRP_IPV4_IFADDR: u32 = 5;

/// Runs the test in a fresh network namespace in which only a loopback interface exists, and is up.
fn in_fresh_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let on_its_own_thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root (a new network namespace)");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut socket = Socket::open(Protocol::Route).expect("a socket");
            // struct ifinfomsg: index 1, flags IFF_UP, change IFF_UP
            let up = [[0; 4], 1_u32.to_ne_bytes(), 1_u32.to_ne_bytes(), 1_u32.to_ne_bytes()].concat();
            socket.request(&Request::new(RTM_SETLINK, up)).await.expect("lo is set up");
            test().await;
        });
    });
    if let Err(panic) = on_its_own_thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// RTM_NEWADDR on lo. A prefix length above 32 is refused by the kernel with a text.
fn add(address: Ipv4Addr, prefix: u8) -> Request {
    let mut payload = vec![2, prefix, 0, 0];
    payload.extend(1_u32.to_ne_bytes());
    for kind in [1_u16, 2] {
        payload.extend(8_u16.to_ne_bytes());
        payload.extend(kind.to_ne_bytes());
        payload.extend(address.octets());
    }
    Request::new(RTM_NEWADDR, payload).with_flags(Flags::CREATE | Flags::EXCL)
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 7, 0, 0)) + number)
}

/// A strict dump of the IPv4 addresses.
fn all_addresses() -> Request {
    Request::new(RTM_GETADDR, vec![2, 0, 0, 0, 0, 0, 0, 0])
}

#[test]
fn a_thousand_changes_have_a_thousand_results_and_failing_ones_the_kernels_text() {
    in_fresh_namespace(|| async {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let requests: Vec<_> = (0..1000)
            .map(|number| match number {
                // Invalid prefix length; address that the batch has added already.
                n if n % 10 == 3 => add(address(n), 33),
                n if n % 10 == 7 => add(address(n - 1), 32),
                n => add(address(n), 32),
            })
            .collect();
        let results = socket.batch(&requests).await.unwrap();
        assert_eq!(results.len(), 1000);
        for (number, result) in results.iter().enumerate() {
            match (number % 10, result) {
                (3, Err(error)) => {
                    assert_eq!(error.errno(), libc::EINVAL);
                    assert!(error.message().is_some_and(|text| text.contains("prefix length")), "{error}");
                }
                (7, Err(error)) => assert_eq!(error.errno(), libc::EEXIST),
                (3 | 7, Ok(())) => panic!("request {number} should have failed"),
                (_, result) => assert_eq!(result, &Ok(()), "request {number}"),
            }
        }
        // 127.0.0.1, and those that were right.
        assert_eq!(socket.dump(&all_addresses()).await.unwrap().len(), 1 + 800);
    });
}

#[test]
fn a_large_dump_is_complete() {
    in_fresh_namespace(|| async {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let requests: Vec<_> = (0..3000).map(|number| add(address(number), 32)).collect();
        assert!(socket.batch(&requests).await.unwrap().iter().all(Result::is_ok));
        let entries = socket.dump(&all_addresses()).await.unwrap();
        assert_eq!(entries.len(), 1 + 3000);
        // IFA_ADDRESS is the first attribute after the 8 bytes of struct ifaddrmsg.
        let seen: BTreeSet<_> = entries.iter().filter_map(|entry| entry.payload().get(12..16)).collect();
        for number in 0..3000 {
            assert!(seen.contains(&address(number).octets()[..]), "{number} is missing");
        }
    });
}

#[test]
fn a_strict_dump_with_a_bad_header_is_refused_with_a_text() {
    in_fresh_namespace(|| async {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let error = socket.dump(&Request::new(RTM_GETADDR, vec![2])).await.unwrap_err();
        let refusal = error.kernel().expect("a refusal");
        assert_eq!(refusal.errno(), libc::EINVAL);
        assert!(refusal.message().is_some_and(|text| !text.is_empty()), "{refusal}");
    });
}

#[test]
fn batches_adapt_to_a_small_receive_buffer() {
    in_fresh_namespace(|| async {
        let options = Options::default().with_receive_buffer(8192).with_batch(1000);
        let mut socket = Socket::open_with(Protocol::Route, &options).unwrap();
        let bad: Vec<_> = (0..500).map(|number| add(address(number), 33)).collect();
        let results = socket.batch(&bad).await.unwrap();
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 500);
    });
}

#[test]
fn a_monitor_reports_changes_and_an_overrun_as_resync() {
    in_fresh_namespace(|| async {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let small = Options::default().with_receive_buffer(16 * 1024);
        let mut monitor = Monitor::open_with(Protocol::Route, &[RTNLGRP_IPV4_IFADDR], &small).unwrap();

        socket.request(&add(address(0), 32)).await.unwrap();
        match monitor.next().await.unwrap() {
            Event::Message(message) => assert_eq!(message.kind(), RTM_NEWADDR),
            Event::Resync => panic!("one notification is no overrun"),
        }

        let many: Vec<_> = (1..1000).map(|number| add(address(number), 32)).collect();
        assert!(socket.batch(&many).await.unwrap().iter().all(Result::is_ok));
        assert_eq!(monitor.next().await.unwrap(), Event::Resync);
        assert_eq!(monitor.try_next().unwrap(), None);

        // What waited was thrown away; the next event is the next change.
        socket.request(&add(address(5000), 32)).await.unwrap();
        match monitor.try_next().unwrap().unwrap() {
            Event::Message(message) => {
                assert!(message.payload().windows(4).any(|w| w == address(5000).octets()));
            }
            Event::Resync => panic!("only one overrun happened"),
        }
    });
}

#[test]
fn a_socket_can_belong_to_another_network_namespace() {
    in_fresh_namespace(|| async {
        let other = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            std::fs::File::open("/proc/thread-self/ns/net").unwrap()
        });
        let options = Options::default().with_netns(other.join().unwrap().into());
        let mut there = Socket::open_with(Protocol::Route, &options).unwrap();
        let mut here = Socket::open(Protocol::Route).unwrap();
        there.request(&add(address(1), 32)).await.unwrap();
        assert_eq!(there.dump(&all_addresses()).await.unwrap().len(), 1, "lo is down there: no 127.0.0.1");
        assert_eq!(here.dump(&all_addresses()).await.unwrap().len(), 1, "only 127.0.0.1");
    });
}

#[test]
fn a_file_that_is_no_network_namespace_is_an_error_that_says_so() {
    in_fresh_namespace(|| async {
        for path in ["/dev/null", "/proc/self/ns/uts"] {
            let options = Options::default().with_netns(std::fs::File::open(path).unwrap().into());
            let error = Socket::open_with(Protocol::Route, &options).unwrap_err();
            assert!(matches!(error, Error::NoNamespace { .. }), "{path}: {error:?}");
            assert!(error.to_string().contains("/run/netns/NAME"), "{error}");
        }
    });
}

#[test]
fn opening_outside_of_a_runtime_is_an_error_with_the_remedy() {
    let of_socket = Socket::open(Protocol::Route).unwrap_err();
    let of_monitor = Monitor::open(Protocol::Route, &[RTNLGRP_IPV4_IFADDR]).unwrap_err();
    let of_generic = Generic::open("nlctrl").unwrap_err();
    for error in [of_socket, of_monitor, of_generic] {
        assert!(matches!(error, Error::NoRuntime), "{error:?}");
        assert!(error.to_string().contains("enable_all"), "{error}");
    }
}

#[test]
fn an_absent_family_is_an_error_of_its_own_and_looked_for_again() {
    in_fresh_namespace(|| async {
        for name in ["lvs-none", "", "a name that is longer than any family has"] {
            let mut missing = Generic::open(name).unwrap();
            for _ in 0..2 {
                let error = missing.dump(&Command::new(1, 1, &[])).await.unwrap_err();
                assert!(matches!(&error, Error::FamilyAbsent { name: n } if n == name), "{error:?}");
            }
        }
        let mut control = Generic::open("nlctrl").unwrap();
        assert_eq!(control.family().await.unwrap().number(), 16);
    });
}

#[test]
fn an_idle_dump_of_links_names_the_loopback_interface() {
    in_fresh_namespace(|| async {
        let mut socket = Socket::open(Protocol::Route).unwrap();
        let links = socket.dump(&Request::new(RTM_GETLINK, vec![0; 16])).await.unwrap();
        assert!(links.iter().any(|link| link.payload().windows(3).any(|w| w == b"lo\0")));
    });
}
