//! FIFOs and their readers as they are run.

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
fn priorities(config: &model::Config) -> std::collections::BTreeSet<String> {
    let own = config.instances.iter().filter(|instance| instance.notify_priority_changes);
    let groups = config.groups.iter().filter(|group| group.notify_priority_changes);
    own.map(|instance| instance.name.clone())
        .chain(groups.flat_map(|group| group.members.iter().cloned()))
        .collect()
}
