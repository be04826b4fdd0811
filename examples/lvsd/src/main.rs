//! Being written.
#![allow(dead_code)]
mod log;
mod notices;
mod pidfile;
mod scripts;
fn main() {}
