//! lvs-ipvs while the kernel's module comes and goes. A target of its own: it takes IPVS away from everybody.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use lvs_core::{
    Change, Dataplane as _, DataplaneErrorKind, Family, Persistence, Protocol, Scope, ServiceKey,
    VirtualService,
};
use lvs_ipvs::{Cause, Client, Connections, ConnectionsError, IpvsDataplane, LoadFailure, Refusal};
use lvs_tests::{peers, poll_until, require_ipvs};

const LIMIT: Duration = Duration::from_secs(60);
const SCRIPT: &str = "/tmp/lvs-modprobe";
const LOG: &str = "/tmp/lvs-modprobe.log";
const LOADER: &str = "/proc/sys/kernel/modprobe";

/// Keeps the kernel from loading modules; lets it load them again, and gives it IPVS back, when dropped.
struct NoLoading {
    loader: String,
}

impl NoLoading {
    fn new() -> Self {
        let loader = fs::read_to_string(LOADER).expect("the kernel's module loader");
        fs::write(LOADER, "/bin/false").expect("another module loader");
        Self { loader: loader.trim().to_owned() }
    }

    /// Lets only those load modules who know their names: the kernel asks for a family.
    fn allow_only_by_name(&self) {
        let script = format!("#!/bin/sh\n[ $# = 1 ] && exec {} \"$1\"\nexit 1\n", self.loader);
        fs::write(SCRIPT, script).expect("a script");
        fs::set_permissions(SCRIPT, fs::Permissions::from_mode(0o755)).expect("an executable script");
        fs::write(LOADER, SCRIPT).expect("another module loader");
    }

    /// Lets the kernel load modules, and writes down each attempt.
    fn note_attempts(&self) {
        let script = format!("#!/bin/sh\necho \"$@\" >> {LOG}\nexec {} \"$@\"\n", self.loader);
        fs::write(SCRIPT, script).expect("a script");
        fs::set_permissions(SCRIPT, fs::Permissions::from_mode(0o755)).expect("an executable script");
        fs::write(LOG, "").expect("a log");
        fs::write(LOADER, SCRIPT).expect("another module loader");
    }

    fn allow_loading(&self) {
        fs::write(LOADER, &self.loader).expect("the module loader of before");
    }
}

impl Drop for NoLoading {
    fn drop(&mut self) {
        let restored = fs::write(LOADER, &self.loader);
        let loaded = Command::new("modprobe").arg("ip_vs").status();
        eprintln!("module loader: {restored:?}, ip_vs: {loaded:?}");
    }
}

/// Takes IPVS out of the kernel, as soon as nothing uses it any more.
fn unload() {
    poll_until(LIMIT, "ip_vs is unloaded", || {
        let script = "for m in $(lsmod | grep -o '^ip_vs_[a-z_]*'); do rmmod $m; done; rmmod ip_vs";
        let output = Command::new("sh").args(["-c", script]).output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    });
}

/// The kernel runs a program for each edit with an absent scheduler or engine, while the edit is being sent.
async fn one_attempt_for_each_absent_name(client: &mut Client, loading: &NoLoading) {
    let service = |number: u8, scheduler: &str, engine: Option<&str>| {
        let key = ServiceKey::address(Protocol::Udp, ([10, 0, 1, number], 5060).into());
        let engine = engine.map(|name| name.parse().expect("a name"));
        let service = VirtualService::new(key).with_scheduler(scheduler.parse().expect("a name"));
        service.with_persistence(Some(Persistence::new(Family::Ipv4, LIMIT))).with_persistence_engine(engine)
    };
    loading.note_attempts();
    let edits: Vec<_> = (0..200)
        .map(|number| match number % 4 {
            0 => service(number, "rr", None),
            1 => service(number, "rr", Some("foo")),
            2 => service(number, "wlc", Some("foo")),
            _ => service(number, "zzz", None),
        })
        .map(Change::AddService)
        .collect();
    let results = client.apply(&edits).await.expect("an answer");
    for (number, result) in results.iter().enumerate() {
        let refusal = result.as_ref().err().and_then(lvs_ipvs::Error::refusal);
        let (expected, module) = match number % 4 {
            0 => (None, ""),
            1 | 2 => (Some(Refusal::SchedulerOrEngineAbsent), "ip_vs_pe_foo"),
            _ => (Some(Refusal::SchedulerAbsent), "ip_vs_zzz"),
        };
        assert_eq!(refusal, expected, "edit {number}: {result:?}");
        if let Err(error) = result {
            assert!(error.to_string().contains(module), "{error}");
        }
    }
    let log = fs::read_to_string(LOG).expect("the log");
    for module in ["ip_vs_pe_foo", "ip_vs_zzz"] {
        assert_eq!(log.lines().filter(|line| line.ends_with(module)).count(), 1, "{log}");
    }
    assert_eq!(client.services().await.expect("the services").len(), 50);
    client.flush().await.expect("no services");
}

#[test]
fn a_missing_module_is_an_error_with_a_remedy_and_a_loaded_one_is_found_again() {
    require_ipvs();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().expect("an address"));
        let mut client = Client::open().expect("a netlink socket");
        client.flush().await.expect("IPVS is there");
        let loading = NoLoading::new();
        unload();

        let error = Connections::open().expect_err("IPVS is gone");
        assert!(matches!(error, ConnectionsError::NoIpvs { .. }), "{error:?}");
        assert!(error.to_string().contains("modprobe ip_vs"), "{error}");
        let error = client.info().await.expect_err("IPVS is gone");
        // The program that the kernel would have run was tried too, and is quoted.
        assert!(matches!(error.cause(), Cause::NoIpvs(LoadFailure::Failed { .. })), "{error:?}");
        assert!(error.to_string().contains("`/bin/false ip_vs` failed: exit status: 1"), "{error}");
        assert!(error.to_string().contains("run `modprobe ip_vs` as root"), "{error}");
        let error = client.destinations(&key).await.expect_err("IPVS is gone");
        assert!(matches!(error.cause(), Cause::NoIpvs(_)), "{error:?}");
        // As ipvsadm does; that one loads the module by another program than the kernel's.
        let ipvsctl = peers::built_program("ipvsctl", "ipvsctl");
        let status = Command::new(ipvsctl).arg("-R").stdin(Stdio::null()).status().expect("ipvsctl runs");
        assert_eq!(status.code(), Some(2), "nothing to restore is no success where nothing can be restored");
        let mut dataplane = IpvsDataplane::new(client);
        for scope in [Scope::Everything, Scope::Service(key)] {
            let error = dataplane.observe(scope).await.expect_err("no answer is no empty table");
            assert_eq!(error.kind(), DataplaneErrorKind::Unavailable, "{error}");
        }
        let add = vec![Change::AddService(VirtualService::new(key)), Change::RemoveService(key)];
        let kinds: Vec<_> = dataplane
            .apply(add.clone())
            .await
            .into_iter()
            .map(|result| result.map_err(|e| e.kind()))
            .collect();
        assert_eq!(kinds, [Err(DataplaneErrorKind::Unavailable); 2]);

        // The kernel loads the module by itself when it is asked for the family; its number is another one now.
        loading.allow_loading();
        assert!(dataplane.observe(Scope::Everything).await.expect("the table").is_empty());
        assert!(dataplane.apply(add).await.iter().all(Result::is_ok));

        // Where the kernel is not able to, the client loads it, unless it was told not to.
        unload();
        loading.allow_only_by_name();
        let mut quiet = Client::open().expect("a netlink socket").with_module_loading(false);
        let error = quiet.info().await.expect_err("IPVS is gone");
        assert!(matches!(error.cause(), Cause::NoIpvs(LoadFailure::Off)), "{error:?}");
        Client::open().expect("a netlink socket").info().await.expect("it was loaded");
        quiet.info().await.expect("it is there");
        loading.allow_loading();

        assert_eq!(Connections::open().expect("the file is there again").count(), 0);

        one_attempt_for_each_absent_name(dataplane.client(), &loading).await;
        loading.allow_loading();

        // Also when it goes and comes back between two calls.
        unload();
        assert!(Command::new("modprobe").arg("ip_vs").status().expect("modprobe").success());
        dataplane.client().add_service(&VirtualService::new(key)).await.expect("the service");
        dataplane.client().remove_service(&key).await.expect("the service was there");
    });
}
