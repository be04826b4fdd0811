//! Text to tokens: words, braces, line ends; comments vanish.
//!
//! As in keepalived 2.2.7 (by experiment) there are two ways of reading words. Usually `"` at a word's start takes all
//! up to the next `"` as it stands, `'` and `\` are letters like others, and `"`, a brace or a comment end a word. In
//! the command of a script both quotes may stand anywhere, and there are escapes.

use super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::source::{FileId, Span};

/// One word of the text, unquoted.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub(crate) text: Box<str>,
    pub(crate) span: Span,
    /// It must not be printed.
    pub(crate) secret: bool,
}

impl Word {
    /// The word as it may stand in a message: in backquotes, short, without control characters.
    pub(crate) fn shown(&self) -> String {
        if self.secret { "(hidden)".into() } else { quoted(&self.text) }
    }
}

/// A text of the user's for a message: in backquotes, short, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("`");
    for (count, c) in text.chars().enumerate() {
        if count == 60 {
            out.push('…');
            break;
        }
        if c.is_control() || c == '\u{200b}' || ('\u{202a}'..='\u{202e}').contains(&c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out.push('`');
    out
}

/// What the text consists of.
#[derive(Debug, Clone)]
pub(crate) enum Token {
    Word(Word),
    Open(Span),
    Close(Span),
    EndOfLine,
}

/// Reads tokens one by one; every call takes at least one byte or says `None` for good.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    file: FileId,
    at: usize,
    /// Words are those of a script's command.
    in_command: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str, file: FileId) -> Self {
        // A byte order mark is what some editors put first.
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, file, at, in_command: false }
    }

    /// Says whether the next words are a script's command; a new statement's are not.
    pub(crate) fn set_in_command(&mut self, in_command: bool) {
        self.in_command = in_command;
    }

    pub(crate) fn next_token(&mut self, diagnostics: &mut Diagnostics) -> Option<Token> {
        loop {
            let c = self.peek()?;
            let start = self.at;
            match c {
                '\n' => {
                    self.at += 1;
                    return Some(Token::EndOfLine);
                }
                ' ' | '\t' | '\r' | '\x0b' | '\x0c' => self.at += 1,
                '#' | '!' => self.skip_line(),
                '{' => {
                    self.at += 1;
                    return Some(Token::Open(self.span(start)));
                }
                '}' => {
                    self.at += 1;
                    return Some(Token::Close(self.span(start)));
                }
                c if is_invisible(c) => {
                    self.at += c.len_utf8();
                    diagnostics.push(
                        Diagnostic::error(
                            Code::BadText,
                            self.span(start),
                            format!("U+{:04X} ({}) between words", u32::from(c), invisible_name(c)),
                        )
                        .label("here")
                        .help("write an ordinary space; only comments and quoted strings may hold it"),
                    );
                }
                _ => return Some(Token::Word(self.word(diagnostics))),
            }
        }
    }

    /// Skips the rest of the line, and the next one too as long as a line ends with a backslash.
    pub(crate) fn skip_continued_line(&mut self) {
        loop {
            self.skip_line();
            let so_far = self.text.get(..self.at).unwrap_or("").trim_end_matches([' ', '\t', '\r']);
            if !so_far.ends_with('\\') || self.peek().is_none() {
                return;
            }
            self.at += 1;
        }
    }

    fn word(&mut self, diagnostics: &mut Diagnostics) -> Word {
        let start = self.at;
        // Most words are plain to their end.
        let rest = self.text.get(start..).unwrap_or("");
        let plain = rest.bytes().position(|b| !is_plain(b)).unwrap_or(rest.len());
        self.at += plain;
        if rest.as_bytes().get(plain).is_none_or(|b| matches!(b, b'\n' | b' ' | b'\t' | b'\r' | b'{' | b'}'))
        {
            let text = rest.get(..plain).unwrap_or("").into();
            return Word { text, span: self.span(start), secret: false };
        }
        if !self.in_command && plain == 0 {
            match self.peek() {
                Some('"') => return self.verbatim(diagnostics),
                Some('\'') => self.single_quote(diagnostics),
                _ => {}
            }
        }
        let mut text = String::from(rest.get(..plain).unwrap_or(""));
        while let Some(c) = self.peek() {
            match c {
                '\n' | ' ' | '\t' | '\r' | '\x0b' | '\x0c' | '{' | '}' => break,
                '"' if !self.in_command => break,
                '#' | '!' => {
                    self.comment_in_word(self.at, diagnostics);
                    break;
                }
                // keepalived takes the comment to start with the backslash.
                '\\' if matches!(self.second(), Some('#' | '!')) => {
                    self.comment_in_word(self.at, diagnostics);
                    self.skip_line();
                    break;
                }
                '"' | '\'' if self.in_command => self.quoted(c, &mut text, diagnostics),
                '\\' if self.in_command => {
                    let mut bytes = Vec::new();
                    let escape = self.at;
                    self.escape(&mut bytes);
                    self.unescaped(bytes, escape, &mut text, diagnostics);
                }
                '\\' if self.second() == Some('\\') => {
                    text.extend(self.bump());
                    text.extend(self.bump());
                }
                '$' if self.second() == Some('{') => {
                    // `${NAME}` is one word; that it is not supported is said where the word is used.
                    while let Some(c) = self.peek().filter(|c| *c != '\n') {
                        self.at += c.len_utf8();
                        text.push(c);
                        if c == '}' {
                            break;
                        }
                    }
                }
                c if is_invisible(c) => break,
                '\0' => {
                    let here = self.at;
                    self.at += 1;
                    self.nul(here, diagnostics);
                }
                c => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
        Word { text: text.into_boxed_str(), span: self.span(start), secret: false }
    }

    /// From one `"` to the next, whatever stands between.
    fn verbatim(&mut self, diagnostics: &mut Diagnostics) -> Word {
        let start = self.at;
        let inner = self.text.get(start + 1..).unwrap_or("");
        let end = inner.find(['"', '\n']).unwrap_or(inner.len());
        let text: Box<str> = inner.get(..end).unwrap_or("").into();
        self.at = start + 1 + end;
        if self.peek() == Some('"') {
            self.at += 1;
        } else {
            self.not_closed('"', start, diagnostics);
        }
        if text.contains('\0') {
            self.nul(start, diagnostics);
        }
        let span = self.span(start);
        if matches!(self.peek(), Some('#' | '!')) {
            self.comment_in_word(self.at, diagnostics);
        }
        Word { text, span, secret: false }
    }

    fn single_quote(&self, diagnostics: &mut Diagnostics) {
        diagnostics.push(
            Diagnostic::warning(
                Code::BadText,
                Span::new(self.file, self.at..self.at + 1),
                "a single quote does not quote here: it belongs to the word, as in keepalived",
            )
            .label("read as it stands")
            .help("write `\"` before and after a word to quote it, or no quotes at all"),
        );
    }

    fn comment_in_word(&self, at: usize, diagnostics: &mut Diagnostics) {
        diagnostics.push(
            Diagnostic::warning(
                Code::BadText,
                Span::new(self.file, at..at + 1),
                "a comment starts inside a word, as in keepalived",
            )
            .label("the rest of the line is ignored")
            .help(
                "put `\"` before and after the word if the sign belongs to it (a backslash does not help), \
                 else put a space before the comment",
            ),
        );
    }

    fn nul(&self, at: usize, diagnostics: &mut Diagnostics) {
        diagnostics.push(
            Diagnostic::error(Code::BadText, self.span(at), "a NUL character in a word")
                .label("here")
                .help("remove it; is this a text file?"),
        );
    }

    fn not_closed(&self, quote: char, start: usize, diagnostics: &mut Diagnostics) {
        diagnostics.push(
            Diagnostic::error(
                Code::BadText,
                Span::new(self.file, start..start + 1),
                format!("the quoted string has no closing `{quote}` on its line"),
            )
            .label("it starts here"),
        );
    }

    fn quoted(&mut self, quote: char, text: &mut String, diagnostics: &mut Diagnostics) {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None | Some('\n') => {
                    self.not_closed(quote, start, diagnostics);
                    break;
                }
                Some(c) if c == quote => {
                    self.at += 1;
                    break;
                }
                Some('\\') => self.escape(&mut bytes),
                Some(c) => {
                    self.at += c.len_utf8();
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        self.unescaped(bytes, start, text, diagnostics);
    }

    /// Takes what escapes made of a part of a word, which starts at `start`.
    fn unescaped(&self, bytes: Vec<u8>, start: usize, text: &mut String, diagnostics: &mut Diagnostics) {
        match String::from_utf8(bytes) {
            Ok(part) if !part.contains('\0') => text.push_str(&part),
            _ => diagnostics.push(
                Diagnostic::error(
                    Code::BadText,
                    self.span(start),
                    "the escapes of this string make a NUL or something that is not UTF-8",
                )
                .label("in this string"),
            ),
        }
    }

    /// The escapes of keepalived.conf(5), "Quoted strings".
    fn escape(&mut self, out: &mut Vec<u8>) {
        self.at += 1;
        let Some(c) = self.peek().filter(|c| *c != '\n') else { return };
        self.at += c.len_utf8();
        match c {
            'a' => out.push(0x07),
            'b' => out.push(0x08),
            'E' => out.push(0x1b),
            'f' => out.push(0x0c),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(0x0b),
            'c' => {
                if let Some(c) = self.peek().filter(char::is_ascii) {
                    self.at += 1;
                    out.extend(u8::try_from(c).map(|c| c & 0x1f));
                }
            }
            'x' => {
                let value = self.digits(16, usize::MAX);
                out.push(value);
            }
            '0'..='7' => {
                self.at -= 1;
                let value = self.digits(8, 3);
                out.push(value);
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    /// The low eight bits of a number.
    fn digits(&mut self, radix: u32, most: usize) -> u8 {
        let mut value = 0_u32;
        let mut count = 0;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(radix)).filter(|_| count < most) {
            self.at += 1;
            count += 1;
            value = (value * radix + digit) & 0xff;
        }
        u8::try_from(value).unwrap_or_default()
    }

    /// Skips the rest of the line.
    pub(crate) fn skip_line(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or("");
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn second(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().nth(1)
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn span(&self, start: usize) -> Span {
        Span::new(self.file, start..self.at)
    }
}

/// Bytes that stand for themselves in a word.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/' | b'+' | b',' | b'%')
}

/// Characters that look like a space or like nothing, and are neither to keepalived.
fn is_invisible(c: char) -> bool {
    !c.is_ascii() && (c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'))
}

fn invisible_name(c: char) -> &'static str {
    match c {
        '\u{3000}' => "a full-width space",
        '\u{a0}' => "a no-break space",
        '\u{feff}' => "a byte order mark",
        c if c.is_whitespace() => "an unusual space",
        _ => "an invisible character",
    }
}
