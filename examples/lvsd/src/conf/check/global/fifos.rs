//! `notify_fifo` and its like: where changes are written, and who is started to read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::{Cx, first};
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::model::{FifoScope, NotifyFifo, Script, ScriptUser};
use crate::conf::source::Span;
use crate::conf::tree::Node;

/// What was said about the three of them so far.
#[derive(Default)]
pub(in crate::conf::check) struct FifoDrafts(BTreeMap<FifoScope, Draft>);

#[derive(Default)]
struct Draft {
    path: Option<(PathBuf, Span)>,
    /// Where the keyword stands, also if what it says is wrong.
    said: Option<Span>,
    owner: Option<ScriptUser>,
    reader: Option<(Script, Span)>,
}

impl FifoDrafts {
    /// `PATH [USER [GROUP]]`
    pub(super) fn set(&mut self, cx: &mut Cx<'_>, node: &Node, scope: FifoScope) {
        let draft = self.0.entry(scope).or_default();
        draft.said = Some(node.keyword.span);
        draft.owner = cx.user(node.args.get(1..).unwrap_or(&[]));
        let word = first(node);
        let path = Path::new(&*word.text);
        // keepalived takes it from the directory that it was started in.
        if !path.is_absolute() || path.file_name().is_none() {
            cx.bad(
                word,
                format!("`{}` takes the absolute path of a FIFO, not {}", scope.keyword(), word.shown()),
                "write a path such as `/run/keepalived/notify`",
            );
            return;
        }
        draft.path = Some((path.to_owned(), word.span));
    }

    /// `COMMAND [USER [GROUP]]`
    pub(super) fn set_reader(&mut self, cx: &mut Cx<'_>, node: &Node, scope: FifoScope) {
        let script = cx.script(node);
        self.0.entry(scope).or_default().reader = script.map(|script| (script, node.keyword.span));
    }

    pub(super) fn finish(self, cx: &mut Cx<'_>) -> Vec<NotifyFifo> {
        let mut fifos: Vec<(NotifyFifo, Span)> = Vec::new();
        for (scope, draft) in self.0 {
            let Some((path, path_at)) = draft.path else {
                if let (Some((_, at)), None) = (draft.reader, draft.said) {
                    unread(cx, scope, at);
                }
                continue;
            };
            if let Some((other, at)) = fifos.iter().find(|(other, _)| other.path == path) {
                cx.report(
                    Diagnostic::error(
                        Code::Duplicate,
                        path_at,
                        format!("`{}` and `{}` are the same FIFO", other.scope.keyword(), scope.keyword()),
                    )
                    .label("the second time")
                    .also(*at, "the first time")
                    .help("name two files, or `notify_fifo` alone: it is told of everything"),
                );
                continue;
            }
            let at = draft.said.unwrap_or(path_at);
            fifos.push((NotifyFifo { scope, at, path, owner: draft.owner, reader: draft.reader }, path_at));
        }
        fifos.into_iter().map(|(fifo, _)| fifo).collect()
    }
}

fn unread(cx: &mut Cx<'_>, scope: FifoScope, at: Span) {
    let keyword = scope.keyword();
    cx.report(
        Diagnostic::warning(
            Code::Unused,
            at,
            format!("`{keyword}_script` has no FIFO to read: it is not run"),
        )
        .label(format!("there is no `{keyword}`"))
        .help(format!("add a line such as `{keyword} /run/keepalived/notify`")),
    );
}
