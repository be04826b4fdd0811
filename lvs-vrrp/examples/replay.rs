//! Prints what a recorded router was told, and below each input what it decides.
//!
//! ```text
//! cargo run --example replay -- FILE
//! ```

use std::error::Error;
use std::io::Write as _;

use lvs_vrrp::record::replay;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: replay FILE")?;
    let replayed = replay(&std::fs::read_to_string(path)?)?;
    writeln!(std::io::stdout(), "{replayed}in the end {}", replayed.router().role())?;
    Ok(())
}
