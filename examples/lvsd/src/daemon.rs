//! Wires the threads together, carries facts between them, and lives until a signal ends it.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use lvs_core::{Director, Health, Pool, Role};
use lvs_health::Change;
use lvs_vrrp::{ConflictEvent, EventKind, GroupConfig, Verdict};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::stat::{Mode, umask};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tracing::{debug, error, info, warn};

use crate::addresses::{self, VirtualAddresses};
use crate::cli::{self, Cli};
use crate::conf::model;
use crate::dumps::{self, Dump, Dumps};
use crate::fifos::Fifos;
use crate::health::Checks;
use crate::listeners::Listeners;
use crate::notices::Notices;
use crate::pidfile::PidFile;
use crate::plan::Plan;
use crate::recordings::{self, Directory, Recordings};
use crate::scripts::ScriptRunner;
use crate::services::WantedTable;
use crate::signals::SignalName;
use crate::trackers::{Judge, SharedJudge, Trackers};
use crate::worker::{Running, Waiting};
use crate::{conf, log, vrrp};

/// Where the pid goes if `-p` is not given.
const DEFAULT_PID_FILE: &str = "/run/lvsd.pid";

/// How long the recordings may still be written when the daemon stops.
const LAST_RECORDINGS: Duration = Duration::from_secs(5);

/// How long dumps may still be written then.
const LAST_DUMPS: Duration = Duration::from_secs(5);

/// What signals ask to be written.
const DUMPS: [(SignalName, Dump); 4] = [
    (SignalName::Data, Dump::Data),
    (SignalName::Stats, Dump::Stats),
    (SignalName::StatsClear, Dump::StatsClear),
    (SignalName::Json, Dump::Json),
];

/// Signals that keepalived acts on and this version does not. Unhandled they would end the process on the spot, and its
/// addresses would stay.
fn unsupported_signals() -> [(&'static str, i32); 2] {
    // keepalived as Debian builds it knows no signal for its threads either.
    [("SIGHUP (reload)", SignalName::Reload.number()), ("SIGRTMAX (threads)", libc::SIGRTMAX())]
}

/// Open files that are enough for all probes at once, sockets and scripts.
const DESCRIPTORS: u64 = 65_536;

/// Exit status: a failure while running.
const FAILED: u8 = 1;

/// Loads the configuration and runs it until SIGTERM or SIGINT; the exit status.
#[must_use]
pub fn run(cli: &Cli) -> u8 {
    // One that comes before there is somebody to handle it waits; `Daemon::start` lets it through.
    if let Err(error) = handled_signals().thread_block() {
        let _ = writeln!(io::stderr(), "lvsd: the signals cannot be blocked: {error}");
        return cli::CANNOT_RUN;
    }
    let mut loaded = conf::load(&cli.use_file);
    let (vrrp, servers) = cli.halves();
    let plan = Plan::of(&mut loaded, vrrp, servers);
    let stderr = io::stderr();
    let style = conf::Style::for_output(stderr.is_terminal());
    // Nobody who could be told is left if this fails; the exit status remains.
    let _ = stderr.lock().write_all(conf::render(&loaded.report, style).as_bytes());
    let (Some(plan), Some(config)) = (plan, loaded.config.take()) else { return cli::status_of(&loaded) };
    // The files' text, and what was said about it.
    drop(loaded);

    match start_and_run(cli, plan, config) {
        Ok(status) => status,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "lvsd: {failure:#}");
            cli::CANNOT_RUN
        }
    }
}

fn start_and_run(cli: &Cli, mut plan: Plan, config: model::Config) -> anyhow::Result<u8> {
    let path = cli.pid.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_PID_FILE));
    // Taken before the terminal is left, so that whoever starts a second instance hears why it does not run.
    let mut pid_file = PidFile::take(&path)?;
    let directory = cli.vrrp_record.as_deref().map(Directory::open).transpose()?;
    if directory.is_some() {
        for instance in &mut plan.routers.instances {
            instance.record = Some(recordings::ROOM);
        }
    }
    if !cli.dont_fork {
        // Before any thread exists.
        nix::unistd::daemon(false, false).context("the process cannot go to the background (try -n)")?;
    }
    // After the fork: threads do not survive it.
    let _flush = log::install(log_destination(cli), cli.log_detail > 0)?;
    pid_file.write()?;
    // As keepalived: what a script creates is for its own user only. This process says the mode of each file itself.
    umask(Mode::S_IXUSR | Mode::S_IRWXG | Mode::S_IRWXO);
    if let Some(warning) = plan.script_user_warning() {
        warn!("{warning}");
    }
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(async { Daemon::start(plan, config, directory)?.live().await });
    if let (false, Err(failure)) = (cli.log_console, &status) {
        // In the background there is nobody to read what the caller prints.
        error!("{failure:#}");
    }
    status
}

fn log_destination(cli: &Cli) -> log::Destination {
    match (cli.log_console, cli.dont_fork) {
        (true, _) => log::Destination::Console,
        (false, true) => log::Destination::SystemOrConsole,
        (false, false) => log::Destination::System,
    }
}

/// The running daemon: one thread each for VRRP, the kernel, the checks and what is tracked; this one carries facts between them.
struct Daemon {
    routers: Option<vrrp::Routers>,
    dumps: Dumps,
    recordings: Option<Recordings>,
    checks: Option<Checks>,
    director: Director,
    table: WantedTable,
    listeners: Listeners,
    release: oneshot::Sender<()>,
    addresses: Option<Running>,
    stop_trackers: oneshot::Sender<()>,
    trackers: Option<Running>,
    services: Option<Running>,
    signals: Signals,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Why the daemon ends.
enum End {
    Signal(&'static str),
    /// A thread ended although nobody had asked it to.
    Lost(&'static str),
}

impl Daemon {
    /// Opens everything and starts the threads. Fails before anything was changed.
    fn start(plan: Plan, config: model::Config, recordings: Option<Directory>) -> anyhow::Result<Self> {
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let dump_signals = dump_signals()?;
        for (name, number) in unsupported_signals() {
            let mut unsupported = signal(SignalKind::from_raw(number))?;
            tokio::spawn(async move {
                while unsupported.recv().await.is_some() {
                    warn!("{name}: this version does not do what keepalived does then; nothing was changed");
                }
            });
        }
        // Before any script is started, which would have them blocked as well. The log's thread does: this one takes them.
        handled_signals().thread_unblock().context("the signals cannot be unblocked")?;
        let director = Director::new(plan.pools);
        let used = plan
            .routers
            .instances
            .iter()
            .flat_map(|router| router.tracked_interfaces.iter().chain([&router.interface]));
        let tracked = plan.watched.interfaces.iter().map(|(_, name)| name);
        let interfaces = used.chain(tracked).cloned().collect();
        let group = |group: &GroupConfig| (group.name.clone(), group.members.clone());
        let groups: Vec<_> = plan.routers.groups.iter().map(group).collect();
        let ready = match plan.routers.instances.is_empty() {
            true => None,
            false => Some(vrrp::Ready::new(plan.routers, plan.global.scheduling)?),
        };
        let (release, stop) = oneshot::channel();
        let (links, linked) = watch::channel(plan.watched.links());
        let (stop_trackers, stopped) = oneshot::channel();
        let judge = SharedJudge::new(Judge::new(plan.tracked));
        let scripts =
            plan.watched.scripts.iter().map(|(_, script)| (script.name.clone(), script.running.clone()));
        let dumped = dumps::Source {
            config,
            vrrp: ready.as_ref().map(vrrp::Ready::handle),
            judge: judge.clone(),
            scripts: scripts.collect(),
        };
        let trackers = ready.as_ref().map(|ready| Trackers {
            watched: plan.watched,
            judge,
            vrrp: ready.handle(),
            links: linked,
            stop: stopped,
        });
        let work = ready.as_ref().map(|ready| VirtualAddresses {
            sets: plan.addresses,
            pacing: plan.global.pacing,
            vrrp: ready.handle(),
            interfaces,
            links,
            stop,
        });

        let names: Vec<String> = plan.scripts.keys().cloned().collect();
        let notices = Notices::new(names, ScriptRunner::new(plan.scripts));
        let names: Vec<String> = plan.group_scripts.keys().cloned().collect();
        let group_notices = Notices::new(names, ScriptRunner::of_groups(plan.group_scripts));
        let fifos = Fifos::start(plan.fifos, plan.tastes)?;
        let listeners = Listeners::new(notices, group_notices, fifos, groups);
        // Everything is opened before anything is changed.
        let refused =
            "the kernel refused what lvsd needs (it runs as root, or with CAP_NET_ADMIN and CAP_NET_RAW)";
        let addresses = work.map(addresses::start).transpose().context(refused)?;
        let table = WantedTable::new(plan.lvs, director.desired());
        let services = if table.is_needed() { Some(table.keep().context(refused)?) } else { None };
        let checks = if plan.checks.is_empty() { None } else { Some(Checks::start(plan.checks)?) };
        // The routers begin with the priorities and gates that it gives them.
        let trackers = trackers.map(Trackers::start).transpose()?.flatten();
        let recordings = match (&ready, recordings) {
            (Some(ready), Some(directory)) => Some(Recordings::start(directory, ready.handle())?),
            (None, _) | (_, None) => None,
        };
        let dumps = Dumps::start(dumped)?;
        for (mut signal, dump) in dump_signals {
            let requests = dumps.requests();
            tokio::spawn(async move {
                while signal.recv().await.is_some() {
                    requests.want(dump);
                }
            });
        }
        let routers = ready.map(vrrp::Ready::start).transpose()?;
        let (addresses, services) = (addresses.map(Waiting::go), services.map(Waiting::go));
        let trackers = trackers.map(Waiting::go);
        // As keepalived: servers serve until their checks say otherwise.
        for pool in director.pools().filter(|pool| pool.service_health() == Health::Up) {
            listeners.service(pool.service().key(), Health::Up);
        }
        info!("lvsd {} runs", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            routers,
            dumps,
            recordings,
            checks,
            director,
            table,
            listeners,
            release,
            addresses,
            stop_trackers,
            trackers,
            services,
            signals,
        })
    }

    /// Carries facts until the end; the exit status.
    async fn live(mut self) -> anyhow::Result<u8> {
        let end = loop {
            tokio::select! {
                // A closed channel means that the thread behind it has ended.
                event = next(&mut self.routers, |routers| routers.events.recv()) => match event {
                    Some(event) => self.handle_router(&event),
                    None => break End::Lost("vrrp"),
                },
                event = next(&mut self.checks, |checks| checks.events.recv()) => match event {
                    Some(event) => self.handle_check(&event),
                    None => break End::Lost("health"),
                },
                () = next(&mut self.addresses, Running::lost) => break End::Lost("addresses"),
                () = next(&mut self.services, Running::lost) => break End::Lost("ipvs"),
                () = next(&mut self.trackers, Running::lost) => break End::Lost("trackers"),
                // No reason to stop serving.
                () = next(&mut self.listeners.fifos, Fifos::lost) => {
                    error!("the thread fifos ended by itself: FIFOs are told nothing more");
                    self.listeners.fifos = None;
                }
                _ = self.signals.terminate.recv() => break End::Signal("SIGTERM"),
                _ = self.signals.interrupt.recv() => break End::Signal("SIGINT"),
            }
        };
        let status = match end {
            End::Signal(name) => {
                info!("{name}: stopping");
                0
            }
            End::Lost(thread) => {
                error!("the thread {thread} ended by itself; everything is released");
                FAILED
            }
        };
        if !self.stop().await && status == 0 {
            error!("not everything could be released; see above");
            return Ok(FAILED);
        }
        info!("stopped");
        Ok(status)
    }

    fn handle_router(&mut self, event: &lvs_vrrp::Event) {
        if event.missed > 0 {
            warn!("{} events of virtual routers were missed", event.missed);
            self.catch_up();
        }
        match event.kind {
            EventKind::Conflict(_) => warn!("{}: {}", event.instance, event.kind),
            // Whoever changed it has said why.
            EventKind::PriorityChanged(_) => debug!("{}: {}", event.instance, event.kind),
            _ => info!("{}: {}", event.instance, event.kind),
        }
        let is_incident = match event.kind {
            EventKind::Changed(transition) => transition.from == Role::Master,
            EventKind::Conflict(ConflictEvent::Began(_)) => true,
            _ => false,
        };
        if let (true, Some(recordings)) = (is_incident, &self.recordings) {
            recordings.want(&event.instance);
        }
        match event.kind {
            EventKind::Changed(transition) => {
                let instance = Arc::clone(&event.instance);
                self.table.set_role(&instance, transition.to);
                self.listeners.role(instance, transition.to, transition.priority.get());
            }
            EventKind::PriorityChanged(priority) => {
                self.listeners.priority(&event.instance, priority.get());
            }
            EventKind::GroupChanged(role) => self.listeners.group(&event.instance, role),
            EventKind::Conflict(ConflictEvent::Began(conflict))
                if conflict.verdict != Verdict::SameAddress =>
            {
                self.listeners.contested(&event.instance);
            }
            _ => {}
        }
    }

    /// How things stand now, for what was missed of the events that led there.
    fn catch_up(&mut self) {
        let Some(routers) = &self.routers else { return };
        let instances = routers.handle.instances().map(|instance| {
            let status = instance.status();
            (instance.name().into(), status.role, status.priority.get())
        });
        let instances: Vec<(Arc<str>, Role, u8)> = instances.collect();
        for (instance, role, _) in &instances {
            self.table.set_role(instance, *role);
        }
        self.listeners.catch_up(instances);
    }

    fn handle_check(&mut self, event: &lvs_health::Event) {
        let owners = self.checks.as_ref().map(|checks| &checks.owners);
        let Some((service, server)) = owners.and_then(|owners| owners.get(&event.id)).copied() else {
            return;
        };
        match &event.change {
            Change::Up(success) => info!("{service}: a check of server {server} passes: {}", success.seen()),
            Change::Down(failure) => warn!("{service}: a check of server {server} fails: {failure}"),
        }
        let before = self.director.pool(&service).map(Pool::service_health);
        if !self.director.set_check(&service, &server, event.id.as_u64(), event.change.health()) {
            return;
        }
        self.table.set_services(self.director.desired());
        let Some(pool) = self.director.pool(&service) else { return };
        if let Some(health) = pool.health(&server) {
            self.listeners.server(service, server, health);
        }
        if Some(pool.service_health()) != before {
            self.listeners.service(service, pool.service_health());
        }
    }

    /// Resigns, releases the addresses, runs the last scripts, removes the services; whether all of it worked.
    async fn stop(mut self) -> bool {
        if let Some(routers) = self.routers {
            let mut left = routers.stop().await;
            while let Ok(event) = left.try_recv() {
                info!("{}: {}", event.instance, event.kind);
            }
        }
        // A thread that has ended has nothing left to release.
        let _ = self.release.send(());
        self.listeners.stopped();
        self.table.stop();
        if let Some(checks) = &self.checks {
            checks.stop().await;
        }
        let released = match self.addresses {
            Some(addresses) => addresses.end().await,
            None => true,
        };
        let removed = match self.services {
            Some(services) => services.end().await,
            None => true,
        };
        // Scripts that it runs are killed.
        let _ = self.stop_trackers.send(());
        if let Some(trackers) = self.trackers {
            trackers.end().await;
        }
        let recorded = async {
            if let Some(recordings) = self.recordings {
                recordings.finish(LAST_RECORDINGS).await;
            }
        };
        tokio::join!(self.listeners.finish(), recorded, self.dumps.finish(LAST_DUMPS));
        released && removed
    }
}

/// From now on these signals do not end the process.
fn dump_signals() -> io::Result<Vec<(Signal, Dump)>> {
    let handled = |(name, dump): (SignalName, Dump)| Ok((signal(SignalKind::from_raw(name.number()))?, dump));
    DUMPS.into_iter().map(handled).collect()
}

/// What would end the process before its handlers are installed. The real-time ones are not in this type's range.
fn handled_signals() -> SigSet {
    [NixSignal::SIGTERM, NixSignal::SIGINT, NixSignal::SIGHUP, NixSignal::SIGUSR1, NixSignal::SIGUSR2]
        .into_iter()
        .collect()
}

/// Each probe that is out uses a file descriptor, and the usual soft limit of 1,024 leaves no room beside them.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(soft, hard)| setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(DESCRIPTORS)), hard));
    if let Err(error) = raised {
        warn!("the limit of open files stays as it is: {error}");
    }
}

/// What a part gives next; for ever pending where the part does not run.
async fn next<'a, T, F: Future>(part: &'a mut Option<T>, wait: impl FnOnce(&'a mut T) -> F) -> F::Output {
    match part {
        Some(part) => wait(part).await,
        None => std::future::pending().await,
    }
}
