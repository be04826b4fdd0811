//! Tokens to a tree of statements and blocks; follows `include`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::known::Kind;
use super::lexer::{Lexer, Token, Word, quoted};
use super::secrets;
use super::source::{FileId, MAX_FILES, MAX_TOTAL, Read, ReadError, Sources, Span};

/// A keyword with its words and, for some, its block.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) keyword: Word,
    pub(crate) args: Vec<Word>,
    pub(crate) block: Option<Block>,
}

impl Node {
    /// From the keyword to the last word.
    pub(crate) fn span(&self) -> Span {
        self.args.last().map_or(self.keyword.span, |last| self.keyword.span.to(last.span))
    }
}

/// What stands between braces.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) open: Span,
    pub(crate) nodes: Vec<Node>,
}

/// Reads the main file and everything it includes.
pub(crate) fn parse_file(path: &Path, sources: &mut Sources, diagnostics: &mut Diagnostics) -> Vec<Node> {
    match sources.read(path) {
        Ok(read) => {
            bad_utf8(&read, diagnostics);
            parse(read.file, path, sources, diagnostics)
        }
        Err(e) => {
            diagnostics.push(Diagnostic::unplaced(
                Code::Unreadable,
                format!("cannot read {}: {e}", quoted(&path.display().to_string())),
            ));
            Vec::new()
        }
    }
}

/// The same for a text in memory.
pub(crate) fn parse_text(
    path: &Path,
    text: &[u8],
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Vec<Node> {
    if text.len() > MAX_TOTAL {
        diagnostics.push(Diagnostic::unplaced(Code::Unreadable, ReadError::TooLarge.to_string()));
        return Vec::new();
    }
    let read = sources.add(path, text.to_vec());
    bad_utf8(&read, diagnostics);
    parse(read.file, path, sources, diagnostics)
}

fn parse(file: FileId, path: &Path, sources: &mut Sources, diagnostics: &mut Diagnostics) -> Vec<Node> {
    let mut builder = Builder {
        sources,
        diagnostics,
        root: Vec::new(),
        stack: Vec::new(),
        files: Vec::new(),
        statements: 0,
        stopped: false,
        suspect: None,
    };
    builder.file(file, path);
    builder.root
}

struct Builder<'a> {
    sources: &'a mut Sources,
    diagnostics: &'a mut Diagnostics,
    root: Vec<Node>,
    stack: Vec<Frame>,
    /// The files being read, by their canonical names: an include of one of them is a cycle.
    files: Vec<PathBuf>,
    statements: usize,
    stopped: bool,
    /// The first block whose closing brace stands further left than its keyword does: it may have closed another one.
    suspect: Option<(Word, Span)>,
}

/// A block whose closing brace has not come yet.
struct Frame {
    keyword: Word,
    args: Vec<Word>,
    open: Span,
    nodes: Vec<Node>,
    kind: Kind,
}

impl Builder<'_> {
    fn file(&mut self, file: FileId, path: &Path) {
        self.files.push(std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()));
        if let Some(text) = self.sources.get(file).map(|source| Arc::clone(&source.text)) {
            self.statements(&text, file, path);
        }
        self.files.pop();
    }

    fn statements(&mut self, text: &str, file: FileId, path: &Path) {
        let base = self.stack.len();
        let mut lexer = Lexer::new(text, file);
        let mut words: Vec<Word> = Vec::new();
        // Whether the last statement ended with its line, so that `{` on the next one is its block.
        let mut may_open = false;
        // Whether the rest of the line may be a password.
        let mut secret = false;
        while !self.stopped {
            let Some(token) = lexer.next_token(self.diagnostics) else { break };
            match token {
                Token::Word(mut word) => {
                    if secret {
                        self.sources.mark_secret(word.span);
                        word.secret = true;
                    }
                    secret = secret || secrets::announces_secret(&word.text);
                    if words.is_empty() {
                        lexer.set_in_command(is_of_script(&word.text));
                    }
                    if words.is_empty() && self.is_preprocessor(&word) {
                        lexer.skip_continued_line();
                        may_open = false;
                    } else {
                        words.push(word);
                    }
                }
                Token::EndOfLine => {
                    secret = false;
                    lexer.set_in_command(false);
                    if !words.is_empty() {
                        may_open = self.statement(std::mem::take(&mut words), path);
                    }
                }
                Token::Open(open) if words.first().is_some_and(|w| INCLUDES.contains(&&*w.text)) => {
                    self.diagnostics.push(
                        Diagnostic::error(
                            Code::NotSupportedYet,
                            open,
                            "lvsd has no braces in file patterns yet",
                        )
                        .label("write one `include` for each name, or quote the name if it has a brace"),
                    );
                    words.clear();
                    lexer.skip_continued_line();
                }
                Token::Open(open) if is_cut(&words, open) && self.kind() == Kind::Authentication => {
                    self.diagnostics.push(
                        Diagnostic::error(
                            Code::UnexpectedBlock,
                            open,
                            "a brace ends the password, as in keepalived",
                        )
                        .label("what follows would be read as a block")
                        .help("write `\"` before and after a password that has a brace"),
                    );
                    words.clear();
                    lexer.skip_line();
                }
                Token::Open(open) => {
                    lexer.set_in_command(false);
                    if words.is_empty()
                        && may_open
                        && let Some(node) = self.nodes().pop()
                    {
                        words.push(node.keyword);
                        words.extend(node.args);
                    }
                    may_open = false;
                    self.open(std::mem::take(&mut words), open, base);
                }
                Token::Close(close) => {
                    lexer.set_in_command(false);
                    if !words.is_empty() {
                        self.statement(std::mem::take(&mut words), path);
                    }
                    may_open = false;
                    self.close(close, base);
                }
            }
        }
        if !words.is_empty() && !self.stopped {
            self.statement(words, path);
        }
        while self.stack.len() > base {
            if !self.stopped {
                self.not_closed(None);
            }
            self.pop();
        }
    }

    /// A statement without a block; says whether a block may follow on the next line.
    fn statement(&mut self, words: Vec<Word>, path: &Path) -> bool {
        let Some(mut node) = self.node(words) else { return false };
        if INCLUDES.contains(&&*node.keyword.text) {
            self.include(&node, path);
            return false;
        }
        self.hide_secrets(&mut node);
        self.nodes().push(node);
        true
    }

    fn open(&mut self, words: Vec<Word>, open: Span, base: usize) {
        if self.stack.len() >= MAX_DEPTH {
            self.diagnostics.push(
                Diagnostic::error(Code::Limit, open, format!("blocks nest deeper than {MAX_DEPTH} levels"))
                    .label("reading stops here"),
            );
            self.stopped = true;
            return;
        }
        let Some(mut node) = self.node(words) else {
            if !self.stopped {
                self.diagnostics.push(
                    Diagnostic::error(Code::UnbalancedBrace, open, "a block without a keyword")
                        .label("no keyword stands before this brace"),
                );
                self.stack.push(Frame {
                    keyword: Word { text: "".into(), span: open, secret: false },
                    args: Vec::new(),
                    open,
                    nodes: Vec::new(),
                    kind: Kind::List,
                });
            }
            return;
        };
        self.recover(&node, base);
        self.hide_secrets(&mut node);
        let kind = self.kind().child(&node.keyword.text);
        self.stack.push(Frame { keyword: node.keyword, args: node.args, open, nodes: Vec::new(), kind });
    }

    /// A block that can only start further out: the braces between are missing, and this is where that shows.
    fn recover(&mut self, node: &Node, base: usize) {
        let word = &*node.keyword.text;
        if self.kind().knows(word) {
            return;
        }
        let outer =
            self.stack.iter().take(self.stack.len().saturating_sub(1)).rposition(|f| f.kind.knows(word));
        let keep = match outer {
            Some(index) => index + 1,
            None if Kind::Top.knows(word) => 0,
            None => return,
        };
        if keep < base {
            return;
        }
        while self.stack.len() > keep {
            self.not_closed(Some(&node.keyword));
            self.pop();
        }
    }

    /// The innermost open block lacks its brace; that shows at a keyword, or else at the end of the file.
    fn not_closed(&mut self, shows_at: Option<&Word>) {
        let Some(frame) = self.stack.last() else { return };
        let message = format!("the block of {} is not closed", frame.keyword.shown());
        let mut diagnostic = Diagnostic::error(Code::UnbalancedBrace, frame.open, message);
        diagnostic = match shows_at {
            Some(word) => diagnostic
                .label("this brace has no closing `}`")
                .also(word.span, format!("{} cannot be inside of it", word.shown())),
            None => diagnostic.label("this brace has no closing `}` before the end of the file"),
        };
        if let Some((keyword, close)) = self.suspect.take() {
            diagnostic = diagnostic
                .also(keyword.span, format!("perhaps it is {} that lacks its brace", keyword.shown()))
                .also(close, "since this one stands further left");
        }
        self.diagnostics.push(diagnostic);
    }

    fn close(&mut self, close: Span, base: usize) {
        if self.stack.len() > base {
            if let Some(frame) = self.stack.last().filter(|_| self.suspect.is_none())
                && self.sources.indent(close) < self.sources.indent(frame.keyword.span)
            {
                self.suspect = Some((frame.keyword.clone(), close));
            }
            self.pop();
            if self.stack.is_empty() {
                self.suspect = None;
            }
        } else {
            self.diagnostics.push(
                Diagnostic::error(Code::UnbalancedBrace, close, "a closing brace too many")
                    .label("no block is open here")
                    .help("remove it, or look above for a `}` that closes a block too early"),
            );
        }
    }

    fn pop(&mut self) {
        if let Some(Frame { keyword, args, open, mut nodes, .. }) = self.stack.pop() {
            nodes.shrink_to_fit();
            self.nodes().push(Node { keyword, args, block: Some(Block { open, nodes }) });
        }
    }

    fn node(&mut self, mut args: Vec<Word>) -> Option<Node> {
        let keyword = args.drain(..1.min(args.len())).next()?;
        // Thousands of statements are in memory together.
        args.shrink_to_fit();
        self.statements += 1;
        if self.statements > MAX_STATEMENTS {
            self.diagnostics.push(
                Diagnostic::error(
                    Code::Limit,
                    keyword.span,
                    format!("the configuration has more than {MAX_STATEMENTS} statements"),
                )
                .label("reading stops here"),
            );
            self.stopped = true;
            return None;
        }
        for word in std::iter::once(&keyword).chain(&args) {
            // The variable's name is not quoted: a misplaced `${` takes whatever follows into the word.
            if word.text.contains("${") {
                self.diagnostics.push(
                    Diagnostic::error(
                        Code::NotSupportedYet,
                        word.span,
                        "lvsd does not replace variables (`${NAME}`) yet",
                    )
                    .label("write the value itself"),
                );
            }
        }
        Some(Node { keyword, args, block: None })
    }

    /// Lines that keepalived handles before it looks at keywords; lvsd refuses them, all of the line.
    fn is_preprocessor(&mut self, word: &Word) -> bool {
        let text = &*word.text;
        let what = if text.starts_with('@') {
            "conditional lines (`@id`)"
        } else if text.starts_with("~SEQ") || text.starts_with("~LST") {
            "repeated lines (`~SEQ`, `~LST`)"
        } else if text.starts_with('$') {
            "definitions and variables (`$NAME`)"
        } else {
            return false;
        };
        // The line is not understood, so nothing is known about what may be shown of it.
        let confidential = secrets::announces_secret(text) || self.kind() == Kind::Authentication;
        self.sources.mark_secret(if confidential { word.span.start() } else { word.span.end() });
        self.diagnostics.push(
            Diagnostic::error(Code::NotSupportedYet, word.span, format!("lvsd has no {what} yet"))
                .label("this line is not read"),
        );
        true
    }

    fn hide_secrets(&mut self, node: &mut Node) {
        if let Some(span) = secrets::hide(self.kind(), node) {
            self.sources.mark_secret(span);
        }
    }

    fn include(&mut self, node: &Node, path: &Path) {
        let keyword = &*node.keyword.text;
        let pattern = match &*node.args {
            [pattern] => pattern,
            [] => {
                self.diagnostics.push(
                    Diagnostic::error(
                        Code::MissingParameter,
                        node.keyword.span,
                        "`include` needs a file name",
                    )
                    .label("a file name or a pattern belongs here"),
                );
                return;
            }
            [_, surplus, ..] => {
                self.diagnostics.push(
                    Diagnostic::error(Code::SurplusWords, surplus.span, "`include` takes one file name")
                        .label("one word too many")
                        .help("quote a name that has spaces"),
                );
                return;
            }
        };
        let fail = |code, message: String, label: &str| {
            Diagnostic::error(code, pattern.span, message).label(label.to_owned())
        };
        if self.files.len() > MAX_INCLUDES {
            let message = format!("files include each other deeper than {MAX_INCLUDES} levels");
            self.diagnostics.push(fail(Code::Limit, message, "this file is not read"));
            return;
        }
        // Relative names start at the including file.
        let full = path.parent().unwrap_or(Path::new("")).join(&*pattern.text);
        let paths = if pattern.text.contains(['*', '?', '[']) {
            match matches(&full) {
                Ok(paths) => paths,
                Err(message) => {
                    self.diagnostics.push(fail(Code::BadValue, message, "in this pattern"));
                    return;
                }
            }
        } else {
            vec![full]
        };
        if paths.is_empty() && matches!(keyword, "includem" | "includew" | "includea") {
            let message = format!("no file matches {}", pattern.shown());
            self.diagnostics.push(fail(
                Code::Unreadable,
                message,
                "`include` would take an empty list, this does not",
            ));
        }
        for path in paths {
            let canonical = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if self.files.contains(&canonical) {
                let message = format!("{} includes itself", quoted(&path.display().to_string()));
                self.diagnostics.push(fail(Code::Limit, message, "this file is being read already"));
                continue;
            }
            match self.sources.read(&path) {
                Ok(read) => {
                    bad_utf8(&read, self.diagnostics);
                    self.file(read.file, &path);
                }
                Err(e) => {
                    let message = format!("cannot include {}: {e}", quoted(&path.display().to_string()));
                    let code = match e {
                        ReadError::Io(_) | ReadError::NotAFile => Code::Unreadable,
                        ReadError::TooLarge | ReadError::TooMany => Code::Limit,
                    };
                    self.diagnostics.push(fail(code, message, "included here"));
                }
            }
            if self.stopped {
                return;
            }
        }
    }

    fn kind(&self) -> Kind {
        self.stack.last().map_or(Kind::Top, |frame| frame.kind)
    }

    fn nodes(&mut self) -> &mut Vec<Node> {
        match self.stack.last_mut() {
            Some(frame) => &mut frame.nodes,
            None => &mut self.root,
        }
    }
}

/// Whether the words after a keyword are the command of a script, with escapes (keepalived 2.2.7, by experiment).
fn is_of_script(keyword: &str) -> bool {
    match keyword {
        "script" | "misc_path" | "startup_script" | "shutdown_script" | "quorum_up" | "quorum_down" => true,
        "notify_fifo" | "notify_priority_changes" => false,
        _ => keyword.starts_with("notify") || keyword.ends_with("notify_fifo_script"),
    }
}

/// Whether a brace stands right behind a password.
fn is_cut(words: &[Word], open: Span) -> bool {
    matches!(words, [keyword, .., last] if &*keyword.text == "auth_pass" && last.span.end() == open.start())
}

/// The files that match a pattern, by name, without directories.
fn matches(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let mut text = pattern.to_string_lossy().into_owned();
    // glob(3) has no `**`, and walking a whole tree is nothing that a configuration should do by mistake.
    while text.contains("**") {
        text = text.replace("**", "*");
    }
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..glob::MatchOptions::default()
    };
    let found = glob::glob_with(&text, options).map_err(|e| format!("bad pattern: {e}"))?;
    let mut paths = Vec::new();
    for path in found {
        let path = path.map_err(|e| format!("cannot look for files: {e}"))?;
        if !path.is_dir() {
            paths.push(path);
        }
        // One more than can be read, so that reading says that there are too many.
        if paths.len() > MAX_FILES {
            break;
        }
    }
    Ok(paths)
}

fn bad_utf8(read: &Read, diagnostics: &mut Diagnostics) {
    if let Some((span, byte)) = read.invalid {
        diagnostics.push(
            Diagnostic::error(Code::BadText, span, format!("the byte 0x{byte:02x} is not UTF-8"))
                .label("the first byte that cannot be read as text")
                .help("save the file as UTF-8; comments count too"),
        );
    }
}

/// keepalived's words for it; they differ in what a pattern without a match means.
pub(crate) const INCLUDES: [&str; 6] =
    ["include", "includer", "includem", "includew", "includeb", "includea"];
/// keepalived.conf nests five deep.
const MAX_DEPTH: usize = 32;
/// Of includes in includes.
const MAX_INCLUDES: usize = 16;
/// Some hundred megabytes of memory at the worst.
const MAX_STATEMENTS: usize = 2_000_000;
