//! The program: standard streams, arguments and exit status.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(ipvsctl::run(&arguments))
}
