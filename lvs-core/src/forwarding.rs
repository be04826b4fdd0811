//! How packets reach a real server.

use std::fmt;
use std::num::NonZeroU16;

/// How packets reach a real server (`IP_VS_CONN_F_*` of `linux/ip_vs.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Forwarding {
    /// Network address translation: replies come back through the balancer.
    #[default]
    Masquerade,
    /// Direct routing: the frame goes to the server's MAC address, replies go straight to the client.
    DirectRoute,
    /// In a tunnel to the server, which may be on another network; replies go straight to the client.
    Tunnel(Tunnel),
    /// The balancer itself answers.
    LocalNode,
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Masquerade => f.write_str("masquerade"),
            Self::DirectRoute => f.write_str("direct route"),
            Self::Tunnel(tunnel) => write!(f, "tunnel {tunnel}"),
            Self::LocalNode => f.write_str("local node"),
        }
    }
}

/// What a packet is wrapped into on its way to a real server (`IP_VS_CONN_F_TUNNEL_TYPE_*`). [`Tunnel::Gue`] needs
/// Linux 5.2, its checksums and [`Tunnel::Gre`] Linux 5.3.
///
/// ```
/// use lvs_core::{Forwarding, Tunnel, TunnelChecksum};
///
/// let port = 6080.try_into()?;
/// let gue = Forwarding::Tunnel(Tunnel::Gue { port, checksum: TunnelChecksum::Full });
/// assert_eq!(gue.to_string(), "tunnel gue port 6080 csum");
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Tunnel {
    /// IP in IP (RFC 2003, RFC 2473).
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// The UDP port on which the server takes it.
        port: NonZeroU16,
        /// Whether and how the UDP checksum is made.
        checksum: TunnelChecksum,
    },
    /// Generic routing encapsulation (RFC 2784).
    Gre {
        /// Whether the checksum field is there.
        checksum: bool,
    },
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipip => f.write_str("ipip"),
            Self::Gue { port, checksum } => {
                write!(f, "gue port {port}")?;
                match checksum {
                    TunnelChecksum::None => Ok(()),
                    TunnelChecksum::Full => f.write_str(" csum"),
                    TunnelChecksum::Remote => f.write_str(" remcsum"),
                }
            }
            Self::Gre { checksum: false } => f.write_str("gre"),
            Self::Gre { checksum: true } => f.write_str("gre csum"),
        }
    }
}

/// The checksum of [`Tunnel::Gue`] (`IP_VS_TUNNEL_ENCAP_FLAG_*`). The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TunnelChecksum {
    /// None: zero in the UDP header.
    #[default]
    None,
    /// Of the whole UDP datagram.
    Full,
    /// Remote checksum offload: the receiver computes the inner one.
    Remote,
}
