//! What is wrong with a configuration: each complaint with its place and its remedy.

use super::source::{Sources, Span};

/// How bad a complaint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// The configuration is used; the text says what was made of the words complained about.
    Warning,
}

/// What kind of complaint it is; the name in brackets is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `unreadable`: a file cannot be read.
    Unreadable,
    /// `bad-text`: bytes that are not UTF-8, NUL, invisible characters, a quote without its end.
    BadText,
    /// `limit`: more than this program takes.
    Limit,
    /// `unbalanced-brace`
    UnbalancedBrace,
    /// `unknown-keyword`: neither keepalived nor this program has it here.
    UnknownKeyword,
    /// `not-supported-yet`: keepalived has it, this program has not.
    NotSupportedYet,
    /// `missing-parameter`
    MissingParameter,
    /// `missing-block`: the keyword needs `{ … }`.
    MissingBlock,
    /// `unexpected-block`: the keyword has no `{ … }`.
    UnexpectedBlock,
    /// `surplus-words`: more words than the keyword takes.
    SurplusWords,
    /// `bad-value`: not of the type, or not one of the names, that the keyword takes.
    BadValue,
    /// `out-of-range`
    OutOfRange,
    /// `duplicate`: the second of something that can be there once.
    Duplicate,
    /// `missing-keyword`: a block lacks something that it must say.
    MissingKeyword,
    /// `conflict`: words that do not go together.
    Conflict,
    /// `unused`: something that nothing refers to.
    Unused,
    /// `no-effect`: keepalived reports something because of it; this program does not, and runs all the same.
    NoEffect,
}

impl Code {
    /// The printed name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::BadText => "bad-text",
            Self::Limit => "limit",
            Self::UnbalancedBrace => "unbalanced-brace",
            Self::UnknownKeyword => "unknown-keyword",
            Self::NotSupportedYet => "not-supported-yet",
            Self::MissingParameter => "missing-parameter",
            Self::MissingBlock => "missing-block",
            Self::UnexpectedBlock => "unexpected-block",
            Self::SurplusWords => "surplus-words",
            Self::BadValue => "bad-value",
            Self::OutOfRange => "out-of-range",
            Self::Duplicate => "duplicate",
            Self::MissingKeyword => "missing-keyword",
            Self::Conflict => "conflict",
            Self::Unused => "unused",
            Self::NoEffect => "no-effect",
        }
    }
}

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Which kind.
    pub code: Code,
    /// Where; `None` if no file could be read.
    pub span: Option<Span>,
    /// What is wrong, one line, lower-case, no full stop.
    pub message: String,
    /// What to write under the marked place; may be empty.
    pub label: String,
    /// Other places that belong to it.
    pub labels: Vec<(Span, String)>,
    /// What to do, one line each.
    pub help: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            span: Some(span),
            message: message.into(),
            label: String::new(),
            labels: Vec::new(),
            help: Vec::new(),
        }
    }

    pub(crate) fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    pub(crate) fn unplaced(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            span: None,
            message: message.into(),
            label: String::new(),
            labels: Vec::new(),
            help: Vec::new(),
        }
    }

    pub(crate) fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    pub(crate) fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push((span, text.into()));
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }
}

/// All complaints of one run, at most 100 of them; the rest is counted.
#[derive(Debug, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// The complaints, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.kept.iter()
    }

    /// Number of errors, those not kept included.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Number of warnings, those not kept included.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// Number of complaints that were counted only.
    pub fn left_out(&self) -> usize {
        (self.errors + self.warnings).saturating_sub(self.kept.len())
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        match diagnostic.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.kept.len() < MAX_KEPT {
            self.kept.push(diagnostic);
        } else if diagnostic.severity == Severity::Error {
            // A flood of warnings must not hide the reason of the refusal.
            if let Some(slot) = self.kept.iter_mut().rev().find(|d| d.severity == Severity::Warning) {
                *slot = diagnostic;
            }
        }
    }

    /// Counts an error that would not be kept anyway; says whether it did.
    pub(crate) fn count_only(&mut self) -> bool {
        let full = self.kept.len() >= MAX_KEPT && self.kept.iter().all(|d| d.severity == Severity::Error);
        self.errors += usize::from(full);
        full
    }

    pub(crate) fn sort(&mut self) {
        self.kept.sort_by_key(|d| d.span);
    }
}

/// What reading a configuration left to say, with the texts it refers to.
#[derive(Debug, Default)]
pub struct Report {
    /// The files.
    pub sources: Sources,
    /// The complaints.
    pub diagnostics: Diagnostics,
}

impl Report {
    /// Whether the configuration has to be refused.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.errors() > 0
    }
}

const MAX_KEPT: usize = 100;
