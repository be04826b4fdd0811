//! The files a configuration is made of, and places in them.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A half-open range of bytes in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    file: u32,
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn new(file: FileId, range: Range<usize>) -> Self {
        Self { file: file.0, start: offset(range.start), end: offset(range.end) }
    }

    pub(crate) fn file(self) -> FileId {
        FileId(self.file)
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The place before its first byte.
    pub(crate) fn start(self) -> Self {
        Self { end: self.start, ..self }
    }

    /// The place behind its last byte.
    pub(crate) fn end(self) -> Self {
        Self { start: self.end, ..self }
    }

    /// From the start of this one to the end of `other`, if both are in the same file.
    pub(crate) fn to(self, other: Self) -> Self {
        if self.file == other.file { Self { end: other.end.max(self.end), ..self } } else { self }
    }
}

/// Names one file of [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId(u32);

/// A place as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file's name as it was given, or as the include resolved it.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// Every file that was read, in the order of reading.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
    total: usize,
}

impl Sources {
    /// Where a span starts.
    pub fn location(&self, span: Span) -> Location {
        let Some(source) = self.get(span.file()) else {
            return Location { path: PathBuf::new(), line: 0, column: 0 };
        };
        let (line, line_start) = source.line_of(span.range().start);
        let before = source.text.get(line_start..span.range().start).unwrap_or("");
        Location { path: source.path.clone(), line: line + 1, column: before.chars().count() + 1 }
    }

    /// How far the line on which a span starts is indented, in bytes.
    pub(crate) fn indent(&self, span: Span) -> usize {
        let Some(source) = self.get(span.file()) else { return 0 };
        let (_, start) = source.line_of(span.range().start);
        let before = source.text.get(start..span.range().start).unwrap_or("");
        before.len() - before.trim_start().len()
    }

    pub(crate) fn get(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }

    /// Hides what stands between the span's start and the end of its line.
    pub(crate) fn mark_secret(&mut self, span: Span) {
        if let Some(source) = self.files.get_mut(span.file as usize) {
            let (_, line_start) = source.line_of(span.range().start);
            let end = source.line_end(line_start);
            source.secrets.push(span.range().start..end);
        }
    }

    /// Reads a regular file; the text is at most [`MAX_TOTAL`] bytes over all files.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Read, ReadError> {
        if self.files.len() >= MAX_FILES {
            return Err(ReadError::TooMany);
        }
        // Asked before, since to open a device can do something by itself, and after, since only that is certain.
        if !std::fs::metadata(path)?.is_file() {
            return Err(ReadError::NotAFile);
        }
        // Without O_NONBLOCK a FIFO would wait for a writer.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(ReadError::NotAFile);
        }
        let left = MAX_TOTAL.saturating_sub(self.total);
        let mut bytes = Vec::new();
        file.take(left as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > left {
            return Err(ReadError::TooLarge);
        }
        Ok(self.add(path, bytes))
    }

    /// Takes a text that is in memory already.
    pub(crate) fn add(&mut self, path: &Path, bytes: Vec<u8>) -> Read {
        self.total = self.total.saturating_add(bytes.len());
        let file = FileId(offset(self.files.len()));
        let (text, invalid) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(e) => {
                // Up to the first bad byte the replaced text has the offsets of the original one.
                let at = e.utf8_error().valid_up_to();
                let byte = e.as_bytes().get(at).copied().unwrap_or_default();
                (String::from_utf8_lossy(e.as_bytes()).into_owned(), Some((at, byte)))
            }
        };
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| offset(at + 1))).collect();
        self.files.push(Source {
            path: path.to_path_buf(),
            text: text.into(),
            line_starts,
            secrets: Vec::new(),
        });
        Read {
            file,
            invalid: invalid.map(|(at, byte)| (Span::new(file, at..at + '\u{fffd}'.len_utf8()), byte)),
        }
    }
}

/// One file's text.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// Shared, since it is read while an include adds files.
    pub(crate) text: Arc<str>,
    line_starts: Vec<u32>,
    secrets: Vec<Range<usize>>,
}

impl Source {
    /// The number (from 0) and the start of the line that holds a byte.
    pub(crate) fn line_of(&self, at: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start as usize <= at).saturating_sub(1);
        (line, self.line_start(line))
    }

    /// Where a line starts; the text's end for a line past the last.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        self.line_starts.get(line).map_or(self.text.len(), |start| *start as usize)
    }

    /// Where the line that starts at `start` ends, without its line break.
    pub(crate) fn line_end(&self, start: usize) -> usize {
        let rest = self.text.get(start..).unwrap_or("");
        let line = rest.split_once('\n').map_or(rest, |(line, _)| line);
        start + line.strip_suffix('\r').unwrap_or(line).len()
    }

    /// What must not be shown of a range of the text.
    pub(crate) fn secrets_in(&self, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
        let range = range.clone();
        self.secrets
            .iter()
            .map(move |s| s.start.max(range.start)..s.end.min(range.end))
            .filter(|s| s.start < s.end)
    }
}

/// A file that was read.
pub(crate) struct Read {
    pub(crate) file: FileId,
    /// The first byte that is no UTF-8, with its place.
    pub(crate) invalid: Option<(Span, u8)>,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a regular file")]
    NotAFile,
    #[error("the configuration is larger than {} MiB", MAX_TOTAL >> 20)]
    TooLarge,
    #[error("the configuration has more than {MAX_FILES} files")]
    TooMany,
}

/// Offsets fit: no text is longer than [`MAX_TOTAL`], and its replacement at most three times that.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Bytes of all files together.
pub(crate) const MAX_TOTAL: usize = 32 << 20;
/// Files, the main one included.
pub(crate) const MAX_FILES: usize = 1024;
