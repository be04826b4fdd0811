//! Lists in which nothing may be twice.

use std::collections::BTreeMap;
use std::collections::btree_map::{Entry, IntoValues};
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::service::ReadDrain;
use crate::service::{RealServer, ServerKey, ServiceKey};
use crate::settings::{SyncDaemon, SyncRole};
use crate::table::ServiceTable;

/// A member of such a list.
pub(super) trait Keyed {
    /// What a list of them is called.
    const LIST: &'static str;
    /// What tells two of them apart.
    type Key: Ord;
    fn key(&self) -> Self::Key;
    /// What it is called in an error.
    fn name(key: &Self::Key) -> String;
}

impl Keyed for ServiceTable {
    const LIST: &'static str = "a list of services";
    type Key = ServiceKey;

    fn key(&self) -> ServiceKey {
        self.service().key()
    }

    fn name(key: &ServiceKey) -> String {
        format!("service {key}")
    }
}

impl Keyed for RealServer {
    const LIST: &'static str = "a list of servers";
    type Key = ServerKey;

    fn key(&self) -> ServerKey {
        Self::key(self)
    }

    fn name(key: &ServerKey) -> String {
        format!("server {key}")
    }
}

impl Keyed for ReadDrain {
    const LIST: &'static str = "a list of servers that drain";
    type Key = ServerKey;

    fn key(&self) -> ServerKey {
        self.address
    }

    fn name(key: &ServerKey) -> String {
        format!("server {key}")
    }
}

impl Keyed for SyncDaemon {
    const LIST: &'static str = "a list of sync daemons";
    type Key = SyncRole;

    fn key(&self) -> SyncRole {
        self.role()
    }

    fn name(role: &SyncRole) -> String {
        format!("a sync daemon in role {role}")
    }
}

/// The members by their keys. One that is there twice is an error at its place.
pub(super) struct Unique<T: Keyed>(BTreeMap<T::Key, T>);

impl<T: Keyed> Default for Unique<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Keyed> IntoIterator for Unique<T> {
    type Item = T;
    type IntoIter = IntoValues<T::Key, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_values()
    }
}

impl<'de, T: Keyed + Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List(PhantomData))
    }
}

struct List<T>(PhantomData<T>);

impl<'de, T: Keyed + Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Unique<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::LIST)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut members = Unique::default();
        while let Some(member) = list.next_element::<T>()? {
            match members.0.entry(member.key()) {
                Entry::Vacant(place) => {
                    place.insert(member);
                }
                Entry::Occupied(place) => {
                    return Err(A::Error::custom(format_args!("{} is there twice", T::name(place.key()))));
                }
            }
        }
        Ok(members)
    }
}
