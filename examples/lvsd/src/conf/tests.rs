//! What the files of a configuration become, right ones and wrong ones.

mod fifos;
mod hostile;
mod mended;
mod messages;
mod parity;
mod routers;
mod services;
mod strict;
mod tracking;
mod values;
mod words;

use super::{Code, Loaded, Style, parse, render};

/// Parses a text that stands for the file `a.conf`.
fn read(text: &str) -> Loaded {
    parse("a.conf", text.as_bytes())
}

fn shown(loaded: &Loaded) -> String {
    render(&loaded.report, Style::Plain)
}

/// Every complaint as `CODE LINE:COLUMN`.
fn complaints(text: &str) -> Vec<String> {
    let loaded = read(text);
    let report = &loaded.report;
    report
        .diagnostics
        .iter()
        .map(|d| match d.span.map(|span| report.sources.location(span)) {
            Some(at) => format!("{} {}:{}", d.code.name(), at.line, at.column),
            None => d.code.name().to_owned(),
        })
        .collect()
}

/// An instance that is all right, with more statements inside.
fn instance(more: &str) -> String {
    format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n 10.0.0.1\n }}\n{more}\n}}\n"
    )
}

/// A service that is all right, with more statements inside.
fn service(more: &str) -> String {
    format!(
        "virtual_server 10.0.0.1 80 {{\n lb_kind NAT\n protocol TCP\n real_server 10.0.0.2 80 {{\n }}\n{more}\n}}\n"
    )
}

fn has_code(loaded: &Loaded, code: Code) -> bool {
    loaded.report.diagnostics.iter().any(|d| d.code == code)
}
