//! Parses the tar-split files of containers-storage. Such a file has everything of a layer's archive except the contents of its files,
//! so that the archive can be reassembled: gzip-compressed JSON lines, of which type 1 is a file's name and size, and type 2 a segment
//! of raw bytes of the archive.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The block size of an archive.
const BLOCK: usize = 512;
/// The maximum length of a line: segments of padding and extended headers have at most 1 MiB.
const MAX_LINE: u64 = 8 << 20;
/// The maximum number of bytes between two files that are kept. Only very large extended headers need more.
const MAX_BETWEEN: usize = 4 << 20;

/// A file of the archive.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name, as in the archive.
    pub(super) name: Vec<u8>,
    /// The size of its contents.
    pub(super) size: u64,
    /// Its header; `None` if it cannot be parsed.
    pub(super) header: Option<Header>,
}

/// The type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// A sparse file; its size in the archive is unknown.
    Sparse,
    HardLink,
    Symlink,
    Directory,
    Character,
    Block,
    Fifo,
    /// A global header for the files that follow.
    Global,
}

/// The metadata of a file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// The target of a link.
    pub(super) link: Vec<u8>,
    /// Major and minor number of a device.
    pub(super) device: (u64, u64),
    /// The file capabilities, in the kernel's format.
    pub(super) capability: Option<Vec<u8>>,
}

#[derive(Deserialize)]
struct Line<'a> {
    r#type: u8,
    #[serde(default, borrow)]
    name: Option<&'a RawValue>,
    #[serde(default, borrow)]
    name_raw: Option<&'a RawValue>,
    #[serde(default)]
    size: i64,
    #[serde(default, borrow)]
    payload: Option<&'a RawValue>,
}

/// Passes each file to `take`. Returns the length of the archive; `None` if it has a sparse file, whose length is not recorded.
///
/// # Errors
/// Any I/O error; `InvalidData` and `UnexpectedEof` if it is damaged; the error of `take`.
pub(super) fn read(
    compressed: impl Read,
    take: &mut dyn FnMut(&Entry) -> io::Result<()>,
) -> io::Result<Option<u64>> {
    let mut lines = BufReader::with_capacity(1 << 16, MultiGzDecoder::new(BufReader::new(compressed)));
    let (mut line, mut between, mut length) = (Vec::new(), Between::default(), 0_u64);
    let mut is_sparse = false;
    loop {
        line.clear();
        if (&mut lines).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok((!is_sparse).then_some(length));
        }
        let parsed: Line<'_> = serde_json::from_slice(&line).map_err(invalid)?;
        match parsed.r#type {
            1 => {
                let size = u64::try_from(parsed.size).map_err(invalid)?;
                let header = between.header();
                is_sparse |= header.as_ref().is_some_and(|header| header.kind == Kind::Sparse);
                between.begin(size);
                length = sum(length, size)?;
                take(&Entry { name: name(&parsed)?, size, header })?;
            }
            2 => length = sum(length, between.add(text(parsed.payload))?)?,
            other => return Err(invalid(format!("it has an entry of type {other}"))),
        }
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn sum(length: u64, more: u64) -> io::Result<u64> {
    length.checked_add(more).ok_or_else(|| invalid("it is too long"))
}

/// The text between quotation marks. Base64 has no escapes.
fn text(value: Option<&RawValue>) -> &[u8] {
    let text = value.map_or("", RawValue::get);
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().as_bytes()
}

fn name(line: &Line<'_>) -> io::Result<Vec<u8>> {
    match (line.name, line.name_raw) {
        (Some(name), _) => Ok(serde_json::from_str::<String>(name.get()).map_err(invalid)?.into_bytes()),
        (None, raw) => {
            let mut name = Vec::new();
            decode(text(raw), &mut name).ok_or_else(|| invalid("it has a name that cannot be decoded"))?;
            Ok(name)
        }
    }
}

/// The bytes of the archive between two files: the padding of the first, and the headers of the second.
#[derive(Default)]
struct Between {
    bytes: Vec<u8>,
    padding: usize,
    is_cut: bool,
}

impl Between {
    fn begin(&mut self, size: u64) {
        self.bytes.clear();
        self.is_cut = false;
        let rest = usize::try_from(size % BLOCK as u64).unwrap_or_default();
        self.padding = (BLOCK - rest) % BLOCK;
    }

    /// Returns the number of decoded bytes.
    fn add(&mut self, base64: &[u8]) -> io::Result<u64> {
        if self.bytes.len() + base64.len() > MAX_BETWEEN {
            self.is_cut = true;
            self.bytes.clear();
        }
        let before = self.bytes.len();
        decode(base64, &mut self.bytes).ok_or_else(|| invalid("it has data that cannot be decoded"))?;
        Ok((self.bytes.len() - before) as u64)
    }

    fn header(&self) -> Option<Header> {
        if self.is_cut { None } else { header(self.bytes.get(self.padding..)?) }
    }
}

/// Parses extended headers and the header that follows them, the last block.
fn header(mut bytes: &[u8]) -> Option<Header> {
    let mut extended = Extended::default();
    loop {
        let (block, rest) = bytes.split_at_checked(BLOCK)?;
        let kind = *block.get(156)?;
        if matches!(kind, b'x' | b'g' | b'L' | b'K') {
            let size = usize::try_from(number(block.get(124..136)?)?).ok()?;
            let data = rest.get(..size)?;
            bytes = rest.get(size.checked_next_multiple_of(BLOCK)?..)?;
            match kind {
                b'x' => extended.read(data)?,
                b'K' => extended.link = Some(up_to_nul(data).to_vec()),
                b'g' if bytes.is_empty() => return Header::of(block, Kind::Global),
                _ => {}
            }
            continue;
        }
        let is_last = rest.is_empty() || kind == b'S';
        let header = Header::of(block, extended.kind(kind, up_to_nul(block.get(..100)?))?)?;
        return is_last.then(|| extended.over(header));
    }
}

impl Header {
    fn of(block: &[u8], kind: Kind) -> Option<Self> {
        let field = |from: usize, to: usize| number(block.get(from..to)?);
        Some(Self {
            kind,
            mode: u32::try_from(field(100, 108)?).ok()? & 0o7777,
            uid: field(108, 116)?,
            gid: field(116, 124)?,
            link: up_to_nul(block.get(157..257)?).to_vec(),
            device: match kind {
                Kind::Character | Kind::Block => (field(329, 337)?, field(337, 345)?),
                _ => (0, 0),
            },
            capability: None,
        })
    }
}

/// The fields of extended headers, which override those of the header.
#[derive(Default)]
struct Extended {
    link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    capability: Option<Vec<u8>>,
    is_sparse: bool,
}

impl Extended {
    /// Records of the form `LENGTH KEY=VALUE` and a newline.
    fn read(&mut self, mut data: &[u8]) -> Option<()> {
        while !data.is_empty() {
            let blank = data.iter().position(|&byte| byte == b' ')?;
            let length: usize = std::str::from_utf8(data.get(..blank)?).ok()?.parse().ok()?;
            let record = data.get(blank + 1..length)?.strip_suffix(b"\n")?;
            data = data.get(length..)?;
            let equals = record.iter().position(|&byte| byte == b'=')?;
            let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
            let decimal = || std::str::from_utf8(value).ok()?.parse().ok();
            match key {
                b"linkpath" => self.link = Some(value.to_vec()),
                b"uid" => self.uid = Some(decimal()?),
                b"gid" => self.gid = Some(decimal()?),
                b"SCHILY.xattr.security.capability" => self.capability = Some(value.to_vec()),
                key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                _ => {}
            }
        }
        Some(())
    }

    fn kind(&self, flag: u8, name: &[u8]) -> Option<Kind> {
        Some(match flag {
            b'0' | b'7' if self.is_sparse => Kind::Sparse,
            b'0' | b'7' => Kind::File,
            0 if name.ends_with(b"/") => Kind::Directory,
            0 => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => Kind::Sparse,
            _ => return None,
        })
    }

    fn over(self, header: Header) -> Header {
        Header {
            link: self.link.unwrap_or(header.link),
            uid: self.uid.unwrap_or(header.uid),
            gid: self.gid.unwrap_or(header.gid),
            capability: self.capability,
            ..header
        }
    }
}

fn up_to_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or, if the first bit is set, in binary.
fn number(field: &[u8]) -> Option<u64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // No field that is used here can be negative.
        let start = if first & 0x40 == 0 { u64::from(first & 0x3f) } else { return None };
        return rest.iter().try_fold(start, |number, &byte| Some(number.checked_mul(256)? | u64::from(byte)));
    }
    let text = std::str::from_utf8(up_to_nul(field)).ok()?.trim();
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// Decodes base64 and appends the bytes; `None` if it is invalid.
fn decode(text: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let digits = text.get(..text.len().checked_sub(padding)?)?;
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    bytes.reserve(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut value = 0_u32;
        for &digit in group {
            value = value << 6 | u32::from(DIGITS.get(usize::from(digit)).copied().filter(|&d| d < 64)?);
        }
        value <<= 6 * (4 - group.len());
        let [_, decoded @ ..] = value.to_be_bytes();
        bytes.extend_from_slice(decoded.get(..group.len().checked_sub(1)?)?);
    }
    Some(())
}

/// The value of a base64 digit; 64 for an invalid one.
const DIGITS: [u8; 256] = {
    let mut table = [64_u8; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < alphabet.len() {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn compressed(lines: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(lines.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// Names and sizes, and the length of the whole archive.
    type Files = (Vec<(String, u64)>, Option<u64>);

    fn files(compressed: &[u8]) -> io::Result<Files> {
        let mut found = Vec::new();
        let length = read(compressed, &mut |entry| {
            found.push((String::from_utf8_lossy(&entry.name).into_owned(), entry.size));
            Ok(())
        })?;
        Ok((found, length))
    }

    const LINES: &str = "{\"type\":2,\"payload\":\"AAAA\",\"position\":0}\n\
        {\"type\":1,\"name\":\"a/\\u0026\",\"size\":3,\"payload\":\"+tDJBujasK4=\",\"position\":1}\n\
        {\"type\":1,\"name_raw\":\"/2I=\",\"payload\":null,\"position\":2}\n";

    #[test]
    fn files_are_read_with_names_of_any_bytes() {
        let (found, length) = files(&compressed(LINES)).unwrap();
        assert_eq!(found, [("a/&".to_owned(), 3), ("\u{fffd}b".to_owned(), 0)]);
        assert_eq!(length, Some(6));
        assert_eq!(files(&compressed("")).unwrap(), (Vec::new(), Some(0)));
    }

    #[test]
    fn whatever_is_cut_or_changed_isnt_whole() {
        let whole = compressed(LINES);
        for length in 0..whole.len() {
            assert!(files(&whole[..length]).is_err(), "{length} of {}", whole.len());
        }
        for at in (10..whole.len()).rev() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            assert!(files(&changed).is_err(), "byte {at}");
        }
        let huge = "{\"type\":1,\"name\":\"a\",\"size\":9223372036854775807}\n";
        let data = "{\"type\":2,\"payload\":\"AAAA\"}\n";
        for (bad, why) in [
            ("{\"type\":3}\n", "it has an entry of type 3"),
            ("{\"type\":1,\"name\":\"a\",\"size\":-1}\n", "out of range integral type conversion attempted"),
            ("{\"type\":1,\"name_raw\":\"A\"}\n", "it has a name that cannot be decoded"),
            ("{\"type\":2,\"payload\":\"A\"}\n", "it has data that cannot be decoded"),
            (&huge.repeat(3), "it is too long"),
            (&format!("{}{data}", huge.repeat(2)), "it is too long"),
            ("x\n", "expected value at line 1 column 1"),
        ] {
            assert_eq!(files(&compressed(bad)).unwrap_err().to_string(), why, "{bad}");
        }
        let long = format!("{{\"type\":2,\"payload\":\"{}\"}}\n", "A".repeat(9 << 20));
        assert!(files(&compressed(&long)).is_err());
    }

    fn block(kind: u8, size: u64, link: &str) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, "name");
        put(100, "0004755");
        put(108, "0001750");
        put(116, "0000062");
        put(124, &format!("{size:011o}"));
        put(157, link);
        block[156] = kind;
        block
    }

    fn padded(data: &[u8]) -> Vec<u8> {
        let mut data = data.to_vec();
        data.resize(data.len().next_multiple_of(BLOCK), 0);
        data
    }

    #[test]
    fn headers_say_what_a_file_is() {
        let plain = header(&block(b'0', 5, "")).unwrap();
        assert_eq!((plain.kind, plain.mode, plain.uid, plain.gid), (Kind::File, 0o4755, 1000, 50));
        assert_eq!(header(&block(b'2', 0, "target")).unwrap().link, b"target");
        let records = b"19 uid=20000000001\n24 linkpath=where/it/is\n";
        let extended =
            [block(b'x', records.len() as u64, ""), padded(records), block(b'2', 0, "cut")].concat();
        let found = header(&extended).unwrap();
        assert_eq!((found.link.as_slice(), found.uid), (&b"where/it/is"[..], 20_000_000_001));
        let records = b"40 SCHILY.xattr.security.capability=\x01\0\x02\n";
        let capable = [block(b'x', records.len() as u64, ""), padded(records), block(b'0', 5, "")].concat();
        assert_eq!(header(&capable).unwrap().capability.unwrap(), b"\x01\0\x02");
        let long = [block(b'K', 9, ""), padded(b"far/away\0"), block(b'1', 0, "cut")].concat();
        assert_eq!(header(&long).unwrap().link, b"far/away");
        let global = [block(b'g', 3, ""), padded(b"xyz")].concat();
        assert_eq!(header(&global).unwrap().kind, Kind::Global);
    }

    #[test]
    fn what_isnt_understood_is_no_header() {
        assert_eq!(header(&[]), None);
        assert_eq!(header(&block(b'V', 0, "")), None);
        assert_eq!(header(&[block(b'0', 0, ""), block(b'0', 0, "")].concat()), None);
        assert_eq!(header(&block(b'x', 5000, "")), None);
        assert_eq!(header(&[block(b'x', 5, ""), padded(b"9 a=b"), block(b'0', 0, "")].concat()), None);
    }

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000755\0"), Some(0o755));
        assert_eq!(number(b"   12 \0"), Some(0o12));
        assert_eq!(number(b"\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\x01\0"), Some(256));
        assert_eq!(number(b"\xff\xff"), None);
        assert_eq!(number(b"9\0"), None);
    }

    #[test]
    fn base64_is_decoded() {
        for (text, bytes) in
            [("", &b""[..]), ("YQ==", b"a"), ("YWI=", b"ab"), ("YWJj", b"abc"), ("/+8=", b"\xff\xef")]
        {
            let mut decoded = Vec::new();
            decode(text.as_bytes(), &mut decoded).unwrap();
            assert_eq!(decoded, bytes);
        }
        for bad in ["Y", "YQ", "YQ=", "Y===", "Y-==", "===="] {
            assert_eq!(decode(bad.as_bytes(), &mut Vec::new()), None, "{bad}");
        }
    }
}
