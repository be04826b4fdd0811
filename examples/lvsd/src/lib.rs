//! The parts of `lvsd` that other programs and tests use, too.

#![forbid(unsafe_code)]

pub mod cli;
pub mod conf;
