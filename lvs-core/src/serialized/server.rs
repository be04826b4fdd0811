//! The shape of a real server, and of a tunnel to it.

use std::num::NonZeroU16;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::number::{Number, Port, Threshold};
use crate::forwarding::{Forwarding, Tunnel, TunnelChecksum};
use crate::service::{RealServer, ServerKey, Weight};

#[derive(Serialize)]
struct WrittenServer {
    address: ServerKey,
    weight: Weight,
    forwarding: Method,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<Tunnel>,
    #[serde(skip_serializing_if = "is_zero")]
    upper_threshold: u32,
    #[serde(skip_serializing_if = "is_zero")]
    lower_threshold: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a server: an object with the field `address`")]
struct ReadServer {
    address: ServerKey,
    #[serde(default)]
    weight: Weight,
    #[serde(default)]
    forwarding: Method,
    tunnel: Option<Tunnel>,
    upper_threshold: Option<Number<Threshold>>,
    lower_threshold: Option<Number<Threshold>>,
}

/// [`Forwarding`] by its name alone.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Method {
    #[default]
    Masquerade,
    DirectRoute,
    Tunnel,
    LocalNode,
}

impl Serialize for RealServer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (forwarding, tunnel) = match self.forwarding() {
            Forwarding::Masquerade => (Method::Masquerade, None),
            Forwarding::DirectRoute => (Method::DirectRoute, None),
            Forwarding::Tunnel(tunnel) => (Method::Tunnel, Some(tunnel)),
            Forwarding::LocalNode => (Method::LocalNode, None),
        };
        let written = WrittenServer {
            address: self.key(),
            weight: self.weight(),
            forwarding,
            tunnel,
            upper_threshold: self.upper_threshold(),
            lower_threshold: self.lower_threshold(),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RealServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = ReadServer::deserialize(deserializer)?;
        let forwarding = match (read.forwarding, read.tunnel) {
            (Method::Tunnel, tunnel) => Forwarding::Tunnel(tunnel.unwrap_or_default()),
            (_, Some(_)) => return Err(D::Error::custom("`tunnel` belongs to forwarding `tunnel`")),
            (Method::Masquerade, None) => Forwarding::Masquerade,
            (Method::DirectRoute, None) => Forwarding::DirectRoute,
            (Method::LocalNode, None) => Forwarding::LocalNode,
        };
        let connections = |threshold: Option<Number<Threshold>>| threshold.map_or(0, |Number(number)| number);
        let (upper, lower) = (connections(read.upper_threshold), connections(read.lower_threshold));
        if lower > upper {
            return Err(D::Error::custom(format_args!(
                "`lower_threshold` {lower} is above `upper_threshold` {upper}"
            )));
        }
        let server = Self::new(read.address).with_weight(read.weight).with_forwarding(forwarding);
        Ok(server.with_thresholds(upper, lower))
    }
}

#[derive(Serialize)]
struct WrittenTunnel {
    r#type: TunnelType,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<NonZeroU16>,
    #[serde(skip_serializing_if = "is_none")]
    checksum: TunnelChecksum,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a tunnel: an object with the field `type`")]
struct ReadTunnel {
    r#type: TunnelType,
    port: Option<Number<Port>>,
    #[serde(default)]
    checksum: TunnelChecksum,
}

/// [`Tunnel`] by its name alone.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TunnelType {
    Ipip,
    Gue,
    Gre,
}

impl Serialize for Tunnel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (r#type, port, checksum) = match *self {
            Self::Ipip => (TunnelType::Ipip, None, TunnelChecksum::None),
            Self::Gue { port, checksum } => (TunnelType::Gue, Some(port), checksum),
            Self::Gre { checksum: true } => (TunnelType::Gre, None, TunnelChecksum::Full),
            Self::Gre { checksum: false } => (TunnelType::Gre, None, TunnelChecksum::None),
        };
        WrittenTunnel { r#type, port, checksum }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tunnel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ReadTunnel { r#type, port, checksum } = ReadTunnel::deserialize(deserializer)?;
        let port = port.and_then(|Number(port)| NonZeroU16::new(port));
        let wrong = match (r#type, port, checksum) {
            (TunnelType::Ipip, None, TunnelChecksum::None) => return Ok(Self::Ipip),
            (TunnelType::Ipip, None, _) => "a tunnel of type `ipip` has no checksum",
            (TunnelType::Gue, Some(port), checksum) => return Ok(Self::Gue { port, checksum }),
            (TunnelType::Gue, None, _) => "a tunnel of type `gue` needs a `port`",
            (TunnelType::Gre, None, TunnelChecksum::None) => return Ok(Self::Gre { checksum: false }),
            (TunnelType::Gre, None, TunnelChecksum::Full) => return Ok(Self::Gre { checksum: true }),
            (TunnelType::Gre, None, TunnelChecksum::Remote) => {
                "a tunnel of type `gre` has checksum `none` or `full`"
            }
            (TunnelType::Ipip | TunnelType::Gre, Some(_), _) => "only a tunnel of type `gue` has a `port`",
        };
        Err(D::Error::custom(wrong))
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_none(checksum: &TunnelChecksum) -> bool {
    *checksum == TunnelChecksum::None
}
