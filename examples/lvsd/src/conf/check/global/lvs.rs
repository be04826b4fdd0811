//! `lvs_sync_daemon`, `lvs_timeouts` and `lvs_flush`: what holds for the whole table.

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use lvs_core::{InvalidSyncDaemon, SyncDaemon, SyncRole, Timeouts};

use super::super::{Cx, Seen, first};
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::lexer::Word;
use crate::conf::model::{FlushOnStop, Lvs, Synchronisation, VrrpInstance};
use crate::conf::source::Span;
use crate::conf::tree::Node;

/// What was said so far.
#[derive(Default)]
pub(in crate::conf::check) struct LvsDraft {
    sync: Option<SyncDraft>,
    timeouts: Option<Timeouts>,
    flush: bool,
    flush_on_stop: FlushOnStop,
}

/// `lvs_sync_daemon`, or its older form in an instance.
pub(in crate::conf::check) struct SyncDraft {
    at: Span,
    interface: String,
    instance: Option<Word>,
    id: Option<u8>,
    max_length: Option<u16>,
    port: Option<NonZeroU16>,
    ttl: Option<NonZeroU8>,
    group: Option<IpAddr>,
}

impl LvsDraft {
    pub(super) fn set_flush(&mut self) {
        self.flush = true;
    }

    pub(super) fn set_flush_on_stop(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.flush_on_stop = match node.args.first() {
            None => FlushOnStop::Everything,
            Some(word) => {
                cx.one_of(&node.keyword.text, word, &[("VS", FlushOnStop::Ours)]).unwrap_or(FlushOnStop::Ours)
            }
        };
    }

    /// `[tcp SECONDS] [tcpfin SECONDS] [udp SECONDS]`
    pub(super) fn set_timeouts(&mut self, cx: &mut Cx<'_>, node: &Node) {
        let mut timeouts = Timeouts::UNCHANGED;
        let mut words = node.args.iter();
        let mut seen = Seen::default();
        while let Some(word) = words.next() {
            let (name, place) = match &*word.text {
                "tcp" => ("tcp", &mut timeouts.tcp),
                "tcpfin" => ("tcpfin", &mut timeouts.tcp_fin),
                "udp" => ("udp", &mut timeouts.udp),
                _ => {
                    cx.bad(
                        word,
                        format!("`lvs_timeouts` does not know {}", word.shown()),
                        "write `lvs_timeouts [tcp SECONDS] [tcpfin SECONDS] [udp SECONDS]`",
                    );
                    return;
                }
            };
            if !cx.is_first_option(&mut seen, name, word, LAST_HOLDS) {
                return;
            }
            let Some(seconds) = value(cx, word, words.next()) else { return };
            let what = format!("lvs_timeouts {}", word.text);
            let Some(seconds) = cx.number(&what, seconds, 0..=2_678_400) else { return };
            *place = Duration::from_secs(seconds);
        }
        self.timeouts = Some(timeouts);
    }

    /// `INTERFACE [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]`
    pub(super) fn set_sync(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.sync = sync(cx, node);
    }

    /// What was said, with what instances say in the older form.
    pub(super) fn finish(self, cx: &mut Cx<'_>, instances: &[&VrrpInstance], old: Vec<SyncDraft>) -> Lvs {
        let mut sync = self.sync;
        for draft in old {
            match &sync {
                None => sync = Some(draft),
                Some(first) => {
                    let message = "there is a sync daemon already: this one is left out, as in keepalived";
                    let diagnostic = Diagnostic::warning(Code::Duplicate, draft.at, message);
                    let remedy = "there is one for all instances: use `lvs_sync_daemon` in `global_defs`";
                    cx.report(
                        diagnostic.label("the second one").also(first.at, "the first one").help(remedy),
                    );
                }
            }
        }
        Lvs {
            synchronisation: sync.and_then(|draft| draft.finish(cx, instances)),
            timeouts: self.timeouts,
            flush: self.flush,
            flush_on_stop: self.flush_on_stop,
        }
    }
}

impl SyncDraft {
    /// `lvs_sync_daemon_interface` of an instance.
    pub(in crate::conf::check) fn of_an_instance(cx: &mut Cx<'_>, node: &Node) -> Option<Self> {
        let interface = cx.interface(&node.keyword.text, first(node))?;
        // Not the identifier of the virtual router: as keepalived.
        Some(Self { id: Some(0), ..Self::new(node.span(), interface) })
    }

    /// The same for the instance of that name.
    pub(in crate::conf::check) fn following(self, instance: &Word) -> Self {
        Self { instance: Some(instance.clone()), ..self }
    }

    fn new(at: Span, interface: String) -> Self {
        Self { at, interface, instance: None, id: None, max_length: None, port: None, ttl: None, group: None }
    }

    fn finish(self, cx: &mut Cx<'_>, instances: &[&VrrpInstance]) -> Option<Synchronisation> {
        let found = self.instance.as_ref().map(|name| {
            let found = instances.iter().find(|instance| *instance.name == *name.text);
            (name, found)
        });
        if let Some((name, None)) = found {
            let message = format!(
                "there is no `vrrp_instance` {}: no sync daemon is run, as in keepalived",
                name.shown()
            );
            cx.report(
                Diagnostic::warning(Code::BadValue, name.span, message)
                    .label("no such instance")
                    .help("the role of the daemon follows that instance"),
            );
            return None;
        }
        let instance = found.and_then(|(_, found)| found);
        let id = self.id.or(instance.map(|instance| instance.virtual_router_id.get())).unwrap_or(0);
        match self.daemon(id) {
            Ok(daemon) => Some(Synchronisation {
                at: self.at,
                daemon,
                instance: instance.map(|instance| instance.name.clone()),
            }),
            Err(error) => {
                cx.report(
                    Diagnostic::error(Code::BadValue, self.at, error.to_string()).label("in this line"),
                );
                None
            }
        }
    }

    fn daemon(&self, id: u8) -> Result<SyncDaemon, InvalidSyncDaemon> {
        let mut daemon = SyncDaemon::new(SyncRole::Backup, &self.interface)?.with_sync_id(id);
        if let Some(length) = self.max_length {
            daemon = daemon.with_max_length(length)?;
        }
        if let Some(group) = self.group {
            daemon = daemon.with_group(group)?;
        }
        if let Some(port) = self.port {
            daemon = daemon.with_port(port);
        }
        if let Some(ttl) = self.ttl {
            daemon = daemon.with_ttl(ttl);
        }
        Ok(daemon)
    }
}

fn sync(cx: &mut Cx<'_>, node: &Node) -> Option<SyncDraft> {
    let mut draft = SyncDraft::new(node.span(), cx.interface("lvs_sync_daemon", first(node))?);
    let mut words = node.args.iter().skip(1).peekable();
    // Without `inst` the instance stands in the second place.
    draft.instance = words.next_if(|word| option(word).is_none()).cloned();
    let mut seen = Seen(draft.instance.iter().map(|name| (INSTANCE, name.span)).collect());
    while let Some(word) = words.next() {
        let Some(option) = option(word) else {
            cx.bad(
                word,
                format!("`lvs_sync_daemon` does not know {}", word.shown()),
                "options are inst, id, maxlen, port, ttl and group, each with its value",
            );
            return None;
        };
        let theirs = if option == INSTANCE { "keepalived would take the first" } else { LAST_HOLDS };
        if !cx.is_first_option(&mut seen, option, word, theirs) {
            return None;
        }
        let value = value(cx, word, words.next())?;
        let what = format!("lvs_sync_daemon {}", word.text);
        match &*word.text {
            "inst" => draft.instance = Some(value.clone()),
            "id" => draft.id = Some(cx.number_u8(&what, value, 0..=u8::MAX)?),
            "maxlen" => {
                draft.max_length = u16::try_from(cx.number(&what, value, 1..=65_507)?).ok();
            }
            "port" => draft.port = Some(cx.port(&what, value)?),
            "ttl" => draft.ttl = NonZeroU8::new(cx.number_u8(&what, value, 1..=u8::MAX)?),
            _ => {
                let group = cx.ip(&what, value)?;
                if !group.is_multicast() {
                    let message = format!("`{what}` takes a multicast group, not {}", value.shown());
                    cx.bad(value, message, "224.0.0.0 to 239.255.255.255, or ff00::/8");
                    return None;
                }
                draft.group = Some(group);
            }
        }
    }
    Some(draft)
}

fn value<'w>(cx: &mut Cx<'_>, option: &Word, value: Option<&'w Word>) -> Option<&'w Word> {
    if value.is_none() {
        let message = format!("`{}` lacks its value", option.text);
        cx.report(
            Diagnostic::error(Code::MissingParameter, option.span, message).label("something has to follow"),
        );
    }
    value
}

/// What an option of `lvs_sync_daemon` says.
fn option(word: &Word) -> Option<&'static str> {
    match &*word.text {
        "inst" => Some(INSTANCE),
        text => ["id", "maxlen", "port", "ttl", "group"].into_iter().find(|name| *name == text),
    }
}

/// What `inst` says, which is one of two ways.
const INSTANCE: &str = "instance";
const LAST_HOLDS: &str = "keepalived would silently use the last";
