//! Numbers with a range, which an error about them tells.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// What a number is, and its range.
pub(super) trait Quantity {
    /// With its article and unit.
    const WHAT: &'static str;
    const LEAST: u64;
    const MOST: u64;
    /// Wide enough for the range.
    type Value: TryFrom<u64>;
}

/// A number that is in the range of what it counts.
pub(super) struct Number<Q: Quantity>(pub(super) Q::Value);

impl<'de, Q: Quantity> Deserialize<'de> for Number<Q> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(Range(PhantomData))
    }
}

struct Range<Q>(PhantomData<Q>);

impl<Q: Quantity> Visitor<'_> for Range<Q> {
    type Value = Number<Q>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} to {}", Q::WHAT, Q::LEAST, Q::MOST)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let value = Q::Value::try_from(number).ok().filter(|_| (Q::LEAST..=Q::MOST).contains(&number));
        value.map(Number).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}

/// Names a quantity.
macro_rules! quantity {
    ($name:ident: $value:ty, $what:literal, $least:literal..=$most:literal) => {
        pub(super) enum $name {}

        impl Quantity for $name {
            const WHAT: &'static str = $what;
            const LEAST: u64 = $least;
            const MOST: u64 = $most;
            type Value = $value;
        }
    };
}

quantity!(WeightRange: u32, "a weight", 0..=2_147_483_647);
quantity!(Mark: u32, "a firewall mark", 1..=4_294_967_295);
quantity!(Threshold: u32, "a number of connections", 0..=4_294_967_295);
quantity!(Seconds: u32, "a timeout in seconds", 1..=2_678_400);
quantity!(DrainTime: u32, "the time to drain in seconds", 0..=4_294_967_295);
quantity!(Prefix: u8, "the length of a prefix in bits", 0..=128);
quantity!(Port: u16, "a UDP port", 1..=65_535);
quantity!(SyncId: u8, "the identifier of a sync daemon", 0..=255);
quantity!(MessageLength: u16, "the longest message of a sync daemon in bytes", 1..=65_507);
quantity!(TimeToLive: u8, "a time to live", 1..=255);
