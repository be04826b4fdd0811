//! Reads keepalived.conf: text, tokens, tree with places, checked configuration.
//!
//! [`load`] gives a [`Config`] whose every value is in range, or the reasons why there is none; it changes nothing
//! anywhere and does not look at the machine it runs on. [`render`] shows the reasons to people.
//!
//! ```
//! let text = "vrrp_instance VI_1 {\n  interface eth0\n  virtual_router_id 51\n  priority 300\n}\n";
//! let loaded = lvsd::conf::parse("example.conf", text.as_bytes());
//! assert!(loaded.config.is_none());
//! let shown = lvsd::conf::render(&loaded.report, lvsd::conf::Style::Plain);
//! assert!(shown.contains("example.conf:4:12"), "{shown}");
//! ```

mod check;
mod diagnostic;
mod known;
mod lexer;
pub mod model;
mod render;
mod secrets;
mod source;
pub mod tracking;
mod tree;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use diagnostic::{Code, Diagnostic, Diagnostics, Report, Severity};
pub use model::Config;
pub use render::{Style, render};
pub use source::{Location, Sources, Span};

/// A configuration, if it may be used, and all that was said about it.
#[derive(Debug)]
pub struct Loaded {
    /// `None` if there was an error.
    pub config: Option<Config>,
    /// Errors and warnings.
    pub report: Report,
}

impl Loaded {
    /// Refuses the configuration for something that only the machine it runs on shows.
    pub(crate) fn refuse(&mut self, at: Span, message: String) {
        self.config = None;
        self.report.diagnostics.push(Diagnostic::error(Code::BadValue, at, message).label("asked for here"));
        self.report.diagnostics.sort();
    }

    /// Warns of a script's program that this machine cannot run.
    pub(crate) fn warn_of_program(&mut self, at: Span, message: String) {
        self.report.diagnostics.push(
            Diagnostic::warning(Code::BadValue, at, message)
                .label("in this block")
                .help("install the program and make it executable, or correct its path"),
        );
        self.report.diagnostics.sort();
    }

    /// Whether the main file could not be read at all.
    pub fn is_unreadable(&self) -> bool {
        self.report.diagnostics.iter().any(|d| d.code == Code::Unreadable && d.span.is_none())
    }
}

/// Reads a file and what it includes.
pub fn load(path: &Path) -> Loaded {
    let mut report = Report::default();
    let nodes = tree::parse_file(path, &mut report.sources, &mut report.diagnostics);
    finish(&nodes, report)
}

/// The same for a text in memory; `name` stands in messages, and includes are looked for beside it.
pub fn parse(name: &str, text: &[u8]) -> Loaded {
    let mut report = Report::default();
    let path = Path::new(name);
    let nodes = tree::parse_text(path, text, &mut report.sources, &mut report.diagnostics);
    finish(&nodes, report)
}

fn finish(nodes: &[tree::Node], mut report: Report) -> Loaded {
    let config = check::check(nodes, &mut report.diagnostics);
    if config.instances.is_empty() && config.virtual_servers.is_empty() && !report.has_errors() {
        report.diagnostics.push(Diagnostic::unplaced(
            Code::MissingKeyword,
            "the configuration has no `vrrp_instance` and no `virtual_server`: there is nothing to do",
        ));
    }
    report.diagnostics.sort();
    Loaded { config: (!report.has_errors()).then_some(config), report }
}
