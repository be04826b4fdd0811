//! Tree to checked configuration: which words stand where is in the tables of this folder, one per block.

mod addresses;
mod checker;
mod global;
mod group;
mod instance;
mod no_effect;
mod objects;
mod server;
mod track;
mod values;

use super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::known::{Kind, homes, nearest};
use super::lexer::Word;
use super::model::{Config, VrrpInstance};
use super::source::Span;
use super::tree::Node;
use no_effect::NoEffects;

/// Checks everything; what it gives back is only good if no error was reported.
pub(crate) fn check(nodes: &[Node], diagnostics: &mut Diagnostics) -> Config {
    let mut cx = Cx { diagnostics, no_effects: NoEffects::default() };
    cx.statements(Kind::Top, TOP, nodes, &mut (), &mut Seen::default());
    let of = |keyword| nodes.iter().filter(move |n| &*n.keyword.text == keyword && n.block.is_some());

    // First, wherever it stands: its defaults hold for the whole file. It may be there more than once.
    let mut global = global::Draft::default();
    let mut seen = Seen::default();
    for node in of("global_defs") {
        cx.statements(Kind::GlobalDefs, global::TABLE, inner(node), &mut global, &mut seen);
    }
    let mut objects = objects::Objects::default();
    for keyword in ["vrrp_script", "vrrp_track_process", "track_file", "vrrp_track_file"] {
        of(keyword).for_each(|node| objects.add(&mut cx, node));
    }
    let mut instances: Vec<_> =
        of("vrrp_instance").filter_map(|node| instance::check(&mut cx, node, &global)).collect();
    instance::check_all(&mut cx, &instances);
    let groups: Vec<_> = of("vrrp_sync_group").filter_map(|node| group::check(&mut cx, node)).collect();
    // Of instances that were refused the names count nevertheless.
    let names: Vec<&str> =
        of("vrrp_instance").filter_map(|node| node.args.first()).map(|name| &*name.text).collect();
    let memberships = group::Memberships::new(&mut cx, &groups, &names);
    for checked in &mut instances {
        checked.resolve_tracks(&mut cx, &mut objects, &memberships);
    }
    let members = memberships.into_members();
    let groups = group::finish(&mut cx, groups, members, &mut objects);
    objects.drop_unused(&mut cx);
    let virtual_servers: Vec<_> =
        of("virtual_server").filter_map(|node| server::check(&mut cx, node)).collect();
    let virtual_servers = server::check_all(&mut cx, virtual_servers);
    let sync = instances.iter_mut().filter_map(|checked| checked.sync.take()).collect();
    let routers: Vec<&VrrpInstance> = instances.iter().map(|checked| &checked.instance).collect();
    let global = global.finish(&mut cx, &routers, sync);
    server::warn_of_mixed_families(&mut cx, &virtual_servers, &global.lvs);
    std::mem::take(&mut cx.no_effects).report(cx.diagnostics);
    Config {
        global,
        instances: instances.into_iter().map(|checked| checked.instance).collect(),
        groups,
        scripts: objects.scripts,
        processes: objects.processes,
        files: objects.files,
        virtual_servers,
    }
}

/// The keywords lvsd supports, by block; what is not here is refused.
#[cfg(test)]
pub(crate) fn supported() -> Vec<(Kind, &'static str)> {
    fn names<T>(kind: Kind, table: &[Keyword<T>]) -> impl Iterator<Item = (Kind, &'static str)> {
        table.iter().map(move |keyword| (kind, keyword.name))
    }
    let mut all: Vec<_> = names(Kind::Top, TOP)
        .chain(names(Kind::GlobalDefs, global::TABLE))
        .chain(names(Kind::Instance, instance::TABLE))
        .chain(names(Kind::Authentication, instance::AUTHENTICATION))
        .chain(names(Kind::SyncGroup, group::TABLE))
        .chain(names(Kind::Script, objects::SCRIPT))
        .chain(names(Kind::TrackProcess, objects::PROCESS))
        .chain(names(Kind::TrackFile, objects::FILE))
        .chain(names(Kind::VirtualServer, server::VIRTUAL))
        .chain(names(Kind::RealServer, server::REAL))
        .chain(names(Kind::TcpCheck, checker::TCP))
        .chain(names(Kind::HttpGet, checker::HTTP))
        .chain(names(Kind::Url, checker::URL))
        .collect();
    all.extend(super::tree::INCLUDES.map(|name| (Kind::Top, name)));
    all
}

const TOP: &[Keyword<()>] = &[
    Keyword::block("global_defs", "global_defs { … }", 0, 0, |_, _, ()| {}).repeatable(),
    Keyword::block("vrrp_instance", "vrrp_instance NAME { … }", 1, 1, |_, _, ()| {}).repeatable(),
    Keyword::block("vrrp_sync_group", "vrrp_sync_group NAME { … }", 1, 1, |_, _, ()| {}).repeatable(),
    Keyword::block("vrrp_script", "vrrp_script NAME { … }", 1, 1, |_, _, ()| {}).repeatable(),
    Keyword::block("vrrp_track_process", "vrrp_track_process NAME { … }", 1, 1, |_, _, ()| {}).repeatable(),
    Keyword::block("track_file", "track_file NAME { … }", 1, 1, |_, _, ()| {}).repeatable(),
    Keyword::block("vrrp_track_file", "vrrp_track_file NAME { … }", 1, 1, |_, _, ()| {}).repeatable(),
    Keyword::block("virtual_server", "virtual_server ADDRESS PORT { … }", 1, 2, |_, _, ()| {}).repeatable(),
];

/// One keyword of a block: what may follow it and what it does to the block's draft.
struct Keyword<T> {
    name: &'static str,
    /// Keywords with the same name here say the same thing: only one of them may stand in a block.
    sets: &'static str,
    /// How it is written, for messages.
    syntax: &'static str,
    least: usize,
    most: usize,
    block: bool,
    again: Again,
    apply: Apply<T>,
}

/// What a second statement of the same keyword is in a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// An error, since only one can be meant.
    Refused,
    /// Left out with a warning, as in keepalived, which says so, too.
    LeftOut,
    /// As good as the first.
    Taken,
}

/// Puts what a statement says into the draft; the number of its words and its block are right already.
type Apply<T> = fn(&mut Cx<'_>, &Node, &mut T);

impl<T> Keyword<T> {
    const fn words(
        name: &'static str,
        syntax: &'static str,
        least: usize,
        most: usize,
        apply: Apply<T>,
    ) -> Self {
        Self { name, sets: name, syntax, least, most, block: false, again: Again::Refused, apply }
    }

    const fn flag(name: &'static str, apply: Apply<T>) -> Self {
        Self::words(name, name, 0, 0, apply)
    }

    /// A flag that may be followed by on, off and the like.
    const fn boolean(name: &'static str, syntax: &'static str, apply: Apply<T>) -> Self {
        Self::words(name, syntax, 0, 1, apply)
    }

    const fn value(name: &'static str, syntax: &'static str, apply: Apply<T>) -> Self {
        Self::words(name, syntax, 1, 1, apply)
    }

    const fn block(
        name: &'static str,
        syntax: &'static str,
        least: usize,
        most: usize,
        apply: Apply<T>,
    ) -> Self {
        Self { name, sets: name, syntax, least, most, block: true, again: Again::Refused, apply }
    }

    const fn sets(self, sets: &'static str) -> Self {
        Self { sets, ..self }
    }

    const fn repeatable(self) -> Self {
        Self { again: Again::Taken, ..self }
    }

    const fn first_holds(self) -> Self {
        Self { again: Again::LeftOut, ..self }
    }
}

/// Where each thing was said first. A block has few of them.
#[derive(Default)]
struct Seen(Vec<(&'static str, Span)>);

/// What every check needs.
struct Cx<'d> {
    diagnostics: &'d mut Diagnostics,
    /// What was read and changes nothing.
    no_effects: NoEffects,
}

impl Cx<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Goes through the statements of a block by the block's table.
    fn statements<T>(
        &mut self,
        kind: Kind,
        table: &[Keyword<T>],
        nodes: &[Node],
        draft: &mut T,
        seen: &mut Seen,
    ) {
        for node in nodes {
            let Some(keyword) = table.iter().find(|k| *k.name == *node.keyword.text) else {
                // A block without a keyword was reported when it was read.
                if !node.keyword.text.is_empty() {
                    self.unknown(kind, table, node);
                }
                continue;
            };
            if self.has_shape(kind, keyword, node) && self.is_first(kind, keyword, node, seen) {
                (keyword.apply)(self, node, draft);
            }
        }
    }

    /// Whether words and block are what the keyword takes.
    fn has_shape<T>(&mut self, kind: Kind, keyword: &Keyword<T>, node: &Node) -> bool {
        let name = keyword.name;
        let form = format!("write `{}`", keyword.syntax);
        if node.args.len() < keyword.least {
            let message =
                format!("`{name}` lacks {}", if keyword.most == 1 { "its value" } else { "a value" });
            self.report(
                Diagnostic::error(Code::MissingParameter, node.span(), message)
                    .label("something has to follow on this line")
                    .help(form),
            );
            return false;
        }
        if let Some(surplus) = node.args.get(keyword.most) {
            let takes = match keyword.most {
                0 => "no value".to_owned(),
                1 => "one value".to_owned(),
                n => format!("at most {n} values"),
            };
            let help = if kind.knows(&surplus.text) {
                format!("{} starts a statement of its own: put it on the next line", surplus.shown())
            } else {
                form
            };
            let last = node.args.last().map_or(surplus.span, |last| last.span);
            self.report(
                Diagnostic::error(
                    Code::SurplusWords,
                    surplus.span.to(last),
                    format!("`{name}` takes {takes}"),
                )
                .label("this does not belong here")
                .help(help),
            );
            return false;
        }
        match (&node.block, keyword.block) {
            (None, true) => {
                self.report(
                    Diagnostic::error(Code::MissingBlock, node.span(), format!("`{name}` needs a block"))
                        .label("an opening brace `{` has to follow")
                        .help(form),
                );
                false
            }
            (Some(block), false) => {
                self.report(
                    Diagnostic::error(
                        Code::UnexpectedBlock,
                        block.open,
                        format!("`{name}` does not have a block"),
                    )
                    .label("this brace does not belong here")
                    .help(form),
                );
                false
            }
            _ => true,
        }
    }

    fn is_first<T>(&mut self, kind: Kind, keyword: &Keyword<T>, node: &Node, seen: &mut Seen) -> bool {
        if keyword.again == Again::Taken {
            return true;
        }
        match seen.0.iter().find(|(sets, _)| *sets == keyword.sets) {
            None => {
                seen.0.push((keyword.sets, node.keyword.span));
                true
            }
            Some((_, first)) => {
                let same = keyword.sets == keyword.name;
                let message = if same {
                    format!("`{}` is there twice", keyword.name)
                } else {
                    format!("`{}` is said already, by this or another word for it", keyword.name)
                };
                let at = node.keyword.span;
                let diagnostic = match keyword.again {
                    Again::LeftOut => {
                        let message = format!("{message}: this one is left out, as in keepalived");
                        Diagnostic::warning(Code::Duplicate, at, message).help("remove one of them")
                    }
                    _ if LAST_HOLDS.contains(&kind) => Diagnostic::error(Code::Duplicate, at, message)
                        .help("remove one of them; keepalived would silently use the last"),
                    _ => Diagnostic::error(Code::Duplicate, at, message).help("remove one of them"),
                };
                self.report(diagnostic.label("the second time").also(*first, "the first time"));
                false
            }
        }
    }

    /// Whether an option of a line is there for the first time; those of one name exclude each other. `theirs` is what
    /// keepalived makes of two.
    fn is_first_option(&mut self, seen: &mut Seen, name: &'static str, word: &Word, theirs: &str) -> bool {
        let Some((_, first)) = seen.0.iter().find(|(known, _)| *known == name) else {
            seen.0.push((name, word.span));
            return true;
        };
        let message = if name == &*word.text {
            format!("`{name}` is there twice")
        } else {
            format!("{} comes after another word for the {name}", word.shown())
        };
        self.report(
            Diagnostic::error(Code::Duplicate, word.span, message)
                .label("the second time")
                .also(*first, "the first time")
                .help(format!("remove one of them; {theirs}")),
        );
        false
    }

    fn unknown<T>(&mut self, kind: Kind, table: &[Keyword<T>], node: &Node) {
        // Looking for the nearest spelling takes its time.
        if self.diagnostics.count_only() {
            return;
        }
        let word = &node.keyword;
        let shown = word.shown();
        let place = place(kind);
        if kind.knows(&word.text) {
            self.report(
                Diagnostic::error(
                    Code::NotSupportedYet,
                    word.span,
                    format!("{shown} is a keyword of keepalived that lvsd does not support yet"),
                )
                .label("not supported yet")
                .help("docs/PARITY.md lists what is; nothing is ignored silently"),
            );
            return;
        }
        let mut diagnostic =
            Diagnostic::error(Code::UnknownKeyword, word.span, format!("unknown keyword {shown} {place}"));
        let mut elsewhere: Vec<Kind> = homes(&word.text).filter(|_| !word.secret).collect();
        if elsewhere.iter().any(|kind| SUPPORTED.contains(kind)) {
            elsewhere.retain(|kind| SUPPORTED.contains(kind));
        }
        let names: Vec<&str> = table.iter().map(|k| k.name).collect();
        let near = |candidates: &[&'static str]| nearest(&word.text, candidates.iter().copied());
        diagnostic = if !elsewhere.is_empty() {
            let blocks: Vec<String> = elsewhere.iter().map(|kind| block_name(*kind)).collect();
            diagnostic
                .label(format!("this belongs in {}", blocks.join(" or ")))
                .help("is there a brace too few or too many above?")
        } else if let Some(name) = near(&names) {
            diagnostic.label(format!("did you mean `{name}`?"))
        } else if let Some((block, name)) = SUPPORTED
            .into_iter()
            .find_map(|kind| near(&kind.words().collect::<Vec<_>>()).map(|name| (block_name(kind), name)))
            .filter(|_| near(&kind.words().collect::<Vec<_>>()).is_none())
        {
            diagnostic.label(format!("did you mean `{name}`? It belongs in {block}"))
        } else if let Some(name) = near(&kind.words().collect::<Vec<_>>()) {
            diagnostic.label(format!("did you mean `{name}`? (lvsd does not support it yet)"))
        } else {
            diagnostic.label("not known here")
        };
        if elsewhere.is_empty() {
            let mut names = names;
            names.sort_unstable();
            diagnostic = diagnostic.help(if names.len() > MOST_NAMES {
                format!("docs/PARITY.md lists what lvsd knows {place}")
            } else {
                format!("lvsd knows {place}: {}", names.join(", "))
            });
        }
        self.report(diagnostic);
    }

    /// A keyword without which the block is nothing. One that stands there and is wrong was reported already.
    fn needs(&mut self, node: &Node, what: &str, example: &str) {
        if !says(node, what) {
            self.report(lacks(node, what, example));
        }
    }

    /// A warning: what cannot be is replaced by something that keepalived takes, too.
    fn instead(&mut self, word: &Word, message: impl Into<String>, label: impl Into<String>) {
        self.report(Diagnostic::warning(Code::OutOfRange, word.span, message).label(label));
    }

    /// keepalived takes an empty one, by which then nobody can speak of what it is the name of.
    fn needs_name(&mut self, name: &Word) {
        if name.text.is_empty() {
            self.bad(name, "the name is empty", "write one that logs and scripts can say");
        }
    }

    fn bad(&mut self, word: &Word, message: impl Into<String>, label: impl Into<String>) {
        self.report(Diagnostic::error(Code::BadValue, word.span, message).label(label));
    }
}

fn lacks(node: &Node, what: &str, example: &str) -> Diagnostic {
    Diagnostic::error(Code::MissingKeyword, node.span(), format!("`{}` has no `{what}`", &node.keyword.text))
        .label(format!("`{what}` is missing in this block"))
        .help(format!("add a line such as `{example}`"))
}

/// Whether the keyword stands in the block, rightly or wrongly.
fn says(node: &Node, keyword: &str) -> bool {
    inner(node).iter().any(|statement| &*statement.keyword.text == keyword)
}

/// The statements of a node's block; none if it has no block.
fn inner(node: &Node) -> &[Node] {
    node.block.as_ref().map_or(&[], |block| &block.nodes)
}

/// A statement's first word; the table has seen to it that there is one.
fn first(node: &Node) -> &Word {
    node.args.first().unwrap_or(&node.keyword)
}

/// Where keepalived 2.2.7 takes the last of several, by experiment.
const LAST_HOLDS: [Kind; 4] = [Kind::GlobalDefs, Kind::Instance, Kind::Authentication, Kind::Script];

/// More keywords than these are not listed in a message.
const MOST_NAMES: usize = 30;

fn block_name(kind: Kind) -> String {
    if kind == Kind::Top { "the top level".into() } else { format!("`{}`", kind.name()) }
}

/// The blocks that have a table here.
const SUPPORTED: [Kind; 13] = [
    Kind::Top,
    Kind::GlobalDefs,
    Kind::Instance,
    Kind::Authentication,
    Kind::SyncGroup,
    Kind::Script,
    Kind::TrackProcess,
    Kind::TrackFile,
    Kind::VirtualServer,
    Kind::RealServer,
    Kind::TcpCheck,
    Kind::HttpGet,
    Kind::Url,
];

fn place(kind: Kind) -> String {
    match kind {
        Kind::Top => "at the top level".into(),
        Kind::List => "here".into(),
        _ => format!("in `{}`", kind.name()),
    }
}
