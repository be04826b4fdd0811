//! Reads the captures of ipvsadm's own messages: what this crate sends and reads is compared with them.

// They were taken on a little-endian machine, and most integers of netlink have the machine's order.
#![cfg(target_endian = "little")]

mod answers;
mod edits;

use std::num::NonZeroU32;

use lvs_core::{
    Family, Forwarding, Protocol, RealServer, ServerKey, ServiceKey, Tunnel, TunnelChecksum, VirtualService,
    Weight,
};

use crate::raw::Message;

/// One command of ipvsadm, what it sent, what the kernel answered, and what it printed.
struct Capture {
    command: &'static str,
    sent: Vec<Vec<u8>>,
    received: Vec<Vec<u8>>,
    printed: Vec<&'static str>,
}

fn captures() -> Vec<Capture> {
    let mut captures: Vec<Capture> = Vec::new();
    for line in include_str!("../captures/ipvsadm-1.31.txt").lines() {
        let Some((mark, rest)) = line.split_once(' ') else { continue };
        match mark {
            "#" => {
                captures.push(Capture { command: rest, sent: vec![], received: vec![], printed: vec![] });
            }
            "|" => captures.last_mut().unwrap().printed.push(rest),
            ">" => captures.last_mut().unwrap().sent.push(bytes(rest)),
            "<" => captures.last_mut().unwrap().received.push(bytes(rest)),
            _ => {}
        }
    }
    captures
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

fn capture(command: &str) -> Capture {
    captures().into_iter().find(|capture| capture.command == command).unwrap()
}

/// The last message that the command sent.
fn sent(command: &str) -> Message {
    Message::parse(capture(command).sent.last().unwrap()).unwrap()
}

fn received(command: &str) -> Vec<Message> {
    capture(command).received.iter().map(|bytes| Message::parse(bytes).unwrap()).collect()
}

fn tcp() -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap())
}

fn udp() -> ServiceKey {
    ServiceKey::address(Protocol::Udp, "[2001:db8::1]:53".parse().unwrap())
}

fn fwmark(family: Family, mark: u32) -> ServiceKey {
    ServiceKey::Fwmark { family, mark: NonZeroU32::new(mark).unwrap() }
}

fn service(key: ServiceKey, scheduler: &str) -> VirtualService {
    VirtualService::new(key).with_scheduler(scheduler.parse().unwrap())
}

fn server(address: &str, weight: u32, forwarding: Forwarding) -> RealServer {
    RealServer::new(ServerKey::new(address.parse().unwrap()))
        .with_weight(Weight::new(weight).unwrap())
        .with_forwarding(forwarding)
}

fn gue(port: u16, checksum: TunnelChecksum) -> Forwarding {
    Forwarding::Tunnel(Tunnel::Gue { port: port.try_into().unwrap(), checksum })
}
