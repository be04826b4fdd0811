//! Keywords of keepalived.conf on the wire: `lvsd` between hosts, with Debian's keepalived where two are needed.
//!
//! Whole elections against keepalived and FRR are in `vrrp_interop`; here each test is about what one keyword changes.

mod announcements;
mod field;
mod ipv6;
mod lan;
mod reachable;
mod routers;
mod twins;
