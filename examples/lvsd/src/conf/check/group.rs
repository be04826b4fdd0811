//! `vrrp_sync_group`: one block, and that no instance is in two of them.

use std::collections::BTreeMap;

use super::super::diagnostic::{Code, Diagnostic};
use super::super::known::{Kind, nearest};
use super::super::lexer::{Word, quoted};
use super::super::model::NotifyScripts;
use super::super::source::Span;
use super::super::tracking::SyncGroup;
use super::super::tree::Node;
use super::no_effect::Subject;
use super::objects::Objects;
use super::track::{self, Entry, HasTracks, Tracker};
use super::{Cx, Keyword, Seen, inner};

/// A group whose members and tracked objects are not looked up yet.
pub(super) struct Draft {
    name: Word,
    at: Span,
    members: Vec<Word>,
    tracks: Vec<Entry>,
    notify: NotifyScripts,
    notify_priority_changes: bool,
    tracks_weights: bool,
}

impl HasTracks for Draft {
    fn tracks(&mut self) -> &mut Vec<Entry> {
        &mut self.tracks
    }
}

/// Checks one block by itself.
pub(super) fn check(cx: &mut Cx<'_>, node: &Node) -> Option<Draft> {
    let mut draft = Draft {
        name: node.args.first()?.clone(),
        at: node.keyword.span,
        members: Vec::new(),
        tracks: Vec::new(),
        notify: NotifyScripts::default(),
        notify_priority_changes: false,
        tracks_weights: false,
    };
    cx.needs_name(&draft.name);
    let mut seen = Seen::default();
    cx.statements(Kind::SyncGroup, TABLE, inner(node), &mut draft, &mut seen);
    match &*draft.members {
        [] => {}
        [only] => cx.report(
            Diagnostic::warning(Code::Conflict, only.span, "a sync group of one instance has no effect")
                .label("its only member")
                .help("name the instances that have to move together"),
        ),
        _ => {}
    }
    Some(draft)
}

/// The groups that instances are in. As in keepalived, what cannot be a member is left out with a message.
pub(super) struct Memberships<'a> {
    of: BTreeMap<&'a str, &'a Draft>,
    /// The members of each group.
    members: Vec<Vec<String>>,
}

impl<'a> Memberships<'a> {
    /// Looks the members up among the names of all instances.
    pub(super) fn new(cx: &mut Cx<'_>, drafts: &'a [Draft], instances: &[&str]) -> Self {
        let mut of: BTreeMap<&str, (&Draft, Span)> = BTreeMap::new();
        let mut names: BTreeMap<&str, Span> = BTreeMap::new();
        let mut members: Vec<Vec<String>> = Vec::new();
        for draft in drafts {
            let mut kept = Vec::new();
            if let Some(first) = names.insert(&draft.name.text, draft.name.span) {
                let message = format!("two sync groups are named {}", draft.name.shown());
                cx.report(
                    Diagnostic::error(Code::Duplicate, draft.name.span, message)
                        .label("the second one")
                        .also(first, "the first one"),
                );
            }
            for member in &draft.members {
                let name = &*member.text;
                if !instances.contains(&name) {
                    unknown(cx, member, instances);
                } else if let Some((_, first)) = of.get(name) {
                    cx.report(
                        Diagnostic::warning(
                            Code::Duplicate,
                            member.span,
                            format!("{} is in a sync group already: it is left out here", member.shown()),
                        )
                        .label("the second time")
                        .also(*first, "the first time")
                        .help("an instance moves with one group only"),
                    );
                } else {
                    of.insert(name, (draft, member.span));
                    kept.push(name.to_owned());
                }
            }
            if kept.is_empty() {
                cx.report(
                    Diagnostic::warning(
                        Code::MissingKeyword,
                        draft.name.span,
                        format!("the sync group {} has no members: it is left out", draft.name.shown()),
                    )
                    .label("nothing moves together")
                    .help("add a line such as `group { VI_1 VI_2 }`"),
                );
            }
            members.push(kept);
        }
        Self { of: of.into_iter().map(|(name, (draft, _))| (name, draft)).collect(), members }
    }

    /// The members of each group, in the order of the groups; those that are left out are not among them.
    pub(super) fn into_members(self) -> Vec<Vec<String>> {
        self.members
    }

    /// The group that makes the weights of an instance's own trackers ineffective.
    pub(super) fn ignoring_weights_of(&self, instance: &str) -> Option<&'a str> {
        self.of.get(instance).filter(|draft| !draft.tracks_weights).map(|draft| &*draft.name.text)
    }
}

fn unknown(cx: &mut Cx<'_>, member: &Word, instances: &[&str]) {
    let label = match nearest_of(member, instances) {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None => "no `vrrp_instance` has this name".to_owned(),
    };
    cx.report(
        Diagnostic::warning(
            Code::BadValue,
            member.span,
            format!("there is no instance {}: it is left out, as in keepalived", member.shown()),
        )
        .label(label),
    );
}

fn nearest_of<'i>(member: &Word, instances: &[&'i str]) -> Option<&'i str> {
    nearest(&member.text, instances.iter().copied())
}

/// The groups as they are used, with these members; without the empty ones.
pub(super) fn finish(
    cx: &mut Cx<'_>,
    drafts: Vec<Draft>,
    members: Vec<Vec<String>>,
    objects: &mut Objects,
) -> Vec<SyncGroup> {
    drafts
        .into_iter()
        .zip(members)
        .filter(|(_, members)| !members.is_empty())
        .map(|(draft, members)| {
            let place = format!("the sync group {}", draft.name.shown());
            let tracker = Tracker { place: &place, interface: None, ignores_weights_of: None };
            SyncGroup {
                name: draft.name.text.to_string(),
                at: draft.at,
                members,
                track: track::resolve(cx, &draft.tracks, objects, &tracker),
                notify: draft.notify,
                notify_priority_changes: draft.notify_priority_changes,
            }
        })
        .collect()
}

pub(super) const TABLE: &[Keyword<Draft>] = &[
    Keyword::block("group", "group { NAME … }", 0, 0, |cx, n, d: &mut Draft| {
        for entry in inner(n) {
            if let Some(block) = &entry.block {
                cx.report(
                    Diagnostic::error(Code::UnexpectedBlock, block.open, "the name of a member has no block")
                        .label("this brace does not belong here"),
                );
            }
            d.members.extend([&entry.keyword].into_iter().chain(&entry.args).cloned());
        }
    })
    .first_holds(),
    track::interfaces(),
    track::scripts(),
    track::files(),
    track::processes(),
    notify("notify_master", "notify_master COMMAND [USER [GROUP]]", |cx, n, d| {
        d.notify.master = cx.script(n);
    }),
    notify("notify_backup", "notify_backup COMMAND [USER [GROUP]]", |cx, n, d| {
        d.notify.backup = cx.script(n);
    }),
    notify("notify_fault", "notify_fault COMMAND [USER [GROUP]]", |cx, n, d| d.notify.fault = cx.script(n)),
    notify("notify_stop", "notify_stop COMMAND [USER [GROUP]]", |cx, n, d| d.notify.stop = cx.script(n)),
    notify("notify", "notify COMMAND [USER [GROUP]]", |cx, n, d| d.notify.any = cx.script(n)),
    Keyword::boolean("smtp_alert", "smtp_alert [on|off]", |cx, n, _| {
        if cx.boolean(n) == Some(true) {
            cx.no_effect(Subject::Mail, n);
        }
    }),
    Keyword::boolean("notify_priority_changes", "notify_priority_changes [on|off]", |cx, n, d| {
        d.notify_priority_changes = cx.boolean(n).unwrap_or_default();
    }),
    Keyword::flag("global_tracking", |cx, n, d| {
        d.tracks_weights = true;
        cx.report(
            Diagnostic::warning(Code::Conflict, n.keyword.span, "`global_tracking` is deprecated")
                .label("it is taken as `sync_group_tracking_weight`, as in keepalived 2.2.7")
                .help("track the objects in the group itself"),
        );
    }),
    Keyword::flag("sync_group_tracking_weight", |_, _, d| d.tracks_weights = true),
];

const fn notify(
    name: &'static str,
    syntax: &'static str,
    apply: fn(&mut Cx<'_>, &Node, &mut Draft),
) -> Keyword<Draft> {
    Keyword::words(name, syntax, 1, 3, apply).first_holds()
}
