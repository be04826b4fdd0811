//! `track_script`, `track_interface` and the like: entries that name an object and its weight.

use std::ops::RangeInclusive;

use lvs_vrrp::TrackedKind;

use super::super::diagnostic::{Code, Diagnostic};
use super::super::known::nearest;
use super::super::lexer::{Word, quoted};
use super::super::source::Span;
use super::super::tracking::Track;
use super::super::tree::Node;
use super::objects::Objects;
use super::{Cx, Keyword, inner};

/// An entry whose object is not looked up yet.
pub(super) struct Entry {
    kind: TrackedKind,
    name: Word,
    weight: Option<Weight>,
    /// From the name to the last word.
    at: Span,
}

/// A weight and whether it is reversed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) number: i16,
    pub(super) reverse: bool,
}

impl Weight {
    pub(super) const FAULT: Self = Self { number: 0, reverse: false };
}

/// A draft that tracks something.
pub(super) trait HasTracks {
    fn tracks(&mut self) -> &mut Vec<Entry>;
}

/// The row of `track_interface`, the same in `vrrp_instance` and `vrrp_sync_group`; so are the next ones.
pub(super) const fn interfaces<T: HasTracks>() -> Keyword<T> {
    Keyword::block("track_interface", "track_interface { NAME … }", 0, 0, |cx, n, d: &mut T| {
        entries(cx, n, TrackedKind::Interface, d.tracks());
    })
    .repeatable()
}

pub(super) const fn scripts<T: HasTracks>() -> Keyword<T> {
    Keyword::block("track_script", "track_script { NAME … }", 0, 0, |cx, n, d: &mut T| {
        entries(cx, n, TrackedKind::Script, d.tracks());
    })
    .repeatable()
}

pub(super) const fn files<T: HasTracks>() -> Keyword<T> {
    Keyword::block("track_file", "track_file { NAME … }", 0, 0, |cx, n, d: &mut T| {
        entries(cx, n, TrackedKind::File, d.tracks());
    })
    .repeatable()
}

pub(super) const fn processes<T: HasTracks>() -> Keyword<T> {
    Keyword::block("track_process", "track_process { NAME … }", 0, 0, |cx, n, d: &mut T| {
        entries(cx, n, TrackedKind::Process, d.tracks());
    })
    .repeatable()
}

/// `NAME [weight NUMBER [reverse|noreverse]]`
fn entries(cx: &mut Cx<'_>, node: &Node, kind: TrackedKind, entries: &mut Vec<Entry>) {
    for entry in inner(node) {
        if let Some(block) = &entry.block {
            cx.report(
                Diagnostic::error(Code::UnexpectedBlock, block.open, "a tracked object has no block here")
                    .label("this brace does not belong here"),
            );
        }
        let name = &entry.keyword;
        if kind == TrackedKind::Interface && cx.interface(&node.keyword.text, name).is_none() {
            continue;
        }
        let said = match entry.args.split_first() {
            None => Ok(None),
            Some((word, rest)) if &*word.text == "weight" => weight(cx, kind, word, rest),
            Some((word, _)) => {
                let label = match nearest(&word.text, ["weight"].into_iter()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "only `weight NUMBER` can follow a name".to_owned(),
                };
                let message = format!("`{}` does not know {}", &node.keyword.text, word.shown());
                cx.report(
                    Diagnostic::error(Code::BadValue, word.span, message)
                        .label(label)
                        .help("write each name on a line of its own, such as `NAME weight 20`"),
                );
                Err(Refused)
            }
        };
        if let Ok(weight) = said {
            entries.push(Entry { kind, name: name.clone(), weight, at: entry.span() });
        }
    }
}

/// It was reported.
pub(super) struct Refused;

fn weight(cx: &mut Cx<'_>, kind: TrackedKind, word: &Word, rest: &[Word]) -> Result<Option<Weight>, Refused> {
    let Some((number, rest)) = rest.split_first() else {
        cx.report(
            Diagnostic::error(Code::MissingParameter, word.span, "`weight` lacks its value")
                .label("a number has to follow"),
        );
        return Err(Refused);
    };
    let number = cx.weight(number, kind)?;
    let reverse = match rest {
        [] => false,
        [word] => cx.reverse(word).ok_or(Refused)?,
        [_, surplus, ..] => {
            cx.report(
                Diagnostic::error(Code::SurplusWords, surplus.span, "too many words for a tracked object")
                    .label("this does not belong here")
                    .help("write each name on a line of its own, such as `NAME weight 20`"),
            );
            return Err(Refused);
        }
    };
    // keepalived drops what is out of range, and says so.
    Ok(number.map(|number| Weight { number, reverse }))
}

impl Cx<'_> {
    /// A weight; of one that is out of the kind's range nothing is left but a warning.
    pub(super) fn weight(&mut self, word: &Word, kind: TrackedKind) -> Result<Option<i16>, Refused> {
        let range = kind.weights();
        let digits = word.text.strip_prefix('+').or(word.text.strip_prefix('-')).unwrap_or(&word.text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            let range = i64::from(*range.start())..=i64::from(*range.end());
            return self.signed("weight", word, range).map(|_| None).ok_or(Refused);
        }
        let number = word.text.parse::<i16>().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`weight` is out of range: {} is not used as it is", word.shown());
            self.instead(word, message, format!("must be from {} to {}", range.start(), range.end()));
        }
        Ok(number)
    }

    /// `reverse` or its opposite.
    pub(super) fn reverse(&mut self, word: &Word) -> Option<bool> {
        self.one_of("weight", word, &[("reverse", true), ("noreverse", false), ("no_reverse", false)])
    }

    /// A whole decimal number in a range that may reach below zero.
    pub(super) fn signed(&mut self, what: &str, word: &Word, range: RangeInclusive<i64>) -> Option<i64> {
        let text = &*word.text;
        let allowed = format!("allowed are whole numbers from {} to {}", range.start(), range.end());
        let digits = text.strip_prefix('+').or(text.strip_prefix('-')).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("`{what}` takes a whole number, not {}", word.shown());
            self.report(
                Diagnostic::error(Code::BadValue, word.span, message)
                    .label("not a whole number")
                    .help(allowed),
            );
            return None;
        }
        let number = text.parse::<i64>().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{what}` is out of range: {}", word.shown());
            self.report(
                Diagnostic::error(Code::OutOfRange, word.span, message)
                    .label(format!("must be from {} to {}", range.start(), range.end()))
                    .help(allowed),
            );
        }
        number
    }
}

/// Whose entries they are.
pub(super) struct Tracker<'a> {
    /// `vrrp_instance V`, for messages.
    pub(super) place: &'a str,
    /// The instance's own interface.
    pub(super) interface: Option<&'a str>,
    /// The group that makes the weights of a member's own entries ineffective.
    pub(super) ignores_weights_of: Option<&'a str>,
}

/// Looks the objects up; what is wrong with an entry is reported and the entry left out.
pub(super) fn resolve(
    cx: &mut Cx<'_>,
    entries: &[Entry],
    objects: &mut Objects,
    tracker: &Tracker<'_>,
) -> Vec<Track> {
    let mut tracks: Vec<(Track, Span)> = Vec::new();
    for entry in entries {
        let Some(default) = objects.use_object(cx, entry.kind, &entry.name) else { continue };
        let name = &*entry.name.text;
        let first = tracks.iter().find(|(track, _)| track.kind == entry.kind && track.name == name);
        if let Some((_, first)) = first {
            cx.report(
                Diagnostic::error(
                    Code::Duplicate,
                    entry.at,
                    format!("{} is tracked twice by {}", quoted(name), tracker.place),
                )
                .label("the second time")
                .also(*first, "the first time"),
            );
            continue;
        }
        let Weight { number, reverse } = entry.weight.unwrap_or(default);
        let track = Track { kind: entry.kind, name: name.to_owned(), weight: number, reverse };
        if track.kind == TrackedKind::Interface && tracker.interface == Some(name) {
            if !track.is_fault_only() || track.reverse {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        entry.at,
                        format!("{} is tracked by its own instance anyway", quoted(name)),
                    )
                    .label("this weight has no effect: without the interface there are no adverts"),
                );
            }
            continue;
        }
        let mut track = track;
        if let Some(group) = tracker.ignores_weights_of.filter(|_| !track.is_fault_only()) {
            let counts = weight_in_group(&mut track, entry.weight.is_some());
            let message = match counts {
                InGroup::Silently => None,
                InGroup::Counts => Some("counts, as in keepalived, which says that it is ignored"),
                InGroup::AsZero => Some("is taken as 0, as in keepalived: a fault unless the file holds 0"),
                InGroup::LeftOut => Some("is left out, as in keepalived"),
            };
            if let Some(message) = message {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        entry.at,
                        format!("the weight of {} {message}", quoted(name)),
                    )
                    .label(format!("{} is in the sync group {}", tracker.place, quoted(group)))
                    .help("track it in the group, so that the priorities of all members move together"),
                );
            }
            if counts == InGroup::LeftOut {
                continue;
            }
        }
        tracks.push((track, entry.at));
    }
    tracks.into_iter().map(|(track, _)| track).collect()
}

/// What the weight of a member's own entry is in a sync group that does not track weights.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InGroup {
    /// A weight as everywhere.
    Silently,
    /// The same, and keepalived says something else.
    Counts,
    /// A fault.
    AsZero,
    /// It is not tracked at all.
    LeftOut,
}

/// What keepalived 2.2.7 makes of it, by experiment; the track is changed to that.
fn weight_in_group(track: &mut Track, has_own_weight: bool) -> InGroup {
    match track.kind {
        TrackedKind::Interface => InGroup::Counts,
        TrackedKind::Process => InGroup::Silently,
        TrackedKind::File if !has_own_weight => {
            track.weight = Weight::FAULT.number;
            track.reverse = Weight::FAULT.reverse;
            InGroup::AsZero
        }
        // Files and scripts.
        _ => InGroup::LeftOut,
    }
}
