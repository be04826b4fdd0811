//! Which words of a configuration are passwords and must never be printed, also where the line is wrong.

use super::known::{Kind, nearest};
use super::source::Span;
use super::tree::Node;

/// Marks the words of a statement that may be a password; gives the place from which its line has to be hidden.
pub(crate) fn hide(kind: Kind, node: &mut Node) -> Option<Span> {
    let confidential = matches!(kind, Kind::Authentication | Kind::AuthHmac | Kind::Ssl);
    let mut hiding = false;
    let mut first = None;
    for (index, word) in std::iter::once(&mut node.keyword).chain(&mut node.args).enumerate() {
        let public = PUBLIC.contains(&&*word.text) || (index == 0 && is_nearly_public(&word.text));
        if hiding || (confidential && !public) {
            hiding = true;
            word.secret = true;
            first = first.or(Some(word.span));
        }
        hiding = hiding || announces_secret(&word.text);
    }
    first
}

/// Whether what follows a word is a password, if the word was meant as it seems.
fn announces_secret(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    lower != "pass"
        && (lower.contains("pass")
            || lower.contains("secret")
            || (word.len() >= 6 && nearest(&lower, ["auth_pass"].into_iter()).is_some()))
}

/// A misspelt keyword; a password is not likely to be one.
fn is_nearly_public(word: &str) -> bool {
    word.len() >= 6 && nearest(word, ["auth_type", "auth_pass"].into_iter()).is_some()
}

/// What may be shown inside a block that holds passwords.
const PUBLIC: [&str; 19] = [
    "auth_type",
    "auth_pass",
    "PASS",
    "AH",
    "none",
    "pass",
    "ah",
    "key",
    "active_key",
    "anti_replay",
    "time_window",
    "mode",
    "time",
    "monotonic",
    "enforce",
    "permissive",
    "receive-only",
    "password",
    "certificate",
];
