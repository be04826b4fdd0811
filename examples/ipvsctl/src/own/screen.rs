//! The terminal that `watch` draws on: its size, its keys, and its state, which is put back.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use tokio::sync::mpsc;

use crate::frame::Size;

/// The terminal for as long as something is drawn on it: another screen without a cursor, and keys that are not shown.
/// Dropped, it is as it was.
pub(super) struct Screen {
    /// What standard input was set to, if that is the terminal too and this the program in front.
    before: Option<Termios>,
    keys: Option<mpsc::Receiver<Key>>,
}

/// What somebody pressed to end.
pub(super) struct Key;

impl Screen {
    /// Whether standard output is a terminal.
    pub(super) fn is_there() -> bool {
        io::stdout().is_terminal()
    }

    /// Takes the terminal.
    pub(super) fn take() -> Self {
        // Who is in the background has no keys, and would be stopped for asking.
        let is_in_front =
            termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp());
        let before = is_in_front.then(|| termios::tcgetattr(io::stdin()).ok()).flatten();
        let keys = before.as_ref().and_then(|before| {
            let mut plain = before.clone();
            plain.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            // A stopped program could not put the terminal back; 0 is no key (_POSIX_VDISABLE).
            plain.special_codes[SpecialCodeIndex::VSUSP] = 0;
            termios::tcsetattr(io::stdin(), OptionalActions::Now, &plain).ok().map(|()| read_keys())
        });
        let screen = Self { before, keys };
        screen.tell(ENTER);
        screen
    }

    /// Its size; that of old terminals if it does not say.
    #[allow(clippy::unused_self, reason = "only a terminal has a size")]
    pub(super) fn size(&self) -> Size {
        let size = termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or(Size { columns: 80, rows: 24 }, |size| Size {
            columns: size.ws_col.into(),
            rows: size.ws_row.into(),
        })
    }

    /// Waits for `q`. Cancelling it is safe.
    pub(super) async fn end_key(&mut self) {
        if let Some(keys) = &mut self.keys {
            if keys.recv().await.is_some() {
                return;
            }
            self.keys = None;
        }
        std::future::pending().await
    }

    /// What draws these lines over what is there, without a flicker.
    pub(super) fn drawing(lines: &[String]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
        format!("\x1b[H{}\x1b[J", lines.join("\r\n"))
    }

    fn tell(&self, sequence: &str) {
        let mut output = io::stdout();
        // A terminal that is gone needs nothing.
        let _ = output.write_all(sequence.as_bytes()).and_then(|()| output.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tell(LEAVE);
        if let Some(before) = &self.before {
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// A thread that owns standard input until the program ends: reading a terminal cannot be given up.
fn read_keys() -> mpsc::Receiver<Key> {
    let (keys, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for byte in io::stdin().lock().bytes() {
            match byte {
                Ok(b'q' | b'Q') => {
                    let _ = keys.blocking_send(Key);
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

/// The other screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_begins_at_the_top_and_leaves_nothing_of_the_one_before() {
        let lines = ["one".to_owned(), String::new(), "two".to_owned()];
        assert_eq!(Screen::drawing(&lines), "\x1b[Hone\x1b[K\r\n\x1b[K\r\ntwo\x1b[K\x1b[J");
    }
}
