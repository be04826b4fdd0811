//! Notify FIFOs: what becomes of their words, and what is said about wrong ones.

use super::super::model::{FifoScope, Script, ScriptUser};
use super::*;

fn global(lines: &str) -> String {
    format!("global_defs {{\n{lines}\n}}\n") + &instance("")
}

#[test]
fn fifos_are_read_with_their_owners_and_readers() {
    let text = global(
        " lvs_notify_fifo_script \"/bin/r x\" daemon\n lvs_notify_fifo /run/l\n notify_fifo /run/a nobody nogroup\n \
         vrrp_notify_fifo \"/run/v v\" ",
    );
    let loaded = read(&text);
    assert_eq!(shown(&loaded), "");
    let fifos = loaded.config.unwrap().global.fifos;
    let scopes: Vec<_> = fifos.iter().map(|fifo| (fifo.scope, fifo.path.to_str().unwrap())).collect();
    let expected = [(FifoScope::All, "/run/a"), (FifoScope::Vrrp, "/run/v v"), (FifoScope::Lvs, "/run/l")];
    assert_eq!(scopes, expected);
    let user =
        |user: &str, group: Option<&str>| ScriptUser { user: user.into(), group: group.map(Into::into) };
    assert_eq!(fifos[0].owner, Some(user("nobody", Some("nogroup"))));
    assert_eq!((&fifos[1].owner, fifos[1].reader.is_some()), (&None, false));
    let reader = Script { command: vec!["/bin/r".into(), "x".into()], user: Some(user("daemon", None)) };
    assert_eq!(fifos[2].reader.as_ref().map(|(script, _)| script), Some(&reader));
}

#[test]
fn priorities_are_told_of_whoever_says_so_itself_or_by_its_default() {
    for (default, own, told) in [
        ("", "", false),
        ("", "notify_priority_changes", true),
        ("vrrp_notify_priority_changes", "", true),
        ("vrrp_notify_priority_changes on", "notify_priority_changes off", false),
        ("vrrp_notify_priority_changes off", "", false),
    ] {
        let text = format!("global_defs {{\n{default}\n}}\n") + &instance(own);
        let loaded = read(&text);
        assert_eq!(shown(&loaded), "");
        let config = loaded.config.unwrap();
        assert_eq!(config.instances[0].notify_priority_changes, told, "{default}, {own}");
    }
    let group = "vrrp_sync_group G {\n group {\n V\n V2\n }\n notify_priority_changes\n}\n";
    let second = instance("").replace("V {", "V2 {").replace("id 1", "id 2").replace("0.1", "0.2");
    let loaded = read(&(group.to_owned() + &instance("") + &second));
    assert_eq!(shown(&loaded), "");
    assert!(loaded.config.unwrap().groups[0].notify_priority_changes);
}

#[test]
fn same_fifo_twice_and_a_reader_without_one_are_shown() {
    let text = global(" notify_fifo /run/a\n vrrp_notify_fifo /run/a");
    assert_eq!(complaints(&text), ["duplicate 3:19"]);
    let text = global(" vrrp_notify_fifo_script /bin/r");
    assert_eq!(complaints(&text), ["unused 2:2"]);
    let shown = shown(&read(&text));
    let message = "warning[unused]: `vrrp_notify_fifo_script` has no FIFO to read: it is not run";
    assert!(shown.starts_with(message), "{shown}");
    assert!(
        shown.contains("= help: add a line such as `vrrp_notify_fifo /run/keepalived/notify`"),
        "{shown}"
    );
    // One whose FIFO is refused is no further trouble.
    assert_eq!(complaints(&global(" notify_fifo f\n notify_fifo_script /bin/r")), ["bad-value 2:14"]);
    for path in ["/", "/run/..", "\"\""] {
        assert_eq!(complaints(&global(&format!(" notify_fifo {path}"))), ["bad-value 2:14"], "{path}");
    }
}

#[test]
fn states_after_a_reload_are_no_effect_while_there_is_no_reload() {
    assert_eq!(complaints(&global(" fifo_write_vrrp_states_on_reload")), ["no-effect 2:2"]);
}
