//! The systemd unit: its commands are ones that ipvsctl takes, and systemd itself has nothing to say against it.

use std::path::{Path, PathBuf};
use std::process::Command;

use ipvsctl::names::Numeric;
use ipvsctl::own::{self, OwnCommand, Place};
use ipvsctl::{Command as IpvsadmCommand, cli};

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("units/ipvsctl.service")
}

#[test]
fn the_unit_restores_the_file_that_save_writes() {
    let text = std::fs::read_to_string(unit()).unwrap();
    let command = |key: &str| {
        let command = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        command.strip_prefix("/usr/sbin/ipvsctl ").unwrap().split(' ').collect::<Vec<_>>()
    };
    let Ok(Some(OwnCommand::Save(save))) = own::parse(&["save"], &Numeric) else { panic!("save") };
    for key in ["ExecStart=", "ExecReload="] {
        let Ok(Some(OwnCommand::Restore(restore))) = own::parse(&command(key), &Numeric) else {
            panic!("{key}")
        };
        assert_eq!(restore.file, save.file);
        // A file that somebody emptied is no reason to empty the table.
        assert!(!restore.allow_empty);
        let Place::File(file) = restore.file else { panic!("a file") };
        assert!(text.contains(&format!("\nConditionPathExists={}\n", file.display())));
    }
    assert_eq!(cli::parse(command("ExecStop="), &Numeric), Ok(IpvsadmCommand::Clear));
}

#[test]
fn systemd_takes_the_unit() {
    // Where there is no systemd nobody uses the unit.
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let copy = directory.join("ipvsctl.service");
    // systemd wants the programs to be there.
    let text =
        std::fs::read_to_string(unit()).unwrap().replace("/usr/sbin/ipvsctl", env!("CARGO_BIN_EXE_ipvsctl"));
    std::fs::write(&copy, text).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg(&copy).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = said.lines().filter(|line| line.contains("ipvsctl")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}
