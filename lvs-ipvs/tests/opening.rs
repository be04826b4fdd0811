//! What a client says when it cannot be opened. No kernel with IPVS is needed for that.

use std::fs::File;
use std::process::Command;

use lvs_core::{DataplaneError, DataplaneErrorKind};
use lvs_ipvs::{Cause, Client, ConnectionFile, Connections, ConnectionsError, Options, TransportError};

fn namespace(path: &str) -> Options {
    Options::default().with_netns(File::open(path).expect("a file").into())
}

#[test]
fn without_a_runtime_it_is_an_error_with_the_remedy() {
    let error = Client::open().expect_err("there is no runtime");
    assert!(matches!(error.cause(), Cause::Transport(TransportError::NoRuntime)), "{error:?}");
    assert!(error.to_string().contains("no tokio runtime"), "{error}");
    assert!(error.to_string().contains("enable_all"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_network_namespace_is_said_to_be_none() {
    for path in ["/dev/null", "/proc/self/ns/uts"] {
        let error = Client::open_with(&namespace(path)).expect_err("no network namespace");
        assert!(matches!(error.cause(), Cause::Transport(TransportError::NoNamespace { .. })), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("no network namespace") && text.contains("/run/netns/NAME"), "{text}");
        assert_eq!(text.matches("Invalid argument").count(), 1, "{text}");
        let error = Connections::open_with(ConnectionFile::Origin, &namespace(path)).expect_err("none");
        assert!(matches!(error, ConnectionsError::NoNamespace { .. }), "{error:?}");
    }
}

#[test]
fn without_the_capability_for_another_namespace_it_is_said_which_is_missing() {
    let this = std::env::current_exe().expect("this program");
    let mut child = Command::new("setpriv");
    child.args(["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]).arg(this);
    child.args(["--exact", "--ignored", "--nocapture", "forbidden_without_the_capability"]);
    let output = child.output().expect("setpriv of util-linux");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "run by without_the_capability_for_another_namespace_it_is_said_which_is_missing"]
async fn forbidden_without_the_capability() {
    let options = namespace("/proc/self/ns/net");
    let error = Client::open_with(&options).expect_err("a refusal");
    let cause = error.cause();
    assert!(matches!(cause, Cause::Transport(TransportError::NamespaceForbidden { .. })), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("CAP_SYS_ADMIN is missing"), "{text}");
    assert_eq!(text.matches("Operation not permitted").count(), 1, "{text}");
    assert_eq!(DataplaneError::from(error).kind(), DataplaneErrorKind::Forbidden);
    let error = Connections::open_with(ConnectionFile::Origin, &options).expect_err("a refusal");
    assert!(matches!(error, ConnectionsError::Forbidden { .. }), "{error:?}");
}
