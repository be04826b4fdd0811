//! State and counters of the virtual routers in JSON, by keepalived's names, and what it has no names for under `lvsd`.

use std::borrow::Cow;
use std::time::Duration;

use lvs_core::VirtualAddress;
use lvs_vrrp::{Fact, Stats, Status, TrackedKind};
use serde::{Serialize, Serializer};

use super::data::arguments_match;
use super::picture::{InstancePicture, Picture, command, role_number};
use super::stats::Counts;
use crate::conf::model::{Authentication, JsonVersion, Script};
use crate::conf::tracking::{Track, TrackProcess};

/// The text of the file.
pub(super) fn text(picture: &Picture<'_>, version: JsonVersion) -> serde_json::Result<Vec<u8>> {
    let instances =
        picture.instances.iter().map(|instance| Instance::of(picture, instance, version)).collect();
    let mut text = match version {
        JsonVersion::Array => serde_json::to_vec::<Vec<Instance<'_>>>(&instances),
        JsonVersion::Object => serde_json::to_vec(&Object { vrrp: instances }),
    }?;
    text.push(b'\n');
    Ok(text)
}

/// Version 2.
#[derive(Serialize)]
struct Object<'a> {
    vrrp: Vec<Instance<'a>>,
}

#[derive(Serialize)]
struct Instance<'a> {
    data: Data<'a>,
    stats: Statistics,
    lvsd: More<'a>,
}

/// keepalived's names and types: numbers stand for some of what could be true or false.
#[derive(Serialize)]
struct Data<'a> {
    iname: &'a str,
    dont_track_primary: u8,
    skip_check_adv_addr: u8,
    strict_mode: u8,
    vmac_ifname: &'a str,
    ifp_ifname: &'a str,
    master_priority: u8,
    last_transition: f64,
    garp_delay: Seconds,
    garp_refresh: u64,
    garp_rep: u8,
    garp_refresh_rep: u8,
    garp_lower_prio_delay: u64,
    garp_lower_prio_rep: u8,
    lower_prio_no_advert: u8,
    higher_prio_send_advert: u8,
    vrid: u8,
    base_priority: u8,
    effective_priority: u8,
    vipset: bool,
    promote_secondaries: bool,
    adver_int: Seconds,
    master_adver_int: Seconds,
    accept: u8,
    nopreempt: bool,
    preempt_delay: u64,
    state: u8,
    wantstate: u8,
    version: u8,
    smtp_alert: bool,
    notify_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_backup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_master: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script_master_rx_lower_pri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_ifp: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_script: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track_process: Vec<Process<'a>>,
    auth_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<&'a str>,
}

/// keepalived's counters.
#[derive(Serialize)]
struct Statistics {
    advert_rcvd: u64,
    advert_sent: u64,
    become_master: u64,
    release_master: u64,
    packet_len_err: u64,
    advert_interval_err: u64,
    ip_ttl_err: u64,
    invalid_type_rcvd: u64,
    addr_list_err: u64,
    invalid_authtype: u64,
    authtype_mismatch: u64,
    auth_failure: u64,
    pri_zero_rcvd: u64,
    pri_zero_sent: u64,
}

/// A tracked process: its name, in version 2 with more about it.
#[derive(Serialize)]
#[serde(untagged)]
enum Process<'a> {
    Name(&'a str),
    Details {
        process: &'a str,
        param_match: &'static str,
        min_processes: u32,
        have_quorum: bool,
        weight: i16,
        terminate_delay: Seconds,
        fork_delay: Seconds,
        full_command: bool,
    },
}

/// What keepalived has not.
#[derive(Serialize)]
struct More<'a> {
    status: &'a Status,
    stats: &'a Stats,
    /// How the priority comes about.
    explanation: Cow<'a, str>,
    sync_group: Option<&'a str>,
    tracked: Vec<Tracked<'a>>,
}

#[derive(Serialize)]
struct Tracked<'a> {
    kind: String,
    name: &'a str,
    weight: i16,
    reverse: bool,
    /// `null` while nothing is known of it.
    up: Option<bool>,
    /// Of a file: its number.
    value: Option<i64>,
}

/// A whole number where it is one: some readers expect it.
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.subsec_nanos() {
            0 => serializer.serialize_u64(self.0.as_secs()),
            _ => serializer.serialize_f64(self.0.as_secs_f64()),
        }
    }
}

impl<'a> Instance<'a> {
    fn of(picture: &'a Picture<'a>, instance: &'a InstancePicture<'a>, version: JsonVersion) -> Self {
        let explanation = match &instance.explanation {
            Some(explanation) => Cow::from(explanation),
            None => Cow::from(format!("{0} = {0} base", instance.status.priority)),
        };
        let more = More {
            status: &instance.status,
            stats: &instance.stats,
            explanation,
            sync_group: instance.group.map(|group| &*group.name),
            tracked: KINDS.into_iter().flat_map(|kind| tracked(picture, instance, kind)).collect(),
        };
        Self {
            data: Data::of(picture, instance, version),
            stats: Statistics::of(&instance.stats),
            lvsd: more,
        }
    }
}

impl<'a> Data<'a> {
    fn of(picture: &'a Picture<'a>, instance: &'a InstancePicture<'a>, version: JsonVersion) -> Self {
        let (config, status) = (instance.config, &instance.status);
        let (garp, notify) = (config.garp, &config.notify);
        let script = |script: &Option<Script>| script.as_ref().map(|script| command(&script.command));
        let addresses =
            |list: &[VirtualAddress]| list.iter().map(|address| instance.address(address)).collect();
        let (auth_type, auth_data) = match &config.authentication {
            None => (0, None),
            Some(Authentication::Pass(_)) => (1, Some(super::MASK)),
            Some(Authentication::Ah(_)) => (2, Some(super::MASK)),
        };
        Self {
            iname: &config.name,
            dont_track_primary: (!config.track_interface).into(),
            skip_check_adv_addr: (!config.check_addresses).into(),
            strict_mode: config.strict.into(),
            vmac_ifname: "",
            ifp_ifname: &config.interface,
            master_priority: status.master_priority.map_or(0, |priority| priority.get()),
            last_transition: picture.wall_of(status.since).as_secs_f64(),
            garp_delay: Seconds(garp.delay),
            garp_refresh: garp.refresh.unwrap_or_default().as_secs(),
            garp_rep: garp.repeat.get(),
            garp_refresh_rep: garp.refresh_repeat.get(),
            garp_lower_prio_delay: garp.lower_prio_delay.as_secs(),
            garp_lower_prio_rep: garp.lower_prio_repeat,
            lower_prio_no_advert: config.answers.lower_prio_no_advert.into(),
            higher_prio_send_advert: config.answers.higher_prio_send_advert.into(),
            vrid: config.virtual_router_id.get(),
            base_priority: config.priority.get(),
            effective_priority: status.priority.get(),
            vipset: instance.is_set,
            promote_secondaries: false,
            adver_int: Seconds(config.advert_interval),
            master_adver_int: Seconds(status.master_interval.duration()),
            accept: 1,
            nopreempt: !config.preempt,
            preempt_delay: config.preempt_delay.as_secs(),
            state: role_number(status.role),
            wantstate: role_number(status.role),
            version: instance.version(),
            smtp_alert: false,
            notify_deleted: notify.deleted.is_some(),
            script_backup: script(&notify.backup),
            script_master: script(&notify.master),
            script_fault: script(&notify.fault),
            script_stop: script(&notify.stop),
            script: script(&notify.any),
            script_master_rx_lower_pri: script(&notify.master_rx_lower_pri),
            vips: addresses(&config.addresses),
            evips: addresses(&config.excluded),
            track_ifp: instance.tracks(TrackedKind::Interface).map(|track| &*track.name).collect(),
            track_script: scripts(picture, instance),
            track_process: processes(picture, instance, version),
            auth_type,
            auth_data,
        }
    }
}

/// The commands of the tracked scripts.
fn scripts(picture: &Picture<'_>, instance: &InstancePicture<'_>) -> Vec<String> {
    let script = |track: &Track| picture.config.scripts.iter().find(|script| script.name == track.name);
    let tracks = instance.tracks(TrackedKind::Script);
    tracks.filter_map(script).map(|script| command(&script.script.command)).collect()
}

fn processes<'a>(
    picture: &'a Picture<'a>,
    instance: &'a InstancePicture<'a>,
    version: JsonVersion,
) -> Vec<Process<'a>> {
    let process = |track: &'a Track| -> Option<Process<'a>> {
        let name = &*track.name;
        let config: &TrackProcess = picture.config.processes.iter().find(|process| process.name == name)?;
        Some(match version {
            JsonVersion::Array => Process::Name(name),
            JsonVersion::Object => Process::Details {
                process: name,
                param_match: config.arguments.map_or("none", arguments_match),
                min_processes: *config.quorum.start(),
                have_quorum: picture.fact(TrackedKind::Process, name) == Fact::Up,
                weight: track.weight,
                terminate_delay: Seconds(config.terminate_delay),
                fork_delay: Seconds(config.fork_delay),
                full_command: config.full_command,
            },
        })
    };
    instance.tracks(TrackedKind::Process).filter_map(process).collect()
}

fn tracked<'a>(
    picture: &'a Picture<'a>,
    instance: &'a InstancePicture<'a>,
    kind: TrackedKind,
) -> impl Iterator<Item = Tracked<'a>> {
    instance.tracks(kind).map(move |track| {
        let (up, value) = match picture.fact(kind, &track.name) {
            Fact::Unknown => (None, None),
            Fact::Up => (Some(true), None),
            Fact::Down => (Some(false), None),
            Fact::Value(value) => (None, Some(value)),
        };
        let Track { name, weight, reverse, .. } = track;
        Tracked { kind: kind.to_string(), name, weight: *weight, reverse: *reverse, up, value }
    })
}

impl Statistics {
    fn of(stats: &Stats) -> Self {
        let counts = Counts::of(stats);
        Self {
            advert_rcvd: counts.received,
            advert_sent: counts.sent,
            become_master: counts.became_master,
            release_master: counts.released_master,
            packet_len_err: counts.length,
            advert_interval_err: counts.interval,
            ip_ttl_err: counts.ttl,
            invalid_type_rcvd: counts.invalid_type,
            addr_list_err: counts.address_list,
            invalid_authtype: counts.invalid_auth_type,
            authtype_mismatch: counts.auth_type_mismatch,
            auth_failure: counts.auth_failure,
            pri_zero_rcvd: counts.priority_zero_received,
            pri_zero_sent: counts.priority_zero_sent,
        }
    }
}

const KINDS: [TrackedKind; 4] =
    [TrackedKind::Interface, TrackedKind::Script, TrackedKind::File, TrackedKind::Process];
