//! What the tests need from Debian: looked for, installed when this is root, otherwise listed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::stage::run;
use crate::vm::{is_root, tool};

/// A package and how to see that it is there. A linker is not among them: without one this program would not run.
struct Package {
    name: &'static str,
    present: Presence,
    vm_only: bool,
}

enum Presence {
    /// This program is somewhere in the search path.
    Program(&'static str),
    /// dpkg says so (another package has the same program).
    Installed,
}

const PACKAGES: [Package; 15] = [
    Package { name: "iproute2", present: Presence::Program("ip"), vm_only: false },
    Package { name: "keepalived", present: Presence::Program("keepalived"), vm_only: false },
    Package { name: "nginx-light", present: Presence::Program("nginx"), vm_only: false },
    Package { name: "frr", present: Presence::Program("vtysh"), vm_only: false },
    Package { name: "tshark", present: Presence::Program("tshark"), vm_only: false },
    Package { name: "python3-scapy", present: Presence::Installed, vm_only: false },
    Package { name: "util-linux", present: Presence::Program("setpriv"), vm_only: false },
    Package { name: "ipvsadm", present: Presence::Program("ipvsadm"), vm_only: true },
    Package { name: "nftables", present: Presence::Program("nft"), vm_only: true },
    Package { name: "vsftpd", present: Presence::Program("vsftpd"), vm_only: true },
    Package { name: "curl", present: Presence::Program("curl"), vm_only: true },
    Package { name: "qemu-system-x86", present: Presence::Program("qemu-system-x86_64"), vm_only: true },
    Package { name: "busybox-static", present: Presence::Installed, vm_only: true },
    Package { name: "kmod", present: Presence::Program("depmod"), vm_only: true },
    Package { name: "xz-utils", present: Presence::Program("xz"), vm_only: true },
];

/// Makes sure that everything is there.
pub(crate) fn ensure(with_vm: bool) -> Result<()> {
    let missing = missing(with_vm);
    if missing.is_empty() {
        println!("all packages are present");
        return Ok(());
    }
    let list = missing.join(" ");
    let install = format!("apt-get install --no-install-recommends {list}");
    if tool("apt-get").is_err() {
        bail!("missing: {list}; install these (named as in Debian 12) with this system's own means");
    }
    if !is_root() {
        bail!("missing: {list}; as root: apt-get update && {install}");
    }
    println!("installing {list}");
    run(Command::new("apt-get").args(["-q", "update"]))?;
    {
        let _quiet = NoServices::new()?;
        run(Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-q", "-y", "install", "--no-install-recommends"])
            .args(&missing))?;
    }
    let left = self::missing(with_vm);
    if !left.is_empty() {
        bail!("still missing after the installation: {}", left.join(" "));
    }
    Ok(())
}

fn missing(with_vm: bool) -> Vec<&'static str> {
    let wanted = PACKAGES.iter().filter(|package| with_vm || !package.vm_only);
    let absent = wanted.filter(|package| match package.present {
        Presence::Program(program) => tool(program).is_err(),
        Presence::Installed => !is_installed(package.name),
    });
    absent.map(|package| package.name).collect()
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f=${Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout == b"install ok installed")
}

/// While it lives, an installation does not start services: the tests want nginx and keepalived as programs, not as
/// daemons of this machine.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn new() -> Result<NoServices> {
        let ours = !Path::new(POLICY).exists();
        if ours {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("write {POLICY}"))?;
            run(Command::new("chmod").args(["755", POLICY]))?;
        }
        Ok(NoServices { ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}

/// What Debian's packages ask before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
