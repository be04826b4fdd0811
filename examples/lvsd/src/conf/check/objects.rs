//! `vrrp_script`, `vrrp_track_process` and `track_file`: what can be tracked by name.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use lvs_vrrp::TrackedKind;

use super::super::diagnostic::{Code, Diagnostic};
use super::super::known::{Kind, nearest};
use super::super::lexer::{Word, quoted};
use super::super::model::{Script, ScriptUser};
use super::super::source::Span;
use super::super::tracking::{ArgumentMatch, InitFile, TrackFile, TrackProcess, TrackScript};
use super::super::tree::Node;
use super::track::Weight;
use super::{Cx, Keyword, Seen, first, inner};

/// All of them, and who is used.
#[derive(Default)]
pub(super) struct Objects {
    known: BTreeMap<(TrackedKind, String), Known>,
    pub(super) scripts: Vec<TrackScript>,
    pub(super) processes: Vec<TrackProcess>,
    pub(super) files: Vec<TrackFile>,
}

struct Known {
    at: Span,
    /// What an entry without a weight has.
    default: Weight,
    used: bool,
}

impl Objects {
    /// Checks one block.
    pub(super) fn add(&mut self, cx: &mut Cx<'_>, node: &Node) {
        let Some(name) = node.args.first() else { return };
        let (kind, default) = match &*node.keyword.text {
            "vrrp_script" => (TrackedKind::Script, self.script(cx, node, name)),
            "vrrp_track_process" => (TrackedKind::Process, self.process(cx, node, name)),
            _ => (TrackedKind::File, self.file(cx, node, name)),
        };
        let known = Known { at: name.span, default, used: false };
        let key = (kind, name.text.to_string());
        if let Some(before) = self.known.get(&key) {
            cx.report(
                Diagnostic::error(
                    Code::Duplicate,
                    name.span,
                    format!("two blocks of this kind are named {}", name.shown()),
                )
                .label("the second one")
                .also(before.at, "the first one"),
            );
        } else {
            self.known.insert(key, known);
        }
    }

    /// Finds the object that an entry names, and marks it as used; its default weight.
    pub(super) fn use_object(&mut self, cx: &mut Cx<'_>, kind: TrackedKind, name: &Word) -> Option<Weight> {
        if kind == TrackedKind::Interface {
            return Some(Weight::FAULT);
        }
        if let Some(known) = self.known.get_mut(&(kind, name.text.to_string())) {
            known.used = true;
            return Some(known.default);
        }
        let block = block_of(kind);
        let names = || self.known.keys().filter(|(other, _)| *other == kind).map(|(_, name)| &**name);
        let label = match nearest(&name.text, names()) {
            Some(near) => format!("did you mean {}?", quoted(near)),
            None => format!("no `{block}` has this name"),
        };
        let known: Vec<&str> = names().collect();
        let help = match &*known {
            [] => format!("there is no `{block}` in this configuration"),
            known => format!("there are: {}", known.join(", ")),
        };
        let message = format!("there is no {kind} {}: the entry is left out, as in keepalived", name.shown());
        cx.report(Diagnostic::warning(Code::BadValue, name.span, message).label(label).help(help));
        None
    }

    /// Warns of what nobody tracks: it does not run. It is left out.
    pub(super) fn drop_unused(&mut self, cx: &mut Cx<'_>) {
        for ((kind, name), known) in self.known.iter().filter(|(_, known)| !known.used) {
            cx.report(
                Diagnostic::warning(
                    Code::Unused,
                    known.at,
                    format!("the {kind} {} is not tracked by anything", quoted(name)),
                )
                .label("it is left out, as in keepalived"),
            );
        }
        let known = &self.known;
        let is_used = |kind, name: &str| known.get(&(kind, name.to_owned())).is_some_and(|known| known.used);
        self.scripts.retain(|script| is_used(TrackedKind::Script, &script.name));
        self.processes.retain(|process| is_used(TrackedKind::Process, &process.name));
        self.files.retain(|file| is_used(TrackedKind::File, &file.name));
    }

    fn script(&mut self, cx: &mut Cx<'_>, node: &Node, name: &Word) -> Weight {
        let mut draft = ScriptDraft::default();
        cx.statements(Kind::Script, SCRIPT, inner(node), &mut draft, &mut Seen::default());
        cx.needs(node, "script", "script /usr/local/bin/check");
        let interval = draft.interval.unwrap_or(Duration::from_secs(1));
        if let Some(mut script) = draft.script {
            script.user = draft.user;
            self.scripts.push(TrackScript {
                name: name.text.to_string(),
                at: node.keyword.span,
                script,
                interval,
                timeout: draft.timeout.unwrap_or(interval),
                rise: draft.rise.unwrap_or(NonZeroU32::MIN),
                fall: draft.fall.unwrap_or(NonZeroU32::MIN),
                init_fail: draft.init_fail,
            });
        }
        draft.weight.unwrap_or(Weight::FAULT)
    }

    fn process(&mut self, cx: &mut Cx<'_>, node: &Node, name: &Word) -> Weight {
        let mut draft = ProcessDraft::default();
        cx.statements(Kind::TrackProcess, PROCESS, inner(node), &mut draft, &mut Seen::default());
        let quorum = draft.quorum(cx);
        match draft.command {
            None => cx.needs(node, "process", "process haproxy"),
            Some((command, at)) => {
                let has_arguments = command.len() > 1;
                let program = command.first().map_or("", |program| program);
                if !draft.full_command && (program.len() > LONGEST_COMM || program.contains('/')) {
                    cx.report(
                        Diagnostic::warning(
                            Code::OutOfRange,
                            at,
                            format!("no process can have the name {}", quoted(program)),
                        )
                        .label("the kernel keeps 15 bytes of a program's name, without its path")
                        .help("shorten it, or add `full_command` to compare the command line"),
                    );
                }
                self.processes.push(TrackProcess {
                    name: name.text.to_string(),
                    at: node.keyword.span,
                    command,
                    arguments: draft.arguments.or(has_arguments.then_some(ArgumentMatch::Exact)),
                    full_command: draft.full_command,
                    quorum,
                    fork_delay: draft.fork_delay.or(draft.delay).unwrap_or_default(),
                    terminate_delay: draft.terminate_delay.or(draft.delay).unwrap_or_default(),
                });
            }
        }
        draft.weight.unwrap_or(Weight::FAULT)
    }

    fn file(&mut self, cx: &mut Cx<'_>, node: &Node, name: &Word) -> Weight {
        let mut draft = FileDraft::default();
        cx.statements(Kind::TrackFile, FILE, inner(node), &mut draft, &mut Seen::default());
        match draft.path {
            None => cx.needs(node, "file", "file /run/priority"),
            Some(path) => self.files.push(TrackFile {
                name: name.text.to_string(),
                at: node.keyword.span,
                path,
                init: draft.init,
            }),
        }
        draft.weight.unwrap_or(Weight { number: 1, reverse: false })
    }
}

fn block_of(kind: TrackedKind) -> &'static str {
    match kind {
        TrackedKind::Script => "vrrp_script",
        TrackedKind::Process => "vrrp_track_process",
        TrackedKind::File => "track_file",
        _ => "bfd_instance",
    }
}

#[derive(Default)]
pub(super) struct ScriptDraft {
    script: Option<Script>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    weight: Option<Weight>,
    rise: Option<NonZeroU32>,
    fall: Option<NonZeroU32>,
    user: Option<ScriptUser>,
    init_fail: bool,
}

pub(super) const SCRIPT: &[Keyword<ScriptDraft>] = &[
    Keyword::value("script", "script \"COMMAND ARGUMENTS\"", |cx, n, d: &mut ScriptDraft| {
        d.script = cx.script(n);
    }),
    Keyword::value("interval", "interval SECONDS", |cx, n, d| {
        d.interval = cx.seconds(n, MILLISECOND, LONGEST);
    }),
    Keyword::value("timeout", "timeout SECONDS", |cx, n, d| {
        d.timeout = cx.seconds(n, MILLISECOND, LONGEST);
    }),
    Keyword::words("weight", "weight -253..253 [reverse]", 1, 2, |cx, n, d| {
        d.weight = default_weight(cx, n, TrackedKind::Script);
    }),
    Keyword::value("rise", "rise COUNT", |cx, n, d| d.rise = count(cx, n)),
    Keyword::value("fall", "fall COUNT", |cx, n, d| d.fall = count(cx, n)),
    Keyword::words("user", "user USER [GROUP]", 1, 2, |cx, n, d| d.user = cx.user(&n.args)),
    Keyword::flag("init_fail", |_, _, d| d.init_fail = true),
];

#[derive(Default)]
pub(super) struct ProcessDraft {
    command: Option<(Vec<String>, Span)>,
    arguments: Option<ArgumentMatch>,
    weight: Option<Weight>,
    least: Option<u32>,
    most: Option<(u32, Span)>,
    delay: Option<Duration>,
    fork_delay: Option<Duration>,
    terminate_delay: Option<Duration>,
    full_command: bool,
}

impl ProcessDraft {
    fn quorum(&self, cx: &mut Cx<'_>) -> RangeInclusive<u32> {
        let least = self.least.unwrap_or(1);
        match self.most {
            None => least..=u32::MAX,
            // There must be none at all.
            Some((0, _)) if self.least.is_none() => 0..=0,
            Some((most, at)) => {
                if most < least {
                    cx.report(
                        Diagnostic::error(
                            Code::Conflict,
                            at,
                            format!("`quorum_max {most}` is less than the quorum of {least}"),
                        )
                        .label("no number of processes is right"),
                    );
                }
                least..=most
            }
        }
    }
}

pub(super) const PROCESS: &[Keyword<ProcessDraft>] = &[
    Keyword::words("process", "process NAME [ARGUMENTS]", 1, 500, |_, n, d: &mut ProcessDraft| {
        let words = n.args.iter().map(|word| word.text.to_string()).collect();
        d.command = Some((words, first(n).span));
    })
    .first_holds(),
    Keyword::value("param_match", "param_match initial|partial", |cx, n, d| {
        let names = [("initial", ArgumentMatch::Initial), ("partial", ArgumentMatch::Partial)];
        d.arguments = cx.one_of("param_match", first(n), &names);
    }),
    Keyword::words("weight", "weight -254..254 [reverse]", 1, 2, |cx, n, d: &mut ProcessDraft| {
        d.weight = default_weight(cx, n, TrackedKind::Process);
    })
    .first_holds(),
    Keyword::value("quorum", "quorum 1-65535", |cx, n, d| {
        d.least = cx.number_u32("quorum", first(n), 1..=65_535);
    }),
    Keyword::value("quorum_max", "quorum_max 0-65535", |cx, n, d| {
        d.most = cx.number_u32("quorum_max", first(n), 0..=65_535).map(|most| (most, n.span()));
    }),
    Keyword::value("delay", "delay SECONDS", |cx, n, d| d.delay = delay(cx, n)),
    Keyword::value("fork_delay", "fork_delay SECONDS", |cx, n, d| d.fork_delay = delay(cx, n)),
    Keyword::value("terminate_delay", "terminate_delay SECONDS", |cx, n, d| {
        d.terminate_delay = delay(cx, n);
    }),
    Keyword::flag("full_command", |_, _, d| d.full_command = true),
];

#[derive(Default)]
pub(super) struct FileDraft {
    path: Option<PathBuf>,
    weight: Option<Weight>,
    init: Option<InitFile>,
}

pub(super) const FILE: &[Keyword<FileDraft>] = &[
    Keyword::value("file", "file /PATH", |cx, n, d: &mut FileDraft| {
        let word = first(n);
        let path = PathBuf::from(&*word.text);
        if path.is_absolute() && path.file_name().is_some() {
            d.path = Some(path);
        } else {
            let message = format!("`file` takes the whole path of a file, not {}", word.shown());
            cx.bad(word, message, "write it with all its directories, from `/` on");
        }
    })
    .first_holds(),
    Keyword::words("weight", "weight -254..254 [reverse]", 1, 2, |cx, n, d: &mut FileDraft| {
        d.weight = default_weight(cx, n, TrackedKind::File);
    })
    .first_holds(),
    Keyword::words("init_file", "init_file [VALUE] [overwrite]", 0, 2, |cx, n, d| {
        let (value, rest) = match n.args.split_first() {
            Some((word, rest)) if &*word.text != "overwrite" => {
                (cx.signed("init_file", word, i64::MIN..=i64::MAX), rest)
            }
            _ => (Some(0), &*n.args),
        };
        let overwrite = match rest {
            [] => Some(false),
            [word, ..] => cx.one_of("init_file", word, &[("overwrite", true)]),
        };
        d.init = value.zip(overwrite).map(|(value, overwrite)| InitFile { value, overwrite });
    }),
];

/// `weight NUMBER [reverse]`
fn default_weight(cx: &mut Cx<'_>, node: &Node, kind: TrackedKind) -> Option<Weight> {
    let word = first(node);
    let number = match (cx.weight(word, kind).ok()?, kind) {
        (Some(number), _) => number,
        // keepalived 2.2.7 uses it; the priority ends at 1 and 254 all the same.
        (None, TrackedKind::Script) => {
            let (low, high) = (*kind.weights().start(), *kind.weights().end());
            if word.text.starts_with('-') { low } else { high }
        }
        // And drops these, with a message.
        (None, _) => return None,
    };
    let reverse = match node.args.get(1) {
        Some(word) => cx.reverse(word)?,
        None => false,
    };
    Some(Weight { number, reverse })
}

fn count(cx: &mut Cx<'_>, node: &Node) -> Option<NonZeroU32> {
    cx.number_u32(&node.keyword.text, first(node), 1..=i32::MAX.unsigned_abs()).and_then(NonZeroU32::new)
}

fn delay(cx: &mut Cx<'_>, node: &Node) -> Option<Duration> {
    cx.seconds(node, Duration::from_micros(1), Duration::from_secs(3600))
}

/// The kernel's `TASK_COMM_LEN` less the NUL.
const LONGEST_COMM: usize = 15;
/// keepalived's resolution of script times, since 2.3.2.
const MILLISECOND: Duration = Duration::from_millis(1);
/// What fits 32 bits of microseconds, as keepalived's other times.
const LONGEST: Duration = Duration::from_micros(4_294_967_295);
