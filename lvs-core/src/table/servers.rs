//! The real servers of a service: in one piece of memory, in the order of their keys.

use crate::service::{RealServer, ServerKey};

/// Servers by key. A table has tens of thousands of them in thousands of services, most of which have a few: a tree in
/// each takes twice the memory and time.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Servers(Vec<RealServer>);

impl Servers {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The one with the same key is replaced and returned. Linear, but at the end, where sorted input puts it.
    pub(super) fn insert(&mut self, server: RealServer) -> Option<RealServer> {
        match self.place(&server.key()) {
            Ok(place) => self.0.get_mut(place).map(|old| std::mem::replace(old, server)),
            Err(place) => {
                self.0.insert(place, server);
                None
            }
        }
    }

    pub(super) fn remove(&mut self, key: &ServerKey) -> Option<RealServer> {
        self.place(key).ok().map(|place| self.0.remove(place))
    }

    pub(super) fn get(&self, key: &ServerKey) -> Option<&RealServer> {
        self.0.get(self.place(key).ok()?)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, RealServer> {
        self.0.iter()
    }

    /// Where the server with that key is, or else would be.
    fn place(&self, key: &ServerKey) -> Result<usize, usize> {
        match self.0.last() {
            Some(last) if last.key() < *key => Err(self.0.len()),
            _ => self.0.binary_search_by_key(key, RealServer::key),
        }
    }
}

impl FromIterator<RealServer> for Servers {
    /// Of those with the same key the last. Cheapest if they are sorted, either way.
    fn from_iter<I: IntoIterator<Item = RealServer>>(servers: I) -> Self {
        let mut servers: Vec<_> = servers.into_iter().collect();
        // The kernel tells of the newest first.
        if servers.is_sorted_by(|one, other| one.key() > other.key()) {
            servers.reverse();
        } else if !servers.is_sorted_by(|one, other| one.key() < other.key()) {
            servers.reverse();
            servers.sort_by_key(RealServer::key);
            servers.dedup_by_key(|server| server.key());
        }
        Self(servers)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::service::Weight;

    fn server() -> impl Strategy<Value = RealServer> {
        (0..8_u8, 0..4_u32).prop_map(|(last, weight)| {
            RealServer::new(ServerKey::new(([10, 0, 1, last], 80).into()))
                .with_weight(Weight::new(weight).unwrap())
        })
    }

    proptest! {
        #[test]
        fn they_are_what_a_map_of_them_is(
            first in prop::collection::vec(server(), 0..12),
            edits in prop::collection::vec((prop::bool::ANY, server()), 0..12),
        ) {
            let mut servers: Servers = first.iter().copied().collect();
            let mut map: BTreeMap<_, _> = first.iter().map(|server| (server.key(), *server)).collect();
            for (is_insert, server) in edits {
                if is_insert {
                    prop_assert_eq!(servers.insert(server), map.insert(server.key(), server));
                } else {
                    prop_assert_eq!(servers.remove(&server.key()), map.remove(&server.key()));
                }
                prop_assert_eq!(servers.get(&server.key()), map.get(&server.key()));
            }
            prop_assert!(servers.iter().eq(map.values()));
        }
    }
}
