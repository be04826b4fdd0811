//! The kernel's addresses: reads, edits and announces them for the applier.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lvs_core::{
    AddressChange, AddressError, AddressKey, Addresses, Announcement, Announcements, Installed,
    InstalledAddress,
};
use lvs_netlink::{KernelError, Protocol, Request, Socket};

use crate::announce::{Schedule, Spacing, announce};
use crate::error::{Error, in_one_line};
use crate::rtnl;
use crate::rtnl::{AddressFact, LinkFact};
use crate::socket::PacketSocket;

/// The addresses of the network namespace in which it was opened.
///
/// Edits go out in batches; each has its own result with the kernel's explanation. IPv6 addresses are added without
/// duplicate address detection, those of prefix length 128 as deprecated (never a source of new connections).
///
/// Taking an address off can take others with it: where it is the first of its subnet and the interface's
/// `promote_secondaries` is 0, the kernel removes the whole subnet. The applier sees that and puts back what is wanted.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use lvs_addr::Kernel;
/// use lvs_core::Addresses;
///
/// let mut kernel = Kernel::open()?;
/// for (key, found) in kernel.observe().await?.addresses {
///     println!("{key}{}", if found.tagged { ", ours" } else { "" });
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Kernel {
    netlink: Socket,
    packets: PacketSocket,
    schedule: Schedule,
}

impl Kernel {
    /// Opens the sockets in the calling thread's network namespace. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Io`] without `CAP_NET_RAW`. Missing `CAP_NET_ADMIN` shows only when an edit is refused.
    pub fn open() -> Result<Self, Error> {
        let netlink = Socket::open(Protocol::Route)
            .map_err(|source| Error::Netlink { operation: "open a socket for addresses", source })?;
        let packets = PacketSocket::open().map_err(|source| Error::Io {
            operation: "open a packet socket for announcements (needs CAP_NET_RAW)",
            source,
        })?;
        Ok(Self { netlink, packets, schedule: Schedule::default() })
    }

    /// Announcements on an interface leave at least this far apart (keepalived's `vrrp_garp_interval` and
    /// `vrrp_gna_interval`).
    #[must_use]
    pub fn with_spacing(mut self, spacing: Spacing) -> Self {
        self.schedule = Schedule::new(spacing);
        self
    }

    async fn links(&mut self) -> Result<Vec<LinkFact>, lvs_netlink::Error> {
        self.netlink.dump_as(&rtnl::dump_links(), |entry| LinkFact::parse(&entry)).await
    }
}

#[async_trait]
impl Addresses for Kernel {
    async fn observe(&mut self) -> Result<Installed, AddressError> {
        let links = self.links().await.map_err(|error| failed("list interfaces", &error))?;
        let addresses = self
            .netlink
            .dump_as(&rtnl::dump_addresses(None), |entry| AddressFact::parse(&entry))
            .await
            .map_err(|error| failed("list addresses", &error))?;
        let names: BTreeMap<u32, &str> = links.iter().map(|link| (link.index, link.name.as_str())).collect();
        let addresses = addresses.iter().filter_map(|fact| {
            let interface = (*names.get(&fact.index)?).to_owned();
            let key =
                AddressKey { interface, address: fact.address.address, prefix_len: fact.address.prefix_len };
            Some((key, InstalledAddress { tagged: fact.address.tagged }))
        });
        Ok(Installed {
            addresses: addresses.collect(),
            interfaces: links.iter().map(|link| link.name.clone()).collect(),
            hardware: links
                .iter()
                .filter(|link| link.up)
                .filter_map(|link| Some((link.name.clone(), link.mac?)))
                .collect(),
        })
    }

    async fn apply(&mut self, changes: Vec<AddressChange>) -> Vec<Result<(), AddressError>> {
        let indexes: BTreeMap<String, u32> = match self.links().await {
            Ok(links) => links.into_iter().map(|link| (link.name, link.index)).collect(),
            Err(error) => return changes.iter().map(|change| Err(failed(change, &error))).collect(),
        };
        let mut requests = Vec::new();
        // What needs no message has its result here already.
        let mut planned = Vec::with_capacity(changes.len());
        for change in &changes {
            planned.push(match plan(change, &indexes) {
                Plan::Send(request) => {
                    requests.push(request);
                    None
                }
                Plan::Done => Some(Ok(())),
                Plan::Refused(why) => Some(Err(AddressError::new(change.to_string(), why))),
            });
        }
        let mut answers = match self.netlink.batch(&requests).await {
            Ok(answers) => answers.into_iter(),
            Err(error) => return changes.iter().map(|change| Err(failed(change, &error))).collect(),
        };
        let results = changes.iter().zip(planned).map(|(change, planned)| {
            planned.unwrap_or_else(|| match answers.next() {
                Some(Err(error)) if !is_fulfilled(change, &error) => {
                    Err(AddressError::new(change.to_string(), error))
                }
                _ => Ok(()),
            })
        });
        results.collect()
    }

    /// First every address once, then the repetitions, at most 64 frames per millisecond, with the spacing that was asked
    /// for, and for at most 3 s.
    ///
    /// Dropping the future ends it: nothing more is announced, and what was not sent still waits.
    async fn announce(&mut self, waiting: &mut Announcements) -> Vec<AddressError> {
        let operation = |announcement: &Announcement| {
            format!("announce {} on {}", announcement.address, announcement.interface)
        };
        let links = match self.links().await {
            Ok(links) => links.into_iter().map(|link| (link.name.clone(), link)).collect(),
            Err(error) => {
                let all = std::iter::from_fn(|| waiting.remove_first());
                return all.map(|announcement| failed(&operation(&announcement), &error)).collect();
            }
        };
        let refused = announce(&self.packets, &links, &mut self.schedule, waiting).await;
        refused
            .into_iter()
            .map(|(announcement, why)| AddressError::new(operation(&announcement), why))
            .collect()
    }
}

/// What an edit needs.
enum Plan {
    Send(Request),
    Done,
    Refused(&'static str),
}

fn plan(change: &AddressChange, indexes: &BTreeMap<String, u32>) -> Plan {
    match change {
        AddressChange::Add(address) => match indexes.get(&address.key.interface) {
            // Longer ones do not fit the attribute, and the kernel would refuse them without saying why.
            _ if address.label.as_ref().is_some_and(|label| label.len() > LABEL) => {
                Plan::Refused("the label is longer than 15 bytes")
            }
            Some(&index) => Plan::Send(rtnl::add_address(address, index)),
            None => Plan::Refused("no such interface"),
        },
        AddressChange::Remove(key) => match indexes.get(&key.interface) {
            Some(&index) => Plan::Send(rtnl::remove_address(key, index)),
            None => Plan::Done,
        },
    }
}

/// Whether the refusal says that things are as wished already.
fn is_fulfilled(change: &AddressChange, error: &KernelError) -> bool {
    match change {
        AddressChange::Add(_) => error.errno() == libc::EEXIST,
        // The interface may have gone since its index was read, and the address with it.
        AddressChange::Remove(_) => {
            matches!(error.errno(), libc::EADDRNOTAVAIL | libc::ENOENT | libc::ENODEV)
        }
    }
}

fn failed(operation: &(impl ToString + ?Sized), error: &lvs_netlink::Error) -> AddressError {
    AddressError::new(operation.to_string(), in_one_line(error))
}

/// Longest label, bytes (`IFNAMSIZ` less the terminating NUL).
const LABEL: usize = 15;
