//! Diagnostics as text for people: the line itself, the spot marked, the remedy below.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Report, Severity};
use super::source::{Source, Span};

/// Whether the text may hold colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// No escape sequences: for files, pipes and logs.
    Plain,
    /// ANSI colours.
    Coloured,
}

impl Style {
    /// Coloured if it goes to a terminal and the environment variable `NO_COLOR` is unset or empty.
    pub fn for_output(is_terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        if is_terminal && !refused { Self::Coloured } else { Self::Plain }
    }
}

/// The whole report, one complaint after the other, with a last line that counts them; empty if there are none.
pub fn render(report: &Report, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for diagnostic in report.diagnostics.iter() {
        out.push_str(&one(diagnostic, report, &renderer));
        out.push_str("\n\n");
    }
    let (errors, warnings) = (report.diagnostics.errors(), report.diagnostics.warnings());
    if errors + warnings > 0 {
        let left_out = match report.diagnostics.left_out() {
            0 => String::new(),
            n => format!(" ({n} of them not shown)"),
        };
        out.push_str(&format!("{}, {}{left_out}\n", counted(errors, "error"), counted(warnings, "warning")));
    }
    out
}

fn one(diagnostic: &Diagnostic, report: &Report, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&diagnostic.message).id(diagnostic.code.name());
    let mut group = Group::with_title(title);
    if let Some(span) = diagnostic.span {
        // Each line is shown by itself: what stands between two marked lines is nobody's business.
        let mut marks = vec![(span, &diagnostic.label, AnnotationKind::Primary)];
        marks.extend(diagnostic.labels.iter().map(|(span, text)| (*span, text, AnnotationKind::Context)));
        while let Some((span, ..)) = marks.first().copied() {
            let Some(source) = report.sources.get(span.file()) else { break };
            let (line, start) = source.line_of(span.range().start);
            let (here, rest) = marks
                .into_iter()
                .partition(|(s, ..)| s.file() == span.file() && source.line_of(s.range().start).0 == line);
            marks = rest;
            group = show_line(group, report, source, line, start, here);
        }
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(help));
    }
    renderer.render(&[group])
}

fn show_line<'a>(
    group: Group<'a>,
    report: &Report,
    source: &'a Source,
    line: usize,
    start: usize,
    marks: Vec<(Span, &'a String, AnnotationKind)>,
) -> Group<'a> {
    let end = source.line_end(start);
    let path = printable(&source.path.display().to_string());
    if end - start > LONGEST_LINE {
        return marks.into_iter().fold(group, |group, (span, label, _)| {
            let column = report.sources.location(span).column;
            group
                .element(Origin::path(path.clone()).line(line + 1).char_column(column))
                .element(Level::NOTE.message(format!("the line is too long to be shown: {label}")))
        });
    }
    let hidden = hidden_from(source, start..end);
    let mut text = source.text.get(start..hidden.unwrap_or(end)).unwrap_or("").to_owned();
    let shown = text.len();
    if hidden.is_some() {
        text.push_str(MASK);
    }
    let place = |range: Range<usize>| -> Range<usize> {
        let from = range.start.saturating_sub(start);
        let to = range.end.min(end).saturating_sub(start);
        // What is hidden is marked as a whole.
        let from = from.min(shown);
        let to = if to > shown { text.len() } else { to };
        from..to.max(from)
    };
    let annotations: Vec<Annotation<'a>> = marks
        .into_iter()
        .map(|(span, label, kind)| {
            let annotation = kind.span(place(span.range()));
            if label.is_empty() { annotation } else { annotation.label(label) }
        })
        .collect();
    group.element(Snippet::source(text).line_start(line + 1).path(path).annotations(annotations))
}

/// From where a line must not be shown.
fn hidden_from(source: &Source, line: Range<usize>) -> Option<usize> {
    let text = source.text.get(line.clone()).unwrap_or("");
    // Commented-out passwords are passwords.
    let by_name = text.to_ascii_lowercase().find(NAME).map(|at| line.start + at + NAME.len());
    let from = source.secrets_in(&line).map(|s| s.start).chain(by_name).min()?;
    let rest = source.text.get(from..line.end)?;
    let blank = rest.len() - rest.trim_start().len();
    (blank < rest.len()).then_some(from + blank)
}

/// Without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_unicode().collect() } else { vec![c] }).collect()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What follows it is hidden wherever it stands.
const NAME: &str = "auth_pass";
/// Shown for a password of any length.
const MASK: &str = "********";
/// In bytes.
const LONGEST_LINE: usize = 4096;
