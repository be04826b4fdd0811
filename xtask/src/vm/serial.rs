//! Splits the guest's serial line into what its programs print and the marks that say where a job begins and ends.

/// A piece of the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes that a program printed.
    Output(Vec<u8>),
    /// The guest is up.
    Up,
    /// Job number … was started.
    Begin(usize),
    /// Job number … ended with this exit status (128 + signal when a signal ended it).
    End(usize, i32),
    /// Every job is done.
    Done,
}

/// A mark is the byte 1e (record separator), the run's own word, a space, and what happened, up to the end of the
/// line. The word is made for each run, so no program can print a mark by accident.
pub(super) struct Splitter {
    word: String,
    held: Vec<u8>,
}

impl Splitter {
    pub(super) fn new(word: &str) -> Splitter {
        Splitter { word: word.to_owned(), held: Vec::new() }
    }

    /// Takes what was read; returns the pieces that are complete, output as early as possible.
    pub(super) fn handle(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut output = Vec::new();
        for &byte in bytes {
            if self.held.is_empty() && byte != SEPARATOR {
                output.push(byte);
                continue;
            }
            self.held.push(byte);
            if byte != b'\n' && self.held.len() < LONGEST_MARK {
                continue;
            }
            let held = std::mem::take(&mut self.held);
            match self.mark(&held) {
                Some(mark) => {
                    if !output.is_empty() {
                        pieces.push(Piece::Output(std::mem::take(&mut output)));
                    }
                    pieces.push(mark);
                }
                None => output.extend(held),
            }
        }
        if !output.is_empty() {
            pieces.push(Piece::Output(output));
        }
        pieces
    }

    fn mark(&self, line: &[u8]) -> Option<Piece> {
        let line = std::str::from_utf8(line.strip_prefix(&[SEPARATOR])?).ok()?;
        let mut words = line.strip_prefix(&self.word)?.split_whitespace();
        let mark = match words.next()? {
            "up" => Piece::Up,
            "begin" => Piece::Begin(words.next()?.parse().ok()?),
            "end" => Piece::End(words.next()?.parse().ok()?, words.next()?.parse().ok()?),
            "done" => Piece::Done,
            _ => return None,
        };
        Some(mark)
    }
}

const SEPARATOR: u8 = 0x1e;
const LONGEST_MARK: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_whatever_the_reads_look_like() {
        let line = b"\x1ew1 up\nhello \x1ew1 begin 0\nno newline\x1ew1 end 0 101\n\x1ew1 done\n";
        let whole = Splitter::new("w1").handle(line);
        let expected = [
            Piece::Up,
            Piece::Output(b"hello ".to_vec()),
            Piece::Begin(0),
            Piece::Output(b"no newline".to_vec()),
            Piece::End(0, 101),
            Piece::Done,
        ];
        assert_eq!(whole, expected);

        let mut splitter = Splitter::new("w1");
        let mut marks = 0;
        let mut output = Vec::new();
        for byte in line {
            for piece in splitter.handle(&[*byte]) {
                match piece {
                    Piece::Output(bytes) => output.extend(bytes),
                    _ => marks += 1,
                }
            }
        }
        assert_eq!((marks, output.as_slice()), (4, b"hello no newline".as_slice()));
    }

    #[test]
    fn a_program_cannot_print_a_mark() {
        let printed = b"\x1ew2 end 0 0\n\x1e\n";
        assert_eq!(Splitter::new("w1").handle(printed), [Piece::Output(printed.to_vec())]);
    }
}
