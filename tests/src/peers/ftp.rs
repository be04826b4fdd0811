//! vsftpd, which hands out files to everybody, and curl, which fetches them.

use std::fs;
use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use crate::host::Host;
use crate::peers::unique;
use crate::poll::poll_until;
use crate::process::Process;

/// Starts vsftpd on port 21 of all addresses of `host`, with one file in its root: `name`, which says `name`. Its active
/// data connections come from port 20. Needs root, and Debian's user `ftp`.
#[track_caller]
pub fn vsftpd(host: &Host, name: &str) -> Process {
    let directory = unique("vsftpd");
    let home = host.directory().join(&directory);
    for part in ["root", "empty"] {
        let path = home.join(part);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("create {}: {error}", path.display()));
    }
    host.write_file(&format!("{directory}/root/name"), &format!("{name}\n"));
    let config = VSFTPD_CONFIG.replace("HOME", &home.to_string_lossy());
    let file = host.write_file(&format!("{directory}/conf"), &config);
    let server = host.spawn(host.command("vsftpd").arg(file));
    poll_until(Duration::from_secs(30), &format!("vsftpd on {} greets", host.name()), || {
        let greeting = host.run(|| {
            let mut stream = TcpStream::connect("127.0.0.1:21")?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting)?;
            Ok::<_, io::Error>(greeting)
        });
        match greeting {
            Ok(greeting) if greeting == *b"220 " => Ok(()),
            other => Err(format!("{other:?}; its log:\n{}", server.log())),
        }
    });
    server
}

/// Runs curl with these arguments; returns what it fetched, or why it failed with all that was said.
pub fn curl(host: &Host, arguments: &str) -> Result<String, String> {
    let mut command = host.command("curl");
    // An IPv6 address stands in brackets, which are no pattern.
    command.args(["--silent", "--show-error", "--verbose", "--globoff", "--max-time", "30"]);
    host.output(command.args(arguments.split_whitespace()))
}

/// No sandbox of its own: the test host is one.
const VSFTPD_CONFIG: &str = "
background=NO
listen=NO
listen_ipv6=YES
anonymous_enable=YES
no_anon_password=YES
local_enable=NO
anon_root=HOME/root
secure_chroot_dir=HOME/empty
connect_from_port_20=YES
pasv_enable=YES
xferlog_enable=NO
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
";
