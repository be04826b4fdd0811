//! `authentication`: the block, and which versions have it.

use super::super::{Cx, Keyword, first};
use super::Draft;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::model::{Authentication, Password, Version};

impl Draft {
    pub(super) fn authentication(&mut self, cx: &mut Cx<'_>, version: Version) -> Option<Authentication> {
        let at = self.authentication_at?;
        let given = std::mem::take(&mut self.authentication);
        if given.failed {
            return None;
        }
        match (given.kind, given.password) {
            (Some(AuthType::Pass | AuthType::Ah), Some(_)) if version == Version::V3 => {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        at,
                        "VRRP version 3 has no authentication: the block is left out",
                    )
                    .label("anybody on the network can send adverts"),
                );
                None
            }
            (Some(AuthType::Pass), Some(password)) => Some(Authentication::Pass(password)),
            (Some(AuthType::Ah), Some(password)) => Some(Authentication::Ah(password)),
            (Some(kind @ (AuthType::Pass | AuthType::Ah)), None) => {
                let name = if matches!(kind, AuthType::Ah) { "AH" } else { "PASS" };
                cx.report(
                    Diagnostic::warning(
                        Code::MissingKeyword,
                        at,
                        format!(
                            "`auth_type {name}` without a password: the block is left out, as in keepalived"
                        ),
                    )
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
    Ah,
    None,
}

pub(in crate::conf::check) const AUTHENTICATION: &[Keyword<AuthenticationDraft>] = &[
    Keyword::value("auth_type", "auth_type PASS|AH", |cx, n, d| {
        let names = [("PASS", AuthType::Pass), ("AH", AuthType::Ah), ("none", AuthType::None)];
        d.kind = cx.one_of("auth_type", first(n), &names);
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
