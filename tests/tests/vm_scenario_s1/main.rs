//! Scenario S1: a NAT balancer made by hand, through lvs-ipvs and through ipvsctl. Its schedulers (S1.6) are in
//! `vm_traffic/schedulers.rs`, all verbs (S1.5) in `vm_ipvsctl`.
//!
//! ```text
//!  console            balancer                      web1 192.168.2.13
//!  192.168.1.11 ───── eth0 192.168.1.12
//!                     eth1 192.168.2.12 ───── ┤
//!                                                   web2 192.168.2.14
//! ```

#![allow(clippy::panic, reason = "a broken test bed is a failed test")]

mod by_command;
mod by_library;
mod network;
