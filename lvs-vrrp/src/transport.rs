//! What carries adverts between hosts: raw sockets by default, or whatever implements [`Transport`].

pub(crate) mod memory;
pub(crate) mod raw;
pub(crate) mod udp;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::{fmt, io};

use lvs_core::Family;

use crate::endpoints::{Datagram, Endpoints};
use crate::refusal::Refusal;

/// Opens ways in and out of interfaces for a [`Driver`](crate::Driver).
///
/// There are [`RawTransport`](crate::RawTransport), which the driver uses unless told otherwise,
/// [`UdpTransport`](crate::UdpTransport) and [`MemoryNetwork`](crate::MemoryNetwork). Others are for embedders:
/// [`Driver::with_transport`](crate::Driver::with_transport) takes them.
///
/// The driver calls from its own task, and only inside of a tokio runtime. No call may wait. It opens one receiver
/// for each interface and [`Channel`] and one sender for each interface and family, however many instances there
/// are; it drops them and opens new ones when the index, the state or the hardware address of the interface
/// changes, and tries again every second what failed. When a running driver is given other instances, a receiver of other
/// groups is opened before the one that it replaces is dropped, so that nothing is lost in between; a transport that cannot
/// have both answers [`AddrInUse`](io::ErrorKind::AddrInUse), and is asked again when the old one is gone.
pub trait Transport: Send {
    /// Opens a way in. A transport that does not carry authentication headers refuses [`Channel::Authenticated`].
    ///
    /// # Errors
    /// Why there is none: a fault of the instances that need it.
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>>;

    /// Opens a way out of an interface for adverts of a family.
    ///
    /// # Errors
    /// Why there is none: a fault of the instances that need it.
    fn sender(&mut self, interface: &str, index: u32, family: Family) -> io::Result<Box<dyn Sender>>;

    /// The one address of this host at which it receives unicast of a family, if it does so at one only. Instances then
    /// send from it unless they are configured otherwise, and peers that have other addresses of this host are other
    /// routers. By default `None`: all addresses of the host are ours.
    fn address(&self, family: Family) -> Option<IpAddr> {
        let _ = family;
        None
    }
}

/// What a receiver is to receive.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Listen<'a> {
    /// Name of the interface.
    pub interface: &'a str,
    /// Its index now, at least 1.
    pub index: u32,
    /// Which adverts.
    pub channel: Channel,
    /// The groups to join on this interface, all of the channel's family.
    pub groups: &'a BTreeSet<IpAddr>,
}

/// A kind of packet that adverts come in. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// IPv4, protocol 112.
    Ipv4,
    /// IPv6, protocol 112.
    Ipv6,
    /// IPv4, protocol 51: behind an authentication header. Raw sockets only: other transports can neither send nor
    /// receive such adverts, and refuse to open a receiver ([`Unsupported`](io::ErrorKind::Unsupported)).
    Authenticated,
}

impl Channel {
    /// Refuses what only raw sockets carry.
    pub(crate) fn check_is_plain(self) -> io::Result<()> {
        match self {
            Self::Ipv4 | Self::Ipv6 => Ok(()),
            Self::Authenticated => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "authentication headers need raw sockets; this transport does not carry them",
            )),
        }
    }

    /// The family of its addresses.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Ipv4 | Self::Authenticated => Family::Ipv4,
            Self::Ipv6 => Family::Ipv6,
        }
    }

    /// The channel of adverts of this family.
    #[must_use]
    pub const fn of(family: Family) -> Self {
        match family {
            Family::Ipv4 => Self::Ipv4,
            Family::Ipv6 => Self::Ipv6,
        }
    }
}

/// A way in.
pub trait Receiver: Send + fmt::Debug {
    /// Asks to be woken when something comes; ready when there is, or may be, something.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes what waits, as much as [`Arrivals`] has room for, without waiting; answers whether there may be more.
    /// When it answers that there is no more, [`poll_readable`](Self::poll_readable) is to be pending until
    /// something comes.
    ///
    /// # Errors
    /// Nothing could be received. The driver tries again a few times and then opens a new receiver.
    fn receive(&mut self, arrivals: &mut Arrivals) -> io::Result<bool>;
}

/// A way out.
pub trait Sender: Send + fmt::Debug {
    /// Sends all of these without waiting, and adds to `failed` which did not leave (its place among them) and
    /// why.
    fn send(&mut self, departures: &Departures, failed: &mut Vec<(usize, io::Error)>);

    /// The MTU of the interface now, in octets: an advert lists as many addresses as fit it. `None` if it is not known,
    /// or if datagrams may be longer: then all are listed. Called when something of the interface changed, and when an
    /// advert did not leave because it was too long (`EMSGSIZE`). By default `None`.
    fn mtu(&self) -> Option<u32> {
        None
    }
}

/// Datagrams that came, in room that is used again.
pub struct Arrivals {
    pub(crate) rooms: Box<[Room]>,
    pub(crate) kinds: Vec<Arrived>,
}

/// Room for the longest advert, 255 addresses of IPv6 and 8 octets.
pub(crate) struct Room(pub(crate) [u8; 4096]);

impl AsMut<[u8]> for Room {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// What lies in a room.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrived {
    /// An IPv4 datagram with its header, of this length.
    Ipv4(usize),
    /// The payload of a datagram, of this length.
    Payload(Endpoints, u8, usize),
    /// Not what it should be.
    Refused(Refusal),
}

impl Arrivals {
    /// Without datagrams, with room for 16.
    #[must_use]
    pub fn new() -> Self {
        let rooms = (0..crate::socket::BATCH).map(|_| Room([0; 4096])).collect();
        Self { rooms, kinds: Vec::with_capacity(crate::socket::BATCH) }
    }

    /// Forgets what came before.
    pub fn clear(&mut self) {
        self.kinds.clear();
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Whether there is no room for another.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() == self.rooms.len()
    }

    /// Adds a datagram. One that is longer than 4,096 octets is refused later for its length; one for which there
    /// is no room is lost.
    pub fn push(&mut self, datagram: &Datagram<'_>) {
        let Some(Room(room)) = self.rooms.get_mut(self.kinds.len()) else { return };
        let arrived = match room.get_mut(..datagram.payload.len()) {
            Some(octets) => {
                octets.copy_from_slice(datagram.payload);
                Arrived::Payload(datagram.endpoints, datagram.ttl, octets.len())
            }
            None => Arrived::Refused(Refusal::Length),
        };
        self.kinds.push(arrived);
    }

    /// All of them in order, or why one is none that could hold an advert.
    pub fn iter(&self) -> impl Iterator<Item = Result<Datagram<'_>, Refusal>> {
        (0..self.len()).filter_map(|place| self.get(place))
    }

    /// Forgets those that are not to be kept; the others stay as they came, in order, with their headers. For transports
    /// around others:
    ///
    /// ```
    /// use std::io;
    /// use std::task::{Context, Poll};
    ///
    /// use lvs_vrrp::{Arrivals, Datagram, Endpoints, Receiver};
    ///
    /// /// A way in that loses every third datagram.
    /// #[derive(Debug)]
    /// struct Lossy {
    ///     inner: Box<dyn Receiver>,
    ///     came: u64,
    /// }
    ///
    /// impl Receiver for Lossy {
    ///     fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    ///         self.inner.poll_readable(cx)
    ///     }
    ///
    ///     fn receive(&mut self, arrivals: &mut Arrivals) -> io::Result<bool> {
    ///         let result = self.inner.receive(arrivals);
    ///         arrivals.retain(|_| {
    ///             self.came += 1;
    ///             self.came % 3 != 0
    ///         });
    ///         result
    ///     }
    /// }
    ///
    /// # #[derive(Debug)]
    /// # struct Six;
    /// # impl Receiver for Six {
    /// #     fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
    /// #         Poll::Ready(Ok(()))
    /// #     }
    /// #     fn receive(&mut self, arrivals: &mut Arrivals) -> io::Result<bool> {
    /// #         let endpoints = Endpoints::v4([10, 0, 0, 2].into(), [224, 0, 0, 18].into());
    /// #         (0..6).for_each(|number| arrivals.push(&Datagram::new(endpoints, 255, &[number])));
    /// #         Ok(false)
    /// #     }
    /// # }
    /// # let inner = Box::new(Six);
    /// let mut arrivals = Arrivals::new();
    /// Lossy { inner, came: 0 }.receive(&mut arrivals)?; // of six
    /// let kept: Vec<u8> = arrivals.iter().flatten().map(|datagram| datagram.payload[0]).collect();
    /// assert_eq!(kept, [0, 1, 3, 4]);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn retain(&mut self, mut is_kept: impl FnMut(Result<Datagram<'_>, Refusal>) -> bool) {
        let mut kept = 0;
        for place in 0..self.len() {
            if self.get(place).is_some_and(&mut is_kept) {
                if kept != place {
                    self.rooms.swap(kept, place);
                    self.kinds.swap(kept, place);
                }
                kept += 1;
            }
        }
        self.kinds.truncate(kept);
    }

    /// One of them; `None` if there are fewer.
    ///
    /// # Errors
    /// Why it is none that could hold an advert.
    pub(crate) fn get(&self, place: usize) -> Option<Result<Datagram<'_>, Refusal>> {
        let (kind, Room(room)) = (self.kinds.get(place)?, self.rooms.get(place)?);
        let octets = |length: usize| room.get(..length).unwrap_or_default();
        Some(match *kind {
            Arrived::Ipv4(length) => Datagram::from_ipv4(octets(length)),
            Arrived::Payload(endpoints, ttl, length) => Ok(Datagram::new(endpoints, ttl, octets(length))),
            Arrived::Refused(refusal) => Err(refusal),
        })
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrivals").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

/// Datagrams to be sent through one interface, in order.
#[derive(Debug, Default)]
pub struct Departures {
    octets: Vec<u8>,
    items: Vec<Departure>,
}

#[derive(Clone, Copy, Debug)]
struct Departure {
    endpoints: Endpoints,
    ttl: u8,
    from: usize,
    to: usize,
    /// The octets begin with the header of IPv4.
    is_whole: bool,
}

impl Departures {
    /// Adds a datagram behind the others.
    pub fn push(&mut self, datagram: &Datagram<'_>) {
        let from = self.octets.len();
        self.octets.extend_from_slice(datagram.payload);
        let to = self.octets.len();
        let (endpoints, ttl) = (datagram.endpoints, datagram.ttl);
        self.items.push(Departure { endpoints, ttl, from, to, is_whole: false });
    }

    /// Adds a datagram of IPv4 with its header and an authentication header.
    #[cfg(feature = "ah")]
    pub(crate) fn push_whole(&mut self, header: &crate::ipv4::Ipv4Header, octets: &[u8]) {
        let from = self.octets.len();
        self.octets.extend_from_slice(octets);
        let to = self.octets.len();
        let endpoints = Endpoints::v4(header.source, header.destination);
        self.items.push(Departure { endpoints, ttl: header.ttl, from, to, is_whole: true });
    }

    /// The octets of one of them if they are to be sent as they are, header included.
    pub(crate) fn whole(&self, place: usize) -> Option<&[u8]> {
        let item = self.items.get(place).filter(|item| item.is_whole)?;
        self.octets.get(item.from..item.to)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// One of them; `None` if there are fewer.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<Datagram<'_>> {
        let Departure { endpoints, ttl, from, to, is_whole } = *self.items.get(place)?;
        let octets = self.octets.get(from..to)?;
        if is_whole { Datagram::from_ipv4(octets).ok() } else { Some(Datagram::new(endpoints, ttl, octets)) }
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        (0..self.len()).filter_map(|place| self.get(place))
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.items.clear();
    }
}
