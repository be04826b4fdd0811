//! Sees adverts with the kernel's own time stamps.

use std::io;
use std::io::IoSliceMut;
use std::os::fd::AsRawFd;
use std::time::Duration;

use lvs_tests::Host;
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

/// A socket that receives every IPv4 packet of a host.
pub(crate) struct Tap {
    socket: Socket,
    buffer: Vec<u8>,
    control: Vec<u8>,
}

/// An advert on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    /// When it passed the interface, on the wall clock.
    pub(crate) at: Duration,
    /// Index of the interface.
    pub(crate) interface: usize,
    /// This host sent it.
    pub(crate) outgoing: bool,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
}

impl Tap {
    /// Opens it; from now on nothing is missed. What this host sends is seen too if `both_ways`.
    pub(crate) fn open(host: &Host, both_ways: bool) -> io::Result<Self> {
        let ethertype = if both_ways { ETH_P_ALL } else { ETH_P_IP };
        let socket = host.run(|| {
            Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ethertype.to_be()))))
        })?;
        // As much as net.core.rmem_max allows.
        socket.set_recv_buffer_size(8 << 20)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(Self { socket, buffer: vec![0; 2048], control: nix::cmsg_space!(TimeSpec) })
    }

    /// The next advert; `None` if nothing came for 50 ms, or something else.
    pub(crate) fn next(&mut self) -> Option<Sighting> {
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        let message = recvmsg::<LinkAddr>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut self.control),
            MsgFlags::empty(),
        )
        .ok()?;
        let at = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
            _ => None,
        })?;
        let link = message.address?;
        let (interface, outgoing) = (link.ifindex(), link.pkttype() == PACKET_OUTGOING);
        let length = message.bytes;
        let packet = self.buffer.get(14..length)?;
        let header = usize::from(packet.first()? & 0x0f) * 4;
        let (is_vrrp, body) = (packet.get(9) == Some(&112), packet.get(header..)?);
        let (&vrid, &priority) = (body.get(1)?, body.get(2)?);
        is_vrrp.then_some(Sighting { at, interface, outgoing, vrid, priority })
    }
}

/// linux/if_ether.h
const ETH_P_ALL: u16 = 0x0003;
const ETH_P_IP: u16 = 0x0800;
/// linux/if_packet.h
const PACKET_OUTGOING: u8 = 4;
