//! FIFOs and their readers as they are run.

use std::collections::BTreeSet;

use super::{Plan, PlanError, identity, unrunnable};
use crate::conf::model::{self, FifoScope};
use crate::fifos::{self, WantedFifo};
use crate::scripts::Script;

impl Plan {
    /// The FIFOs of the halves that run, and whose priorities they are told of.
    pub(super) fn add_fifos(
        &mut self,
        config: &model::Config,
        vrrp: bool,
        servers: bool,
    ) -> Result<(), PlanError> {
        let runs = |scope| match scope {
            FifoScope::All => true,
            FifoScope::Vrrp => vrrp,
            FifoScope::Lvs => servers,
        };
        for fifo in config.global.fifos.iter().filter(|fifo| runs(fifo.scope)) {
            let wanted = self.fifo(fifo, config.global.script_user.as_ref())?;
            self.fifos.push(wanted);
        }
        self.tastes.priorities = priorities(config);
        Ok(())
    }

    fn fifo(
        &mut self,
        fifo: &model::NotifyFifo,
        script_user: Option<&model::ScriptUser>,
    ) -> Result<WantedFifo, PlanError> {
        let keyword = fifo.scope.keyword();
        let refused = |reason| PlanError::new(fifo.at, keyword, reason);
        fifos::check(&fifo.path).map_err(refused)?;
        let owner = identity(fifo.owner.as_ref().or(script_user)).map_err(refused)?;
        let mut reader = None;
        if let Some((script, at)) = &fifo.reader {
            let place = format!("{keyword}_script");
            let identity = identity(script.user.as_ref().or(script_user))
                .map_err(|reason| PlanError::new(*at, &place, reason))?;
            let problem = unrunnable(&script.command);
            self.unrunnable.extend(problem.map(|problem| {
                (*at, format!("{place}: {problem}: lines will wait in the FIFO until somebody reads them"))
            }));
            reader = Some(Script { command: script.command.clone(), identity });
        }
        Ok(WantedFifo { scope: fifo.scope, path: fifo.path.clone(), owner, reader })
    }
}

/// The instances whose priorities are told: those that say so, and the members of groups that do.
fn priorities(config: &model::Config) -> BTreeSet<String> {
    let own = config.instances.iter().filter(|instance| instance.notify_priority_changes);
    let groups = config.groups.iter().filter(|group| group.notify_priority_changes);
    own.map(|instance| instance.name.clone())
        .chain(groups.flat_map(|group| group.members.iter().cloned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf;

    const CONFIG: &str = "\
global_defs {
    script_user root
    notify_fifo /nowhere/a
    vrrp_notify_fifo /nowhere/v
    vrrp_notify_fifo_script \"/bin/cat -u\"
    lvs_notify_fifo /nowhere/l
}
vrrp_sync_group G {
    group {
        A
        B
    }
    notify_priority_changes
}
vrrp_instance A {
    interface eth0
    virtual_router_id 1
    virtual_ipaddress {
        10.0.0.1
    }
}
vrrp_instance B {
    interface eth0
    virtual_router_id 2
    virtual_ipaddress {
        10.0.0.2
    }
}
vrrp_instance C {
    interface eth0
    virtual_router_id 3
    virtual_ipaddress {
        10.0.0.3
    }
}
vrrp_instance D {
    interface eth0
    virtual_router_id 4
    notify_priority_changes
    virtual_ipaddress {
        10.0.0.4
    }
}
";

    fn plan(vrrp: bool, servers: bool) -> Plan {
        let mut loaded = conf::parse("a.conf", CONFIG.as_bytes());
        let plan = Plan::of(&mut loaded, vrrp, servers);
        plan.unwrap_or_else(|| panic!("{}", conf::render(&loaded.report, conf::Style::Plain)))
    }

    #[test]
    fn each_half_has_its_fifo_and_the_common_one() {
        let paths = |vrrp, servers| -> Vec<String> {
            plan(vrrp, servers).fifos.iter().map(|fifo| fifo.path.display().to_string()).collect()
        };
        assert_eq!(paths(true, true), ["/nowhere/a", "/nowhere/v", "/nowhere/l"]);
        assert_eq!(paths(true, false), ["/nowhere/a", "/nowhere/v"]);
        assert_eq!(paths(false, true), ["/nowhere/a", "/nowhere/l"]);
    }

    #[test]
    fn owner_and_reader_are_the_script_user_and_priorities_those_of_members_too() {
        let plan = plan(true, true);
        assert!(plan.fifos.iter().all(|fifo| fifo.owner == Some((0, 0))));
        let reader = Script { command: vec!["/bin/cat".to_owned(), "-u".to_owned()], identity: Some((0, 0)) };
        assert_eq!(plan.fifos[1].reader, Some(reader));
        assert_eq!(plan.tastes.priorities, ["A", "B", "D"].map(str::to_owned).into());
    }
}
