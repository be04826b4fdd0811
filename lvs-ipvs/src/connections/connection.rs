//! What a row of the connection table says.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use lvs_core::{EngineName, Protocol};

/// A connection, or what persistence remembers of a client (a template), as the kernel had it when it wrote the row.
///
/// ```
/// use lvs_ipvs::Connections;
///
/// // A client of `ipvsadm -A -f 7 -p 60`: persistence binds it to a server.
/// let copy = "\
/// Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
/// IP  0A000005 0000 00000007 0000 0A000102 0000 ASSURED          60
/// ";
/// let rows = Connections::from_reader(copy.as_bytes()).collect::<Result<Vec<_>, _>>()?;
/// assert!(rows[0].is_template());
/// assert_eq!(rows[0].fwmark().map(|mark| mark.get()), Some(7));
/// # Ok::<(), lvs_ipvs::ConnectionsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// Protocol of its packets.
    pub protocol: ConnectionProtocol,
    /// Address and port of the client. A template has port 0, and of the address only the bits of the persistence prefix.
    pub client: SocketAddr,
    /// Address and port that the client speaks to; of the same family as [`Self::client`]. A template for a whole firewall
    /// mark has the mark here: [`Self::fwmark`].
    pub virtual_address: SocketAddr,
    /// Address and port of the real server; of the other family, if a tunnel to a server of that leads there.
    pub destination: SocketAddr,
    /// Its state.
    pub state: ConnectionState,
    /// Until the kernel forgets it if nothing happens; whole seconds, rounded down.
    pub expires: Duration,
    /// Where it comes from; only in [`ConnectionFile::Origin`](crate::ConnectionFile::Origin).
    pub origin: Option<ConnectionOrigin>,
    /// What the service's persistence engine knows the client by; only in
    /// [`ConnectionFile::PersistenceData`](crate::ConnectionFile::PersistenceData), and only if the service has an engine.
    pub persistence_data: Option<Box<PersistenceData>>,
}

impl Connection {
    /// Whether this is no connection but what persistence remembers of a client.
    ///
    /// The kernel does not say it in so many words: a template has client port 0 and a state of its own. (The data
    /// connection that an FTP server announced has client port 0 too, and is in state [`ConnectionState::Listen`].)
    ///
    /// One whose server left has port 65535 in [`Self::destination`]: it binds nobody any more, and waits for its end.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.client.port() == 0 && matches!(self.state, ConnectionState::None | ConnectionState::Assured)
    }

    /// The firewall mark that a template is for, if it is for one.
    #[must_use]
    pub fn fwmark(&self) -> Option<NonZeroU32> {
        if self.protocol != ConnectionProtocol::Ip {
            return None;
        }
        // ip_vs_sched_persist: the mark stands where an IPv4 address would.
        let mark = match self.virtual_address.ip() {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(address) => *address.octets().first_chunk()?,
        };
        NonZeroU32::new(u32::from_be_bytes(mark))
    }
}

impl fmt::Display for Connection {
    /// For people: `TCP 10.0.0.5:40000 to 10.0.0.1:80 at 10.0.1.2:8080: ESTABLISHED, expires in 899 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, client, virtual_address, destination, state, expires, .. } = self;
        write!(
            f,
            "{protocol} {client} to {virtual_address} at {destination}: {state}, expires in {} s",
            expires.as_secs()
        )
    }
}

/// Protocol of a connection, as the kernel calls it (`ip_vs_proto_name`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ConnectionProtocol {
    /// TCP, UDP or SCTP.
    Transport(Protocol),
    /// `IP`: a template for all protocols of a firewall mark.
    Ip,
    /// Any other by its number: 50 (ESP) and 51 (AH) are what the kernel serves.
    Other(u8),
}

impl ConnectionProtocol {
    pub(super) fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"TCP" => Self::Transport(Protocol::Tcp),
            b"UDP" => Self::Transport(Protocol::Udp),
            b"SCTP" => Self::Transport(Protocol::Sctp),
            b"IP" => Self::Ip,
            b"ICMP" => Self::Other(ICMP),
            b"ICMPv6" => Self::Other(ICMPV6),
            _ => {
                let digits = name.strip_prefix(b"IP_")?;
                let is_plain = digits.iter().all(u8::is_ascii_digit);
                Self::Other(std::str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()?)
            }
        })
    }
}

impl fmt::Display for ConnectionProtocol {
    /// As the kernel writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(Protocol::Tcp) => f.pad("TCP"),
            Self::Transport(Protocol::Udp) => f.pad("UDP"),
            Self::Transport(Protocol::Sctp) => f.pad("SCTP"),
            Self::Ip => f.pad("IP"),
            Self::Other(ICMP) => f.pad("ICMP"),
            Self::Other(ICMPV6) => f.pad("ICMPv6"),
            Self::Other(number) => write!(f, "IP_{number}"),
        }
    }
}

/// State of a connection (`IP_VS_TCP_S_*`, `IP_VS_UDP_S_*`, `IP_VS_SCTP_S_*`, `IP_VS_CTPL_S_*` of `net/ip_vs.h`).
///
/// Some words are those of several protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// `NONE`: no packet was seen yet; or a template that no whole connection stands behind yet.
    None,
    /// `ASSURED`: a template behind which there was a connection that both sides agreed to.
    Assured,
    /// `ESTABLISHED` of TCP and SCTP.
    Established,
    /// `SYN_SENT` of TCP.
    SynSent,
    /// `SYN_RECV` of TCP.
    SynReceived,
    /// `FIN_WAIT` of TCP.
    FinWait,
    /// `TIME_WAIT` of TCP.
    TimeWait,
    /// `CLOSE` of TCP.
    Close,
    /// `CLOSE_WAIT` of TCP.
    CloseWait,
    /// `LAST_ACK` of TCP.
    LastAck,
    /// `LISTEN` of TCP: expected, as the data connection of FTP is.
    Listen,
    /// `SYNACK` of TCP.
    SynAck,
    /// `UDP`: the one state of UDP.
    Udp,
    /// `INIT1` of SCTP.
    Init1,
    /// `INIT` of SCTP.
    Init,
    /// `C-SENT` of SCTP.
    CookieSent,
    /// `C-REPLIED` of SCTP.
    CookieReplied,
    /// `C-WAIT` of SCTP.
    CookieWait,
    /// `COOKIE` of SCTP.
    Cookie,
    /// `C-ECHOED` of SCTP.
    CookieEchoed,
    /// `S-SENT` of SCTP.
    ShutdownSent,
    /// `S-RECEIVED` of SCTP.
    ShutdownReceived,
    /// `S-ACK-SENT` of SCTP.
    ShutdownAckSent,
    /// `REJECTED` of SCTP.
    Rejected,
    /// `CLOSED` of SCTP.
    Closed,
    /// A word that is none of these; `ERR!` of AH and ESP is one.
    Unknown(UnknownState),
}

impl ConnectionState {
    /// The kernel's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if let Self::Unknown(word) = self {
            return word.as_str();
        }
        NAMES.iter().find(|(_, state)| state == self).map_or("?", |(name, _)| name)
    }

    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        let known = NAMES.iter().find(|(name, _)| name.as_bytes() == word).map(|&(_, state)| state);
        known.or_else(|| UnknownState::new(word).map(Self::Unknown))
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A state's word that this crate has no name for: 1 to 16 bytes of printable ASCII without spaces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownState {
    /// Zeros behind the word.
    word: [u8; 16],
}

impl UnknownState {
    fn new(bytes: &[u8]) -> Option<Self> {
        let mut word = [0; 16];
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (!bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic)).then_some(Self { word })
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let length = self.word.iter().position(|&byte| byte == 0).unwrap_or(self.word.len());
        self.word.get(..length).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for UnknownState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Where a connection comes from. The set is closed: `ip_vs_origin_name` knows these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionOrigin {
    /// `LOCAL`: its packets pass here.
    Local,
    /// `SYNC`: a sync daemon told of it.
    Synced,
}

impl fmt::Display for ConnectionOrigin {
    /// As the kernel writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Local => "LOCAL",
            Self::Synced => "SYNC",
        })
    }
}

/// What a persistence engine knows a client by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PersistenceData {
    /// Name of the engine: `sip`.
    pub engine: EngineName,
    /// What it keeps, up to 255 bytes (`IP_VS_PEDATA_MAXLEN`); `sip` keeps the Call-ID. The bytes are a client's, or those of
    /// another balancer's sync daemon, and can be anything but a newline and a zero.
    pub data: Box<[u8]>,
}

/// The kernel's words.
const NAMES: [(&str, ConnectionState); 25] = {
    use ConnectionState::*;
    [
        ("ESTABLISHED", Established),
        ("TIME_WAIT", TimeWait),
        ("FIN_WAIT", FinWait),
        ("UDP", Udp),
        ("SYN_RECV", SynReceived),
        ("NONE", None),
        ("ASSURED", Assured),
        ("CLOSE", Close),
        ("CLOSE_WAIT", CloseWait),
        ("SYN_SENT", SynSent),
        ("LAST_ACK", LastAck),
        ("LISTEN", Listen),
        ("SYNACK", SynAck),
        ("INIT1", Init1),
        ("INIT", Init),
        ("C-SENT", CookieSent),
        ("C-REPLIED", CookieReplied),
        ("C-WAIT", CookieWait),
        ("COOKIE", Cookie),
        ("C-ECHOED", CookieEchoed),
        ("S-SENT", ShutdownSent),
        ("S-RECEIVED", ShutdownReceived),
        ("S-ACK-SENT", ShutdownAckSent),
        ("REJECTED", Rejected),
        ("CLOSED", Closed),
    ]
};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
