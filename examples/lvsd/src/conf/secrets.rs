//! Which words of a configuration are passwords and must never be printed, also where the line is wrong.

use super::known::{Kind, nearest};
use super::source::Span;
use super::tree::Node;

/// Marks the words of a statement that may be a password; gives the last span that may be shown, if what follows it
/// on its line may not be.
pub(crate) fn hide(kind: Kind, node: &mut Node) -> Option<Span> {
    if !matches!(kind, Kind::Authentication | Kind::AuthHmac | Kind::Ssl) {
        return None;
    }
    let keyword = node.keyword.span;
    let mut shown = None;
    let mut hiding = false;
    for (index, word) in std::iter::once(&mut node.keyword).chain(&mut node.args).enumerate() {
        let public = PUBLIC.contains(&&*word.text) || (index == 0 && is_nearly_public(&word.text));
        hiding = hiding || word.secret || !public;
        if hiding {
            word.secret = true;
        } else {
            shown = Some(word.span);
        }
    }
    Some(shown.map_or_else(|| keyword.start(), Span::end))
}

/// Whether what follows a word is a password, if the word was meant as it seems.
pub(crate) fn announces_secret(word: &str) -> bool {
    let has = |part: &[u8]| word.as_bytes().windows(part.len()).any(|w| w.eq_ignore_ascii_case(part));
    if word.eq_ignore_ascii_case("pass") {
        return false;
    }
    // Every word comes by here, and few are so much like it that comparing letter by letter is worth while.
    let is_like = word.len() >= 6 && (has(b"aut") || has(b"h_p") || has(b"ass"));
    has(b"pass") || has(b"secret") || (is_like && nearest(word, ["auth_pass"].into_iter()).is_some())
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
