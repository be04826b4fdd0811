//! Reads and writes netlink attributes: the length, kind and padding around every value.

use netlink_packet_core::{NLA_ALIGNTO, NLA_F_NESTED, NLA_HEADER_SIZE, NLA_TYPE_MASK};

/// Bytes that are no message of the IPVS family, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DecodeError(pub(crate) String);

/// An attribute that this codec does not know, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    /// Its number, without the flag bits.
    pub(crate) kind: u16,
    /// The `NLA_F_NESTED` flag.
    pub(crate) nested: bool,
    /// Its value, without padding.
    pub(crate) value: Vec<u8>,
}

/// One attribute of a buffer, not yet interpreted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) kind: u16,
    pub(crate) nested: bool,
    pub(crate) value: &'a [u8],
}

/// The attributes of `bytes` in their order, up to the first that is malformed; [`Fields::finish`] tells of that one.
pub(crate) fn fields(bytes: &[u8]) -> Fields<'_> {
    Fields { rest: bytes }
}

/// See [`fields`].
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    // No result: a table of 36,000 servers has a million of them, and an error in each would have to be moved along.
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let [l0, l1, k0, k1, rest @ ..] = self.rest else { return None };
        let (length, kind) = (usize::from(u16::from_ne_bytes([*l0, *l1])), u16::from_ne_bytes([*k0, *k1]));
        let value = rest.get(..length.checked_sub(NLA_HEADER_SIZE)?)?;
        // The padding of the last one may be missing.
        self.rest = rest.get(value.len().next_multiple_of(NLA_ALIGNTO)..).unwrap_or_default();
        Some(Field { kind: kind & NLA_TYPE_MASK, nested: kind & NLA_F_NESTED != 0, value })
    }
}

impl Fields<'_> {
    /// Whether that was all; for when there are no more.
    #[inline]
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed(self.rest)) }
    }
}

#[cold]
fn malformed(bytes: &[u8]) -> DecodeError {
    let claims = bytes.first_chunk().map(|length| u16::from_ne_bytes(*length));
    let claims = claims.map(|length| format!(", and it claims to have {length}"));
    DecodeError(format!("malformed attribute: {} bytes are left{}", bytes.len(), claims.unwrap_or_default()))
}

impl Field<'_> {
    /// The attribute by itself, for what is not known.
    pub(crate) fn to_attribute(self) -> Attribute {
        Attribute { kind: self.kind, nested: self.nested, value: self.value.to_vec() }
    }

    pub(crate) fn u8(self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_ne_bytes)
    }

    pub(crate) fn be16(self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_ne_bytes)
    }

    /// An integer of 4 or 8 bytes.
    pub(crate) fn u32_or_u64(self) -> Result<u64, DecodeError> {
        match self.value.len() {
            4 => self.u32().map(u64::from),
            _ => self.array().map(u64::from_ne_bytes),
        }
    }

    /// A string up to its terminating zero, or up to its end.
    pub(crate) fn string(self) -> Result<String, DecodeError> {
        let text = self.value.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = std::str::from_utf8(text)
            .map_err(|_| DecodeError(format!("attribute {} is not UTF-8 text", self.kind)))?;
        Ok(text.to_owned())
    }

    #[inline]
    pub(crate) fn array<const N: usize>(self) -> Result<[u8; N], DecodeError> {
        self.value.try_into().map_err(|_| self.wrong_length(N))
    }

    #[cold]
    fn wrong_length(self, right: usize) -> DecodeError {
        DecodeError(format!("attribute {} has {} bytes instead of {right}", self.kind, self.value.len()))
    }
}

/// Collects attributes into the bytes of a message.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Writer {
    /// Forgets what was written, and begins anew with `bytes`.
    pub(crate) fn begin(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        // A service or destination with everything set takes about 150 bytes.
        self.bytes.reserve(192);
        self.bytes.extend_from_slice(bytes);
        self.too_long = false;
    }

    #[inline]
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        let start = self.open(kind);
        self.bytes.extend_from_slice(value);
        self.close(start);
    }

    pub(crate) fn put_u8(&mut self, kind: u16, value: Option<u8>) {
        self.put_some(kind, value.map(|value| [value]));
    }

    pub(crate) fn put_u16(&mut self, kind: u16, value: Option<u16>) {
        self.put_some(kind, value.map(u16::to_ne_bytes));
    }

    pub(crate) fn put_be16(&mut self, kind: u16, value: Option<u16>) {
        self.put_some(kind, value.map(u16::to_be_bytes));
    }

    pub(crate) fn put_u32(&mut self, kind: u16, value: Option<u32>) {
        self.put_some(kind, value.map(u32::to_ne_bytes));
    }

    /// A string with its terminating zero.
    pub(crate) fn put_string(&mut self, kind: u16, value: Option<&str>) {
        if let Some(value) = value {
            let start = self.open(kind);
            self.bytes.extend_from_slice(value.as_bytes());
            self.bytes.push(0);
            self.close(start);
        }
    }

    #[inline]
    pub(crate) fn put_some<const N: usize>(&mut self, kind: u16, value: Option<[u8; N]>) {
        if let Some(value) = value {
            self.put(kind, &value);
        }
    }

    pub(crate) fn nested(&mut self, kind: u16, content: impl FnOnce(&mut Self)) {
        let start = self.open(kind | NLA_F_NESTED);
        content(self);
        self.close(start);
    }

    pub(crate) fn put_attributes(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            let flag = if attribute.nested { NLA_F_NESTED } else { 0 };
            self.put(attribute.kind | flag, &attribute.value);
        }
    }

    /// The bytes; `None` if an attribute does not fit into the 65,535 bytes that its length can say.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        (!self.too_long).then_some(self.bytes)
    }

    /// As [`finish`](Self::finish), for a writer that is used again.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        (!self.too_long).then_some(&self.bytes)
    }

    #[inline]
    fn open(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        let [k0, k1] = kind.to_ne_bytes();
        self.bytes.extend_from_slice(&[0, 0, k0, k1]);
        start
    }

    #[inline]
    fn close(&mut self, start: usize) {
        let length = u16::try_from(self.bytes.len() - start).unwrap_or_else(|_| {
            self.too_long = true;
            u16::MAX
        });
        if let Some(place) = self.bytes.get_mut(start..).and_then(|attribute| attribute.first_chunk_mut()) {
            *place = length.to_ne_bytes();
        }
        // Most values are aligned as they are.
        while !self.bytes.len().is_multiple_of(NLA_ALIGNTO) {
            self.bytes.push(0);
        }
    }
}
