//! Finds the places in formatted Rust where an operator can be changed.

use std::fmt;

/// One change at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// The file, from the directory of the workspace.
    pub(crate) file: String,
    /// From 1.
    line: usize,
    /// From 0, in octets.
    column: usize,
    from: String,
    to: String,
}

impl Mutant {
    /// The source with this change; `None` if it is another source.
    pub(crate) fn apply(&self, source: &str) -> Option<String> {
        let line = source.split_inclusive('\n').nth(self.line - 1)?;
        let start =
            source.split_inclusive('\n').take(self.line - 1).map(str::len).sum::<usize>() + self.column;
        line.get(self.column..)?.starts_with(&self.from).then_some(())?;
        let rest = source.get(start + self.from.len()..)?;
        Some(format!("{}{}{rest}", source.get(..start)?, self.to))
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{} {} -> {}",
            self.file,
            self.line,
            self.column + 1,
            self.from.trim(),
            self.to.trim()
        )
    }
}

/// All mutants of a file: of its comparisons, and in `timing.rs` of its arithmetic too. Tests are left out: they
/// come last.
pub(crate) fn mutants(file: &str, source: &str) -> Vec<Mutant> {
    let has_arithmetic = file.ends_with("timing.rs");
    let mut mutants = Vec::new();
    for (number, line) in source.lines().enumerate().take_while(|(_, line)| *line != "#[cfg(test)]") {
        let trimmed = line.trim_start();
        if trimmed.starts_with("//") || trimmed.starts_with("#[") {
            continue;
        }
        let code = line.split(" // ").next().unwrap_or(line);
        let mut add = |column: usize, from: &str, to: &str| {
            let (file, from, to) = (file.to_owned(), from.to_owned(), to.to_owned());
            mutants.push(Mutant { file, line: number + 1, column, from, to });
        };
        for (from, changes) in COMPARISONS.iter().chain(if has_arithmetic { ARITHMETIC } else { &[] }) {
            for (column, _) in code.match_indices(from).filter(|(column, _)| !is_quoted(code, *column)) {
                changes.iter().for_each(|to| add(column, from, to));
            }
        }
        for (column, call) in calls(code, ".cmp(") {
            add(column, call, &format!("{call}.reverse()"));
        }
        if has_arithmetic {
            for (column, number) in numbers(code) {
                add(column, number, &format!("({number} + 1)"));
            }
        }
    }
    mutants
}

/// rustfmt puts spaces around operators, and none around the brackets of generics.
const COMPARISONS: &[(&str, &[&str])] = &[
    (" >= ", &[" > ", " < "]),
    (" <= ", &[" < ", " > "]),
    (" > ", &[" >= ", " < "]),
    (" < ", &[" <= ", " > "]),
    (" == ", &[" != "]),
    (" != ", &[" == "]),
    (" && ", &[" || "]),
    (" || ", &[" && "]),
    (".min(", &[".max("]),
    (".max(", &[".min("]),
];

const ARITHMETIC: &[(&str, &[&str])] = &[
    (" + ", &[" - "]),
    (" - ", &[" + "]),
    (" * ", &[" / "]),
    (" / ", &[" * "]),
    (".saturating_add(", &[".saturating_sub("]),
    (".saturating_mul(", &[".saturating_mul(1 + "]),
];

fn is_quoted(code: &str, column: usize) -> bool {
    code.get(..column).is_some_and(|before| before.matches('"').count() % 2 == 1)
}

/// Calls of this method that end on the same line.
fn calls<'a>(code: &'a str, method: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    code.match_indices(method).filter_map(move |(column, _)| {
        let rest = code.get(column..)?;
        let mut depth = 0_i32;
        let end = rest.char_indices().find_map(|(place, character)| {
            depth += match character {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            (character == ')' && depth == 0).then_some(place)
        })?;
        Some((column, rest.get(..=end)?))
    })
}

/// Numbers of two digits or more; those of one are names of places more often than arithmetic.
fn numbers(code: &str) -> Vec<(usize, &str)> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut numbers = Vec::new();
    let mut column = 0;
    for word in code.split_inclusive(|character| !is_part(character)) {
        let number = word.trim_end_matches(|character| !is_part(character));
        if number.len() > 1 && number.chars().all(|character| character.is_ascii_digit() || character == '_')
        {
            numbers.push((column, number));
        }
        column += word.len();
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_is_changed_once_in_each_way_and_comments_are_left_alone() {
        let source = "/// a > b\nfn f() {\n    if a >= b && c.cmp(&d(e)) == x { v: Vec<u8> } // a < b\n}\n#[cfg(test)]\n a < b\n";
        let mutants = mutants("router.rs", source);
        let shown: Vec<String> = mutants.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "router.rs:3:9 >= -> >",
                "router.rs:3:9 >= -> <",
                "router.rs:3:30 == -> !=",
                "router.rs:3:14 && -> ||",
                "router.rs:3:19 .cmp(&d(e)) -> .cmp(&d(e)).reverse()",
            ]
        );
        let changed = mutants[1].apply(source).expect("it is the same source");
        assert!(changed.contains("if a < b && c"), "{changed}");
        assert_eq!(mutants[1].apply("other"), None);
    }

    #[test]
    fn arithmetic_is_changed_where_time_is_computed() {
        let mutants = mutants("timing.rs", "    let steps = 256 - priority.get() as u64;\n");
        let shown: Vec<String> = mutants.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["timing.rs:1:20 - -> +", "timing.rs:1:17 256 -> (256 + 1)"]);
    }
}
