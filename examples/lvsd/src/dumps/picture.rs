//! What is dumped: the virtual routers and what belongs to them at one moment, as plain values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::time::Duration;

use lvs_core::{AddressScope, Instant, Role, VirtualAddress};
use lvs_vrrp::{DownTimerAdverts, Fact, Stats, Status, TrackedKind, timing};

use crate::conf::model::{self, VrrpInstance};
use crate::conf::tracking::{SyncGroup, Track};

/// Everything, at one moment.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    pub(super) config: &'a model::Config,
    /// The moment, on the clock of VRRP.
    pub(super) now: Instant,
    /// The same moment, since 1970.
    pub(super) wall: Duration,
    /// The virtual routers that run, in the order of the configuration.
    pub(super) instances: Vec<InstancePicture<'a>>,
    /// What was refused on interfaces without being meant for one of the instances.
    pub(super) interfaces: BTreeMap<&'a str, Stats>,
    /// What is known of tracked objects, by kind and name.
    pub(super) facts: BTreeMap<(TrackedKind, String), Fact>,
    /// Tracked scripts that run at the moment.
    pub(super) running: BTreeSet<&'a str>,
}

/// A virtual router.
#[derive(Debug)]
pub(crate) struct InstancePicture<'a> {
    pub(super) config: &'a VrrpInstance,
    pub(super) group: Option<&'a SyncGroup>,
    pub(super) status: Status,
    pub(super) stats: Stats,
    /// Whether its addresses are on the host.
    pub(super) is_set: bool,
    /// How its priority comes about, if it tracks something.
    pub(super) explanation: Option<String>,
}

impl Picture<'_> {
    /// A moment of VRRP's clock, since 1970.
    pub(super) fn wall_of(&self, at: Instant) -> Duration {
        self.wall.saturating_sub(self.now - at)
    }

    /// What each sync group is, in the order of the configuration.
    pub(super) fn groups(&self) -> Vec<(&SyncGroup, Role)> {
        let roles = self.instances.iter().map(|instance| (&*instance.config.name, instance.status.role));
        let roles: BTreeMap<&str, Role> = roles.collect();
        let role = |group: &SyncGroup| {
            let of_members = || group.members.iter().filter_map(|name| roles.get(&**name).copied());
            match of_members().next() {
                Some(first) if of_members().all(|role| role == first) => first,
                _ if of_members().any(|role| role == Role::Fault) => Role::Fault,
                // Members follow each other within one turn; who looks meanwhile sees some that did not yet.
                _ => Role::Backup,
            }
        };
        self.config.groups.iter().map(|group| (group, role(group))).collect()
    }

    pub(super) fn fact(&self, kind: TrackedKind, name: &str) -> Fact {
        self.facts.get(&(kind, name.to_owned())).copied().unwrap_or_default()
    }

    /// Who tracks an object, and with which weight.
    pub(super) fn trackers<'p>(
        &'p self,
        kind: TrackedKind,
        name: &'p str,
    ) -> impl Iterator<Item = (&'p str, &'p Track)> + 'p {
        self.instances.iter().flat_map(move |instance| {
            instance.tracks(kind).filter(move |track| track.name == name).map(|track| {
                let name: &str = &instance.config.name;
                (name, track)
            })
        })
    }
}

impl InstancePicture<'_> {
    /// What it tracks by itself and as a member of its group.
    pub(super) fn tracks(&self, kind: TrackedKind) -> impl Iterator<Item = &Track> {
        let of_group = self.group.map_or(&[][..], |group| &group.track);
        self.config.track.iter().chain(of_group).filter(move |track| track.kind == kind)
    }

    /// How long it waits as a backup after the last advert.
    pub(super) fn master_down(&self) -> Duration {
        let adverts = DownTimerAdverts::new(self.config.down_timer_adverts).unwrap_or_default();
        let Status { master_interval, priority, .. } = self.status;
        timing::missed(adverts, master_interval).saturating_add(timing::skew_time(master_interval, priority))
    }

    pub(super) fn version(&self) -> u8 {
        match self.config.version {
            model::Version::V2 => 2,
            model::Version::V3 => 3,
        }
    }

    /// An address as `ip address` has it, and whether it is set. Programs read its first and third word.
    pub(super) fn address(&self, address: &VirtualAddress) -> String {
        let mut text = address.key.address.to_string();
        let whole = if address.key.address.is_ipv4() { 32 } else { 128 };
        let scope = Scope(address.scope);
        // Nothing of this can fail: it is written into memory.
        if address.key.prefix_len != whole {
            let _ = write!(text, "/{}", address.key.prefix_len);
        }
        let _ = write!(text, " dev {} scope {scope}", address.key.interface);
        if let Some(label) = &address.label {
            let _ = write!(text, " label {label}");
        }
        if self.is_set {
            text.push_str(" set");
        }
        text
    }
}

/// keepalived's number of a role, in JSON.
pub(super) fn role_number(role: Role) -> u8 {
    match role {
        Role::Initialize => 0,
        Role::Backup => 1,
        Role::Master => 2,
        Role::Fault => 3,
    }
}

/// A program with its arguments, each in quotes.
pub(super) fn command(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    quoted.join(" ")
}

/// The name of an address's scope, or its number.
struct Scope(AddressScope);

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            AddressScope::GLOBAL => f.write_str("global"),
            AddressScope::SITE => f.write_str("site"),
            AddressScope::LINK => f.write_str("link"),
            AddressScope::HOST => f.write_str("host"),
            AddressScope::NOWHERE => f.write_str("nowhere"),
            AddressScope(number) => number.fmt(f),
        }
    }
}

/// A time since 1970 as a number with six digits behind the point, and as a date: `0.000000 (Thu Jan  1 00:00:00.000000 1970 UTC)`.
pub(super) struct Date(pub(super) Duration);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.as_secs(), self.0.subsec_micros());
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let name = |names: &'static str, place: u64| {
            let start = usize::try_from(place).unwrap_or_default().saturating_mul(3);
            names.get(start..start.saturating_add(3)).unwrap_or_default()
        };
        let weekday = name("ThuFriSatSunMonTueWed", days % 7);
        let month = name("JanFebMarAprMayJunJulAugSepOctNovDec", month);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{seconds}.{micros:06} ({weekday} {month} {day:>2} {hour:02}:{minute:02}:{second:02}.{micros:06} {year} UTC)"
        )
    }
}

/// Year, month from 0 and day of the month of a day since 1970: in years that begin in March the leap day is the last.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days since 1 March of the year 0, in eras of 400 years.
    let days = days.saturating_add(719_468);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12;
    let year = era.saturating_mul(400).saturating_add(year);
    (if month < 2 { year.saturating_add(1) } else { year }, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let text = |seconds, micros: u32| Date(Duration::new(seconds, micros * 1000)).to_string();
        assert_eq!(text(0, 0), "0.000000 (Thu Jan  1 00:00:00.000000 1970 UTC)");
        // `date -u -d @…`
        assert_eq!(text(951_782_399, 1), "951782399.000001 (Mon Feb 28 23:59:59.000001 2000 UTC)");
        assert_eq!(text(951_782_400, 0), "951782400.000000 (Tue Feb 29 00:00:00.000000 2000 UTC)");
        assert_eq!(text(951_868_800, 0), "951868800.000000 (Wed Mar  1 00:00:00.000000 2000 UTC)");
        assert_eq!(text(1_795_332_017, 805_274), "1795332017.805274 (Sun Nov 22 07:20:17.805274 2026 UTC)");
        assert_eq!(text(4_107_542_399, 0), "4107542399.000000 (Sun Feb 28 23:59:59.000000 2100 UTC)");
        assert_eq!(text(4_107_542_400, 0), "4107542400.000000 (Mon Mar  1 00:00:00.000000 2100 UTC)");
    }

    #[test]
    fn no_time_is_too_far_away_to_be_written() {
        assert!(Date(Duration::MAX).to_string().starts_with("18446744073709551615."));
    }

    #[test]
    fn commands_have_their_words_in_quotes() {
        assert_eq!(command(&["/bin/a".to_owned(), "b c".to_owned()]), "'/bin/a' 'b c'");
    }
}
