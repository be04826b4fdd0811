//! Values that are one word: protocols, families, roles, names, addresses.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::forwarding::TunnelChecksum;
use crate::names::{EngineName, SchedulerName};
use crate::service::{Family, Protocol, ServerKey, Weight};
use crate::settings::SyncRole;

use super::number::{Number, WeightRange};

/// Gives an enum of plain variants its words, by a copy of it that the compiler compares with it.
macro_rules! words {
    ($name:ident as $copy:literal { $($variant:ident),+ }) => {
        const _: () = {
            #[derive(Serialize, Deserialize)]
            #[serde(remote = $copy, rename_all = "lowercase")]
            enum Words { $($variant),+ }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    Words::serialize(self, serializer)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    Words::deserialize(deserializer)
                }
            }
        };
    };
}

words!(Protocol as "Protocol" { Tcp, Udp, Sctp });
words!(Family as "Family" { Ipv4, Ipv6 });
words!(SyncRole as "SyncRole" { Master, Backup });
words!(TunnelChecksum as "TunnelChecksum" { None, Full, Remote });

/// Gives a type that is written as text and read by [`FromStr`] that shape.
macro_rules! text {
    ($($name:ty: $what:literal),+ $(,)?) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(deserializer, $what)
            }
        }
    )+};
}

text!(
    SchedulerName: "the name of a scheduler, 1 to 15 printable ASCII characters without spaces",
    EngineName: "the name of a persistence engine, 1 to 15 printable ASCII characters without spaces",
);

/// Reads a text by [`FromStr`]; `what` says what it should be.
pub(super) fn parsed<'de, T: FromStr, D: Deserializer<'de>>(
    deserializer: D,
    what: &'static str,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Parse(what, PhantomData))
}

struct Parse<T>(&'static str, PhantomData<T>);

impl<T: FromStr> Visitor<'_> for Parse<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl Serialize for ServerKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ServerKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let what = "an address with its port, such as 192.0.2.10:80 or [2001:db8::1]:80";
        parsed(deserializer, what).map(|Plain(address)| Self::new(address))
    }
}

/// An address and port that say nothing beyond (an IPv6 address may have a zone, which no packet carries).
struct Plain(SocketAddr);

impl FromStr for Plain {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let address: SocketAddr = text.parse().map_err(|_| ())?;
        (ServerKey::new(address).address() == address).then_some(Self(address)).ok_or(())
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.value())
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Number(weight) = Number::<WeightRange>::deserialize(deserializer)?;
        Self::new(weight).ok_or_else(|| D::Error::custom("the weight is out of range"))
    }
}
