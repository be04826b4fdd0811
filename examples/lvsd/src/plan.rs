//! Turns a checked configuration into the values that the crates take.

mod fifos;
mod trackers;
mod vrrp;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lvs_core::check::{Check, Failure, Success};
use lvs_core::claims::AddressSet;
use lvs_core::{OnFailure, Pool, RealServer, ServerKey, ServiceKey};
use lvs_health::{HttpCheck, Policy, StatusCodes, TcpCheck};
use lvs_vrrp::{GroupConfig, Priority, Setup};
use nix::unistd::{Gid, Group, Uid, User};

use crate::conf::tracking::SyncGroup;
use crate::conf::{self, Span, model};
use crate::fifos::{Tastes, WantedFifo};
use crate::scripts::{InstanceScripts, Script};
use crate::trackers::{TrackedInstance, Watched};

/// The user that runs scripts where none is named, if it exists; as keepalived.
const DEFAULT_SCRIPT_USER: &str = "keepalived_script";

/// keepalived's `User-Agent`: servers may treat it specially, in their logs for example.
const USER_AGENT: &str = "KeepAliveClient";

/// Everything that runs.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What is said once for all.
    pub(crate) global: model::Global,
    /// The virtual routers and their sync groups.
    pub(crate) routers: Setup,
    /// Their addresses, in the same order.
    pub(crate) addresses: Vec<AddressSet>,
    /// The scripts of those that have any.
    pub(crate) scripts: BTreeMap<String, InstanceScripts>,
    /// The scripts of the sync groups that have any.
    pub(crate) group_scripts: BTreeMap<String, InstanceScripts>,
    /// The FIFOs that are told of changes.
    pub(crate) fifos: Vec<WantedFifo>,
    /// What they want to hear.
    pub(crate) tastes: Tastes,
    /// What instances track.
    pub(crate) watched: Watched,
    /// The instances that track it.
    pub(crate) tracked: Vec<TrackedInstance>,
    /// The virtual services.
    pub(crate) pools: Vec<Pool>,
    /// What else holds for the table of services.
    pub(crate) lvs: model::Lvs,
    /// The checks of their servers.
    pub(crate) checks: Vec<PlannedCheck>,
    /// Programs that cannot run: what is said of them, and where.
    unrunnable: Vec<(Span, String)>,
}

/// A check, and whose it is.
pub(crate) struct PlannedCheck {
    pub(crate) service: ServiceKey,
    pub(crate) server: ServerKey,
    pub(crate) policy: Policy,
    /// The first probe comes after a random part of it.
    pub(crate) warmup: Duration,
    pub(crate) check: Arc<dyn Check>,
}

impl std::fmt::Debug for PlannedCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlannedCheck").field("service", &self.service).field("server", &self.server).finish()
    }
}

/// A value that passed the configuration's checks does not fit after all, or a user does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {reason}")]
struct PlanError {
    at: Span,
    place: String,
    reason: String,
}

impl PlanError {
    fn new(at: Span, place: impl std::fmt::Display, reason: impl std::fmt::Display) -> Self {
        Self { at, place: place.to_string(), reason: reason.to_string() }
    }
}

impl Plan {
    /// The plan for what was loaded, if it can be used at all.
    ///
    /// What does not fit, or names a user who does not exist on this machine, becomes an error in the report; a program
    /// that does not exist, a warning.
    pub(crate) fn of(loaded: &mut conf::Loaded, vrrp: bool, servers: bool) -> Option<Self> {
        match Self::new(loaded.config.as_ref()?, vrrp, servers) {
            Ok(mut plan) => {
                for (at, message) in plan.unrunnable.drain(..) {
                    loaded.warn_of_program(at, message);
                }
                Some(plan)
            }
            Err(error) => {
                loaded.refuse(error.at, error.to_string());
                None
            }
        }
    }

    /// The plan for a configuration; `vrrp` and `servers` say which half of it is to run.
    fn new(config: &model::Config, vrrp: bool, servers: bool) -> Result<Self, PlanError> {
        let mut plan = Self { global: config.global.clone(), ..Self::default() };
        plan.routers.logs_unknown_vrids = config.global.log_unknown_vrids;
        if let (Some(user), Some(at)) = (&config.global.script_user, config.global.script_user_at) {
            // keepalived refuses it, too, whether a script needs it or not.
            identity(Some(user)).map_err(|reason| PlanError::new(at, "script_user", reason))?;
        }
        plan.add_fifos(config, vrrp, servers)?;
        if vrrp {
            let mut objects = trackers::Objects::default();
            for instance in &config.instances {
                plan.add_instance(instance, config, &mut objects)?;
            }
            for script in &config.scripts {
                let problem = unrunnable(&script.script.command);
                plan.unrunnable.extend(problem.map(|problem| {
                    let place = format!("vrrp_script {}", script.name);
                    (script.at, format!("{place}: script: {problem}: the script counts as failed"))
                }));
            }
            plan.watched = objects.watched;
            for group in &config.groups {
                plan.add_group(group, &config.global)?;
            }
        }
        if servers {
            for server in &config.virtual_servers {
                plan.add_virtual_server(server)?;
            }
            plan.lvs = config.global.lvs.clone();
        }
        // As keepalived: a daemon that follows a virtual router belongs to that half, one of its own to the other.
        let synchronisation = config.global.lvs.synchronisation.clone();
        plan.lvs.synchronisation =
            synchronisation.filter(|found| if found.instance.is_some() { vrrp } else { servers });
        Ok(plan)
    }

    fn add_instance(
        &mut self,
        instance: &model::VrrpInstance,
        config: &model::Config,
        objects: &mut trackers::Objects,
    ) -> Result<(), PlanError> {
        let place = format!("vrrp_instance {}", instance.name);
        let fail = |reason: &dyn std::fmt::Display| PlanError::new(instance.at, &place, reason);
        let priority = Priority::new(instance.priority.get()).map_err(|error| fail(&error))?;
        let mut router =
            vrrp::router(instance, priority, start_delay(&config.global)).map_err(|error| fail(&error))?;
        let tracks = objects.tracks(config, instance, priority)?;
        router.tracked_interfaces.extend(tracks.interfaces);
        self.tracked.extend(tracks.instance);
        self.routers.instances.push(router);
        self.addresses.push(AddressSet {
            instance: instance.name.clone(),
            addresses: instance.addresses.clone(),
            beside: instance.excluded.clone(),
            owner: priority == Priority::OWNER,
        });
        let scripts = instance_scripts(&instance.notify, &config.global).map_err(|reason| fail(&reason))?;
        self.note_unrunnable(instance.at, &place, &instance.notify);
        if scripts.each().next().is_some() {
            self.scripts.insert(instance.name.clone(), scripts);
        }
        Ok(())
    }

    fn add_group(&mut self, group: &SyncGroup, global: &model::Global) -> Result<(), PlanError> {
        let place = format!("vrrp_sync_group {}", group.name);
        let scripts = instance_scripts(&group.notify, global)
            .map_err(|reason| PlanError::new(group.at, &place, reason))?;
        self.note_unrunnable(group.at, &place, &group.notify);
        if scripts.each().next().is_some() {
            self.group_scripts.insert(group.name.clone(), scripts);
        }
        self.routers.groups.push(GroupConfig::new(&group.name, &group.members));
        Ok(())
    }

    /// Notes the notify scripts of a block whose programs cannot run.
    fn note_unrunnable(&mut self, at: Span, place: &str, notify: &model::NotifyScripts) {
        for (keyword, script) in notify.each() {
            let problem = script.as_ref().and_then(|script| unrunnable(&script.command));
            self.unrunnable.extend(
                problem
                    .map(|problem| (at, format!("{place}: {keyword}: {problem}: the script will not run"))),
            );
        }
    }

    fn add_virtual_server(&mut self, server: &model::VirtualServer) -> Result<(), PlanError> {
        let key = server.service.key();
        let mut pool = Pool::new(server.service.clone());
        for real in &server.real_servers {
            let server_key = ServerKey::new(real.address);
            let on_failure = if real.inhibit_on_failure { OnFailure::Inhibit } else { OnFailure::Remove };
            let entry = RealServer::new(server_key).with_weight(real.weight).with_forwarding(real.forwarding);
            pool.insert(entry, on_failure);
            for check in &real.checks {
                let planned = planned_check(key, server_key, check).map_err(|reason| {
                    PlanError::new(
                        check.at,
                        format!("virtual_server {key}, real_server {server_key}"),
                        reason,
                    )
                })?;
                self.checks.push(planned);
            }
        }
        self.pools.push(pool);
        Ok(())
    }
}

/// What keeps a program from running, if its place is known and can be looked at.
fn unrunnable(command: &[String]) -> Option<String> {
    let program = command.first().filter(|program| program.starts_with('/'))?;
    match std::fs::metadata(program) {
        Ok(file) if !file.is_file() => Some(format!("{program:?} is not a file")),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => Some(format!("{program:?} is not executable")),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Some(format!("{program:?} does not exist"))
        }
        Ok(_) | Err(_) => None,
    }
}

/// How long the virtual routers wait before they do anything: as long as both delays want.
fn start_delay(global: &model::Global) -> Duration {
    // A clock that cannot be read says that the host was just booted.
    let up =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    global.startup_delay.max(global.delay_after_boot.saturating_sub(up))
}

fn planned_check(
    service: ServiceKey,
    server: ServerKey,
    check: &model::Check,
) -> Result<PlannedCheck, String> {
    let mut tcp = TcpCheck::new(check.target, check.timeout);
    if let Some(source) = check.bind_to {
        tcp = tcp.bind_to(SocketAddr::new(source, 0));
    }
    let (probes, check_): (u32, Arc<dyn Check>) = match &check.probe {
        model::Probe::Tcp => (1, Arc::new(tcp)),
        model::Probe::Http(requests) => {
            let pages: Vec<HttpCheck> = requests
                .iter()
                .map(|request| http_check(tcp.clone(), request))
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string())?;
            (u32::try_from(pages.len()).unwrap_or(u32::MAX), Arc::new(Pages(pages)))
        }
    };
    let policy = Policy::every(check.interval)
        .ok_or("delay_loop is zero")?
        .timeout(check.timeout.saturating_mul(probes))
        .retry(check.retries)
        .delay_before_retry(check.delay_before_retry);
    Ok(PlannedCheck { service, server, policy, warmup: check.warmup, check: check_ })
}

fn http_check(tcp: TcpCheck, request: &model::HttpRequest) -> Result<HttpCheck, lvs_health::ConfigError> {
    let check = HttpCheck::over(tcp, &request.path)?
        .user_agent(USER_AGENT)?
        .status(StatusCodes::from_ranges(request.status_codes.iter().cloned())?);
    match &request.host {
        Some(host) => check.host(host),
        None => Ok(check),
    }
}

/// Several pages of one server, asked one after the other; all of them have to be fine.
#[derive(Debug)]
struct Pages(Vec<HttpCheck>);

#[async_trait]
impl Check for Pages {
    async fn check(&self) -> Result<Success, Failure> {
        let mut last = Success::default();
        for page in &self.0 {
            last = page.check().await?;
        }
        Ok(last)
    }
}

fn instance_scripts(
    notify: &model::NotifyScripts,
    global: &model::Global,
) -> Result<InstanceScripts, String> {
    let script = |keyword: &str, script: &Option<model::Script>| -> Result<Option<Script>, String> {
        let Some(script) = script else { return Ok(None) };
        let user = script.user.as_ref().or(global.script_user.as_ref());
        let identity = identity(user).map_err(|reason| format!("{keyword}: {reason}"))?;
        Ok(Some(Script { command: script.command.clone(), identity }))
    };
    // Nothing takes an instance out of the configuration yet, but what is wrong with the script is wrong now.
    script("notify_deleted", &notify.deleted)?;
    Ok(InstanceScripts {
        master: script("notify_master", &notify.master)?,
        backup: script("notify_backup", &notify.backup)?,
        fault: script("notify_fault", &notify.fault)?,
        stop: script("notify_stop", &notify.stop)?,
        master_rx_lower_pri: script("notify_master_rx_lower_pri", &notify.master_rx_lower_pri)?,
        any: script("notify", &notify.any)?,
    })
}

impl Plan {
    /// What the operator should know about who runs the scripts.
    pub(crate) fn script_user_warning(&self) -> Option<String> {
        let root = Uid::effective().is_root();
        let of_groups = || root_scripts("vrrp_sync_group", &self.group_scripts, root);
        let tracked = || {
            let mut scripts = self.watched.scripts.iter().map(|(_, script)| script);
            let script = scripts.find(|script| root && script.script.identity.is_none())?;
            Some(run_as_root(&format!("vrrp_script {}", script.name)))
        };
        let reader = || {
            let reads =
                |fifo: &&WantedFifo| fifo.reader.as_ref().is_some_and(|script| script.identity.is_none());
            let fifo = self.fifos.iter().find(|fifo| root && reads(fifo))?;
            Some(run_as_root(&format!("{}_script", fifo.scope.keyword())))
        };
        root_scripts("vrrp_instance", &self.scripts, root).or_else(of_groups).or_else(tracked).or_else(reader)
    }
}

/// A warning if a script runs as root and nobody said so; `root` is whether this process does.
fn root_scripts(block: &str, instances: &BTreeMap<String, InstanceScripts>, root: bool) -> Option<String> {
    let unnamed = |scripts: &InstanceScripts| scripts.each().any(|script| script.identity.is_none());
    let (name, _) = instances.iter().find(|(_, scripts)| root && unnamed(scripts))?;
    Some(run_as_root(&format!("{block} {name}")))
}

fn run_as_root(first: &str) -> String {
    format!(
        "scripts run as root ({first} has the first one): there is no user {DEFAULT_SCRIPT_USER:?}; create it, or name \
         another one with `script_user` in `global_defs`"
    )
}

/// User and group ids of a script; nothing means this process's own.
fn identity(wanted: Option<&model::ScriptUser>) -> Result<Option<(u32, u32)>, String> {
    let Some(wanted) = wanted else {
        // Only root can become somebody else.
        let default = if Uid::effective().is_root() { user(DEFAULT_SCRIPT_USER)? } else { None };
        return Ok(default.map(|user| (user.uid.as_raw(), user.gid.as_raw())));
    };
    let found = user(&wanted.user)?
        .ok_or_else(|| format!("there is no user {:?}; create it, or name another one", wanted.user))?;
    let group = match &wanted.group {
        Some(name) => group(name)?,
        None => found.gid,
    };
    Ok(Some((found.uid.as_raw(), group.as_raw())))
}

fn user(name: &str) -> Result<Option<User>, String> {
    User::from_name(name).map_err(|error| format!("user {name:?} cannot be looked up: {error}"))
}

fn group(name: &str) -> Result<Gid, String> {
    Group::from_name(name)
        .map_err(|error| format!("group {name:?} cannot be looked up: {error}"))?
        .map(|group| group.gid)
        .ok_or_else(|| format!("there is no group {name:?}; create it, or name another one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instances(identity: Option<(u32, u32)>) -> BTreeMap<String, InstanceScripts> {
        let script = Script { command: vec!["/bin/true".to_owned()], identity };
        let with_script = InstanceScripts { stop: Some(script), ..InstanceScripts::default() };
        BTreeMap::from([
            ("VI_1".to_owned(), InstanceScripts::default()),
            ("VI_2".to_owned(), with_script.clone()),
            ("VI_3".to_owned(), with_script),
        ])
    }

    #[test]
    fn scripts_that_run_as_root_unasked_are_one_warning_that_names_the_remedy() {
        let warning = root_scripts("vrrp_instance", &instances(None), true).unwrap();
        assert!(warning.contains("VI_2") && warning.contains("`script_user`"), "{warning}");
    }

    #[test]
    fn scripts_with_a_user_or_of_an_unprivileged_process_are_no_warning() {
        assert_eq!(root_scripts("vrrp_instance", &instances(Some((0, 0))), true), None);
        assert_eq!(root_scripts("vrrp_instance", &instances(None), false), None);
        assert_eq!(
            root_scripts(
                "vrrp_instance",
                &BTreeMap::from([("VI_1".to_owned(), InstanceScripts::default())]),
                true
            ),
            None
        );
    }
}
