use lvsd::conf::{Severity, Style, parse, render};

/// Input: the text of a keepalived.conf.
///
/// There is a configuration or an error that says why not, never both and never neither; every message has a place that
/// exists, and the whole report can be shown. Files are not included: an input must not read this machine's.
pub fn configuration(input: &[u8]) {
    if input.windows(7).any(|seven| seven.eq_ignore_ascii_case(b"include")) {
        return;
    }
    let loaded = parse("fuzz.conf", input);
    assert_eq!(loaded.config.is_none(), loaded.report.has_errors());
    for diagnostic in loaded.report.diagnostics.iter() {
        assert!(!diagnostic.message.is_empty());
        if let Some(span) = diagnostic.span {
            let location = loaded.report.sources.location(span);
            assert!(location.line >= 1 && location.column >= 1);
            let lines = input.split(|octet| *octet == b'\n').count();
            assert!(location.line <= lines, "line {} of {lines}", location.line);
        }
    }
    let errors = loaded.report.diagnostics.iter().filter(|it| it.severity == Severity::Error).count();
    assert!(errors <= loaded.report.diagnostics.errors());
    let shown = render(&loaded.report, Style::Plain);
    assert_eq!(shown.is_empty(), loaded.report.diagnostics.iter().next().is_none());
}
