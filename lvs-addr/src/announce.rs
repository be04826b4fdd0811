//! Decides in which order and how fast announcements leave.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use lvs_core::{Announcement, Announcements, MacAddress};
use tokio::time::{Instant, sleep, sleep_until};

use crate::packet;
use crate::packet::{ETH_P_ARP, ETH_P_IPV6};
use crate::rtnl::LinkFact;
use crate::socket::{PacketSocket, station};

/// Why an address could not be announced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no such interface")]
    NoInterface,
    #[error("the interface is down or has no carrier")]
    Down,
    #[error("the interface has no hardware address of 48 bits")]
    NoMac,
    #[error("sending failed: {0}")]
    Send(#[from] io::Error),
}

/// The least time between two announcements on an interface, for networks that drop them when they come faster. The
/// default is none.
///
/// ```
/// use std::time::Duration;
///
/// // keepalived's `vrrp_garp_interval 0.01`
/// let spacing = lvs_addr::Spacing { arp: Duration::from_millis(10), ..lvs_addr::Spacing::default() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Spacing {
    /// Between gratuitous ARP messages.
    pub arp: Duration,
    /// Between unsolicited neighbour advertisements.
    pub neighbour: Duration,
}

/// When the next announcement may leave each interface, for each family.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    spacing: Spacing,
    /// No more of them than interfaces that were announced on.
    next: BTreeMap<(String, bool), Instant>,
}

impl Schedule {
    pub(crate) fn new(spacing: Spacing) -> Self {
        Self { spacing, next: BTreeMap::new() }
    }

    /// Waits for the turn of an announcement, and takes it. Safe to cancel: then it is not taken.
    async fn turn(&mut self, announcement: &Announcement) {
        let is_arp = announcement.address.is_ipv4();
        let spacing = if is_arp { self.spacing.arp } else { self.spacing.neighbour };
        if spacing.is_zero() {
            return;
        }
        let place = (announcement.interface.clone(), is_arp);
        if let Some(&next) = self.next.get(&place) {
            sleep_until(next).await;
        }
        self.next.insert(place, Instant::now() + spacing);
    }
}

/// Sends all announcements: first every address once, then the repetitions, round by round, at most 64 frames per
/// millisecond and as far apart as the schedule wants, and answers what failed. Repetitions that would go on for more than
/// 3 s are left out.
///
/// Interfaces without neighbours (loopback, tunnels) need no announcement: nothing is sent, which is a success.
/// Safe to cancel: what was not sent then still waits.
pub(crate) async fn announce(
    socket: &PacketSocket,
    links: &BTreeMap<String, LinkFact>,
    schedule: &mut Schedule,
    waiting: &mut Announcements,
) -> Vec<(Announcement, Refusal)> {
    let mut refused = Vec::new();
    // Every address has a turn before the first one has another.
    let mut first_turns = waiting.len();
    let give_up = Instant::now() + REPETITIONS;
    let mut pace = Pace { sent: 0 };
    while let Some(announcement) = waiting.first() {
        let is_repetition = first_turns == 0;
        first_turns = first_turns.saturating_sub(1);
        let link = links.get(&announcement.interface);
        if link.is_some_and(|link| !link.has_neighbours) {
            waiting.remove_first();
            continue;
        }
        schedule.turn(announcement).await;
        if is_repetition && Instant::now() >= give_up {
            tracing::debug!(
                addresses = waiting.len(),
                "announcements take too long, the remaining repetitions are left out"
            );
            waiting.clear();
            break;
        }
        match send(socket, link, announcement.address).await {
            // Counted before anything else can end this future.
            Ok(()) => waiting.packet_sent(),
            Err(why) => refused.extend(waiting.remove_first().map(|announcement| (announcement, why))),
        }
        pace.wait().await;
    }
    refused
}

async fn send(socket: &PacketSocket, link: Option<&LinkFact>, address: IpAddr) -> Result<(), Refusal> {
    let link = link.ok_or(Refusal::NoInterface)?;
    let mac = link.mac.ok_or(Refusal::NoMac)?;
    if !link.up {
        return Err(Refusal::Down);
    }
    match address {
        IpAddr::V4(address) => {
            let to = station(link.index, ETH_P_ARP, MacAddress::BROADCAST)?;
            socket.send(&packet::gratuitous_arp(mac, address), &to).await?;
        }
        IpAddr::V6(address) => {
            let to = station(link.index, ETH_P_IPV6, packet::ALL_NODES_MAC)?;
            socket.send(&packet::unsolicited_advertisement(mac, address, link.router), &to).await?;
        }
    }
    Ok(())
}

/// Pauses now and then, so that neither a switch nor the other tasks of this thread are flooded.
struct Pace {
    sent: u32,
}

impl Pace {
    async fn wait(&mut self) {
        self.sent = self.sent.wrapping_add(1);
        if self.sent.is_multiple_of(BURST) {
            sleep(PAUSE).await;
        }
    }
}

/// Frames between two pauses.
const BURST: u32 = 64;
const PAUSE: Duration = Duration::from_millis(1);
/// When the repetitions end.
const REPETITIONS: Duration = Duration::from_secs(3);
