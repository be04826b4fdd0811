//! What of the configuration is tracked: each object once, and whose priority it moves.

use std::collections::BTreeMap;

use lvs_vrrp::{Priority, Tracked, TrackedKind, Tracker};

use super::{PlanError, identity};
use crate::conf::model;
use crate::conf::tracking::{self, Track};
use crate::scripts::Script;
use crate::trackers::{
    Object, Pattern, Running, TrackedInstance, Watched, WatchedFile, WatchedProcess, WatchedScript,
};

/// What an instance tracks.
pub(super) struct Tracks {
    /// Interfaces whose loss is a fault; the driver watches them.
    pub(super) interfaces: Vec<String>,
    /// The rest, if there is any.
    pub(super) instance: Option<TrackedInstance>,
}

/// The objects so far.
#[derive(Default)]
pub(super) struct Objects {
    known: BTreeMap<(TrackedKind, String), Object>,
    pub(super) watched: Watched,
}

impl Objects {
    /// What an instance tracks by itself and as a member of its group.
    pub(super) fn tracks(
        &mut self,
        config: &model::Config,
        instance: &model::VrrpInstance,
        priority: Priority,
    ) -> Result<Tracks, PlanError> {
        let group = config.groups.iter().find(|group| group.members.contains(&instance.name));
        let of_group = group.map_or(&[][..], |group| &group.track);
        let mut tracks = Tracks { interfaces: Vec::new(), instance: None };
        let (mut tracked, mut objects) = (Vec::new(), Vec::new());
        for track in instance.track.iter().chain(of_group) {
            if track.kind == TrackedKind::Interface && track.is_fault_only() && !track.reverse {
                tracks.interfaces.push(track.name.clone());
                continue;
            }
            let object = Tracked::new(track.kind, &track.name, track.weight, track.reverse);
            tracked.push(object.ok_or_else(|| {
                PlanError::new(
                    instance.at,
                    &instance.name,
                    format!("weight {} is out of range", track.weight),
                )
            })?);
            objects.push(self.object(config, track)?);
        }
        if !tracked.is_empty() {
            let tracker = Tracker::new(priority, tracked);
            tracks.instance = Some(TrackedInstance { name: instance.name.clone(), tracker, objects });
        }
        Ok(tracks)
    }

    /// The object that an entry names; watched from now on.
    fn object(&mut self, config: &model::Config, track: &Track) -> Result<Object, PlanError> {
        let key = (track.kind, track.name.clone());
        if let Some(object) = self.known.get(&key) {
            return Ok(*object);
        }
        let object = Object(self.known.len());
        self.known.insert(key, object);
        let name = &*track.name;
        match track.kind {
            TrackedKind::Interface => self.watched.interfaces.push((object, name.to_owned())),
            TrackedKind::Script => {
                if let Some(script) = config.scripts.iter().find(|script| script.name == name) {
                    self.watched.scripts.push((object, watched_script(script, &config.global)?));
                }
            }
            TrackedKind::Process => {
                let process = config.processes.iter().find(|process| process.name == name);
                self.watched.processes.extend(process.map(|process| (object, watched_process(process))));
            }
            TrackedKind::File => {
                let file = config.files.iter().find(|file| file.name == name);
                self.watched.files.extend(file.map(|file| (object, watched_file(file))));
            }
            // The configuration has no other kinds.
            _ => {}
        }
        Ok(object)
    }
}

fn watched_script(
    script: &tracking::TrackScript,
    global: &model::Global,
) -> Result<WatchedScript, PlanError> {
    let user = script.script.user.as_ref().or(global.script_user.as_ref());
    let place = format!("vrrp_script {}", script.name);
    let identity = identity(user).map_err(|reason| PlanError::new(script.at, place, reason))?;
    Ok(WatchedScript {
        name: script.name.clone(),
        script: Script { command: script.script.command.clone(), identity },
        interval: script.interval,
        timeout: script.timeout,
        rise: script.rise,
        fall: script.fall,
        init_fail: script.init_fail,
        running: Running::default(),
    })
}

fn watched_process(process: &tracking::TrackProcess) -> WatchedProcess {
    WatchedProcess {
        name: process.name.clone(),
        pattern: Pattern::new(process.command.clone(), process.arguments, process.full_command),
        quorum: process.quorum.clone(),
        fork_delay: process.fork_delay,
        terminate_delay: process.terminate_delay,
    }
}

fn watched_file(file: &tracking::TrackFile) -> WatchedFile {
    WatchedFile {
        name: file.name.clone(),
        path: file.path.clone(),
        init: file.init.map(|init| (init.value, init.overwrite)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf;

    #[test]
    fn objects_are_watched_once_and_move_all_whose_group_tracks_them() {
        let text = "vrrp_script s {\n script /s\n weight 10\n}\ntrack_file f {\n file /f\n}\n\
                    vrrp_sync_group G {\n group {\n V1\n V2\n }\n track_script {\n s\n }\n track_interface {\n \
                    eth1\n eth2 weight 0 reverse\n }\n}\n\
                    vrrp_instance V1 {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.1\n }\n \
                    track_file {\n f weight 0\n }\n}\n\
                    vrrp_instance V2 {\n interface eth0\n virtual_router_id 2\n virtual_ipaddress {\n 10.0.0.2\n }\n}\n";
        let loaded = conf::parse("a.conf", text.as_bytes());
        let config = loaded.config.unwrap();
        let mut objects = Objects::default();
        let mut of = |place: usize| {
            let tracks = objects.tracks(&config, &config.instances[place], Priority::DEFAULT).unwrap();
            let instance = tracks.instance.unwrap();
            let names: Vec<String> = instance.tracker.objects().map(ToString::to_string).collect();
            (tracks.interfaces, names, instance.objects)
        };
        let (file, script, interface) = (Object(0), Object(1), Object(2));
        let eth1 = vec!["eth1".to_owned()];
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let first =
            (eth1.clone(), names(&["file f", "script s", "interface eth2"]), vec![file, script, interface]);
        assert_eq!(of(0), first);
        assert_eq!(of(1), (eth1, names(&["script s", "interface eth2"]), vec![script, interface]));
        let watched = objects.watched;
        let counts =
            (watched.scripts.len(), watched.files.len(), watched.interfaces.len(), watched.processes.len());
        assert_eq!(counts, (1, 1, 1, 0));
    }
}
