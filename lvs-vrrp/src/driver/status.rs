//! How an instance stands, for whoever asks.

use std::net::IpAddr;

use lvs_core::{Instant, Role};

use crate::conflict::Conflict;
use crate::driver::member::NO_ADDRESS;
use crate::router::Router;
use crate::types::{Advertised, Interval, Priority};

/// How an instance stands, at one moment. With the feature `serde` it can be serialised: a map of the fields by their
/// names, times in nanoseconds on [`now`](crate::clock::now)'s clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Its role.
    pub role: Role,
    /// Since when it has this role, on [`now`](crate::clock::now)'s clock.
    pub since: Instant,
    /// Its effective priority.
    pub priority: Priority,
    /// The address that its own adverts come from; `None` while there is none.
    pub source: Option<IpAddr>,
    /// The address that the master sends from: its own as master, as backup that of the router heard last, if any.
    pub master: Option<IpAddr>,
    /// As backup, the priority that the router heard last advertised, if any was heard and it does not resign.
    pub master_priority: Option<Priority>,
    /// The interval that it goes by: as a backup in version 3 the master's, if one was heard.
    pub master_interval: Interval,
    /// As master, another one that is heard too: the first, if there are several.
    pub conflict: Option<Conflict>,
}

#[cfg(feature = "serde")]
impl serde::Serialize for Status {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        /// Another master.
        struct Other<'a>(&'a Conflict);

        impl serde::Serialize for Other<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Conflict { other, priority, verdict, since, until, adverts } = self.0;
                let mut map = serializer.serialize_struct("Conflict", 6)?;
                map.serialize_field("other", &other.to_string())?;
                map.serialize_field("priority", &priority.get())?;
                map.serialize_field("verdict", verdict.as_str())?;
                map.serialize_field("since", &since.as_nanos())?;
                map.serialize_field("until", &until.as_nanos())?;
                map.serialize_field("adverts", adverts)?;
                map.end()
            }
        }

        let Self { role, since, priority, source, master, master_priority, master_interval, conflict } = self;
        let mut map = serializer.serialize_struct("Status", 8)?;
        map.serialize_field("role", &role.to_string())?;
        map.serialize_field("since", &since.as_nanos())?;
        map.serialize_field("priority", &priority.get())?;
        map.serialize_field("source", &source.map(|address| address.to_string()))?;
        map.serialize_field("master", &master.map(|address| address.to_string()))?;
        map.serialize_field("master_priority", &master_priority.map(Priority::get))?;
        map.serialize_field("master_interval", &master_interval.duration().as_nanos())?;
        map.serialize_field("conflict", &conflict.as_ref().map(Other))?;
        map.end()
    }
}

impl Status {
    pub(crate) fn new(router: &Router, now: Instant) -> Self {
        Self {
            role: router.role(),
            since: now,
            priority: router.config().priority(),
            source: source(router),
            master: None,
            master_priority: None,
            master_interval: router.master_interval(),
            conflict: None,
        }
    }

    /// Takes over how a router stands now; answers whether it stood otherwise before.
    pub(crate) fn follow(&mut self, router: &Router, now: Instant) -> bool {
        let role = router.role();
        let (master, master_priority) = match role {
            Role::Master => (Some(router.address()), None),
            Role::Backup if self.role == Role::Backup => (self.master, self.master_priority),
            Role::Initialize | Role::Backup | Role::Fault => (None, None),
        };
        let since = if role == self.role { self.since } else { now };
        let (priority, master_interval) = (router.config().priority(), router.master_interval());
        let conflict = router.conflicts().next();
        let source = source(router);
        let status =
            Self { role, since, priority, source, master, master_priority, master_interval, conflict };
        std::mem::replace(self, status) != status
    }

    /// Takes note, as backup, of who sent an advert; answers whether that is news.
    pub(crate) fn hear(&mut self, source: IpAddr, advertised: Advertised) -> bool {
        let priority = match advertised {
            Advertised::Running(priority) => Some(priority),
            Advertised::Resigning => None,
        };
        let is_news = (self.master, self.master_priority) != (Some(source), priority);
        (self.master, self.master_priority) = (Some(source), priority);
        is_news
    }
}

fn source(router: &Router) -> Option<IpAddr> {
    Some(router.address()).filter(|address| *address != NO_ADDRESS)
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::conflict::Verdict;

    #[test]
    fn serialised_status_names_the_master_and_who_is_master_too() {
        let interval = Interval::centis(100).unwrap();
        let router = Router::new(Config::new(interval, Priority::DEFAULT), [10, 0, 0, 1].into());
        let mut status = Status::new(&router, Instant::from_nanos(7));
        let json = serde_json::to_value(status).unwrap();
        let expected = serde_json::json!({
            "role": "INIT", "since": 7, "priority": 100, "source": "10.0.0.1", "master": null,
            "master_priority": null, "master_interval": 1_000_000_000, "conflict": null,
        });
        assert_eq!(json, expected);
        assert!(status.hear([10, 0, 0, 2].into(), Advertised::Running(Priority::OWNER)));
        assert!(!status.hear([10, 0, 0, 2].into(), Advertised::Running(Priority::OWNER)));
        let (since, until) = (Instant::from_nanos(8), Instant::from_nanos(9));
        let (other, priority, verdict) = ([10, 0, 0, 3].into(), Priority::DEFAULT, Verdict::LowerAddress);
        status.conflict = Some(Conflict { other, priority, verdict, since, until, adverts: 2 });
        let json = serde_json::to_value(status).unwrap();
        assert_eq!((&json["master"], &json["master_priority"]), (&"10.0.0.2".into(), &255.into()));
        let expected = serde_json::json!({
            "other": "10.0.0.3", "priority": 100, "verdict": "its address is lower", "since": 8, "until": 9,
            "adverts": 2,
        });
        assert_eq!(json["conflict"], expected);
        // It resigns: nobody is to read that it is master with a priority.
        assert!(status.hear([10, 0, 0, 2].into(), Advertised::Resigning));
        assert_eq!(status.master_priority, None);
    }
}
