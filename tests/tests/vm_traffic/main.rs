//! Real clients and real servers on a real kernel, balanced by what lvs-ipvs puts into it (S1, S2 and beyond).
//!
//! The networks are those of `lvs_tests::farm`; each file says which one. Tunnels (S5) and two routers (S4) have programs
//! of their own.

#![allow(clippy::panic, reason = "a broken test bed is a failed test")]

#[path = "../by_library/mod.rs"]
mod by_library;
mod edits;
mod ftp;
mod methods;
mod pair;
mod persistence;
mod schedulers;
