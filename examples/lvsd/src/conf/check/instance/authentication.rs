//! `authentication`: the block, and which versions have it.

use super::super::{Cx, Keyword, first};
use super::Draft;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::model::{Password, Version};

impl Draft {
    pub(super) fn password(&mut self, cx: &mut Cx<'_>, version: Version) -> Option<Password> {
        let at = self.authentication_at?;
        let given = std::mem::take(&mut self.authentication);
        if given.failed {
            return None;
        }
        match (given.kind, given.password) {
            (Some(AuthType::Pass), Some(password)) if version == Version::V2 => Some(password),
            (Some(AuthType::Pass), Some(_)) => {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        at,
                        "VRRP version 3 has no authentication: the block is left out",
                    )
                    .label("adverts carry no password"),
                );
                None
            }
            (Some(AuthType::Pass), None) => {
                cx.report(
                    Diagnostic::error(Code::MissingKeyword, at, "`auth_type PASS` without a password")
                        .label("`auth_pass` is missing in this block")
                        .help("add a line `auth_pass` with 1 to 8 characters, the same on all routers"),
                );
                None
            }
            (Some(AuthType::None), _) => None,
            (None, _) => {
                cx.report(
                    Diagnostic::warning(
                        Code::MissingKeyword,
                        at,
                        "`authentication` without `auth_type`: adverts carry no password, as in keepalived",
                    )
                    .label("this block has no effect")
                    .help("add a line `auth_type PASS`, or remove the block"),
                );
                None
            }
        }
    }
}

#[derive(Default)]
pub(in crate::conf::check) struct AuthenticationDraft {
    kind: Option<AuthType>,
    password: Option<Password>,
    /// Something in the block was refused already.
    pub(super) failed: bool,
}

#[derive(Clone, Copy)]
enum AuthType {
    Pass,
    None,
}

pub(in crate::conf::check) const AUTHENTICATION: &[Keyword<AuthenticationDraft>] = &[
    Keyword::value("auth_type", "auth_type PASS", |cx, n, d| {
        let word = first(n);
        if &*word.text == "AH" {
            cx.report(
                Diagnostic::error(
                    Code::NotSupportedYet,
                    word.span,
                    "`auth_type AH` is known to keepalived; lvsd does not support it yet",
                )
                .label("not supported yet")
                .help("`PASS` is; it is sent in clear text and protects from mistakes only"),
            );
        } else {
            d.kind = cx.one_of("auth_type", word, &[("PASS", AuthType::Pass), ("none", AuthType::None)]);
        }
        d.failed |= d.kind.is_none();
    }),
    Keyword::value("auth_pass", "auth_pass PASSWORD", |cx, n, d| {
        let word = first(n);
        d.password = Password::new(&word.text);
        if d.password.is_none() {
            d.failed = true;
            cx.bad(word, "the password is empty", "write 1 to 8 characters");
        } else if word.text.len() > 8 {
            cx.report(
                Diagnostic::warning(
                    Code::OutOfRange,
                    word.span,
                    "the password is longer than 8 bytes: the rest is not used, as in keepalived",
                )
                .label("only its first 8 bytes count"),
            );
        }
    }),
];
