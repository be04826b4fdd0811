use lvs_core::{Family, Protocol, Weight};

use super::read::{servers, services};
use super::*;

fn key(address: &str) -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, address.parse().unwrap())
}

#[test]
fn entries_keep_the_order_of_the_dump_and_one_that_it_has_twice_is_one_as_it_was_last() {
    let service = |address, scheduler: &str| {
        let service = VirtualService::new(key(address)).with_scheduler(scheduler.parse().unwrap());
        convert::raw_service(&service)
    };
    let dump = [service("10.0.0.2:80", "rr"), service("10.0.0.1:80", "rr"), service("10.0.0.2:80", "lc")];
    let read: Vec<_> = services(&dump).unwrap().into_iter().map(|entry| entry.service).collect();
    assert_eq!(
        read.iter().map(VirtualService::key).collect::<Vec<_>>(),
        [key("10.0.0.2:80"), key("10.0.0.1:80")]
    );
    assert_eq!(read[0].scheduler().as_str(), "lc");

    let server = |weight| {
        RealServer::new(ServerKey::new("10.0.1.1:80".parse().unwrap()))
            .with_weight(Weight::new(weight).unwrap())
    };
    let dump = [1, 2].map(|weight| {
        let raw = convert::raw_server(&server(weight)).unwrap();
        convert::found(&raw, Family::Ipv4, convert::server_entry)
    });
    let read: Vec<_> = servers(dump.into()).unwrap().into_iter().map(|entry| entry.server).collect();
    assert_eq!(read, [server(2)]);
}
