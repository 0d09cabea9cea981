//! Just enough of the GVariant serialisation to look up a value in a dictionary, for the metadata of ostree commits. All accesses are
//! bounds-checked; invalid data gives `None`.

/// The width of framing offsets in a container of this size, in bytes.
fn offset_size(container: usize) -> usize {
    match container {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// The little-endian offset at `at`.
fn offset(container: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = container.get(at..at.checked_add(size)?)?;
    let value = bytes.iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    usize::try_from(value).ok()
}

fn align8(position: usize) -> usize {
    position.next_multiple_of(8)
}

/// The first member of a tuple, if it has variable size and is not the last.
pub(super) fn first_of_tuple(tuple: &[u8]) -> Option<&[u8]> {
    let size = offset_size(tuple.len());
    tuple.get(..offset(tuple, tuple.len().checked_sub(size)?, size)?)
}

/// The second member of a tuple, if the first two have variable size and are not the last, and it needs no alignment.
pub(super) fn second_of_tuple(tuple: &[u8]) -> Option<&[u8]> {
    let size = offset_size(tuple.len());
    let first = tuple.len().checked_sub(size)?;
    let second = first.checked_sub(size)?;
    tuple.get(offset(tuple, first, size)?..offset(tuple, second, size)?)
}

/// The value of `key` in an `a{sv}`, with its type string.
pub(super) fn lookup<'a>(dictionary: &'a [u8], key: &str) -> Option<(&'a [u8], &'a str)> {
    let size = offset_size(dictionary.len());
    let table = offset(dictionary, dictionary.len().checked_sub(size)?, size)?;
    let mut start = 0;
    for at in (table..dictionary.len()).step_by(size) {
        let end = offset(dictionary, at, size)?;
        let entry = dictionary.get(start..end.min(table))?;
        if let Some((name, variant)) = split_entry(entry)
            && name == key.as_bytes()
        {
            return split_variant(variant);
        }
        start = align8(end);
    }
    None
}

/// Splits `{sv}`: a string with its NUL, a variant, and the offset at which the string ends.
fn split_entry(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let size = offset_size(entry.len());
    let frame = entry.len().checked_sub(size)?;
    let key_end = offset(entry, frame, size)?;
    let key = entry.get(..key_end)?.strip_suffix(&[0])?;
    Some((key, entry.get(align8(key_end)..frame)?))
}

/// Splits `v`: a value, NUL, and its type.
fn split_variant(variant: &[u8]) -> Option<(&[u8], &str)> {
    let nul = variant.iter().rposition(|&byte| byte == 0)?;
    Some((variant.get(..nul)?, std::str::from_utf8(variant.get(nul + 1..)?).ok()?))
}

/// The string in a value of type `s`.
pub(super) fn text<'a>((value, kind): (&'a [u8], &str)) -> Option<&'a str> {
    let text = value.strip_suffix(&[0]).filter(|_| kind == "s")?;
    std::str::from_utf8(text).ok()
}

/// The two numbers in a value of type `(tt)`.
pub(super) fn pair_of_u64((value, kind): (&[u8], &str)) -> Option<(u64, u64)> {
    let (first, second) = value.split_first_chunk::<8>()?;
    let second: &[u8; 8] = second.try_into().ok()?;
    (kind == "(tt)").then(|| (u64::from_le_bytes(*first), u64::from_le_bytes(*second)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `{'k': <'v'>, 'key2': <(uint64 1, uint64 2)>}`, laid out by hand.
    fn dictionary() -> Vec<u8> {
        let mut bytes = b"k\0\0\0\0\0\0\0v\0\0s\x02".to_vec();
        let first = bytes.len();
        bytes.resize(align8(first), 0);
        bytes.extend_from_slice(b"key2\0\0\0\0");
        bytes.extend_from_slice(&1_u64.to_le_bytes());
        bytes.extend_from_slice(&2_u64.to_le_bytes());
        bytes.extend_from_slice(b"\0(tt)\x05");
        let second = bytes.len();
        bytes.extend_from_slice(&[first as u8, second as u8]);
        bytes
    }

    #[test]
    fn values_are_found_by_key_and_type() {
        let bytes = dictionary();
        assert_eq!(lookup(&bytes, "k").and_then(text), Some("v"));
        assert_eq!(lookup(&bytes, "key2").and_then(pair_of_u64), Some((1, 2)));
        assert_eq!(lookup(&bytes, "key2").and_then(text), None);
        assert_eq!(lookup(&bytes, "none"), None);
        assert_eq!(lookup(&[], "k"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(mut bytes in prop::collection::vec(any::<u8>(), 0..300), flips in 0..40_usize) {
            let _ = second_of_tuple(&bytes);
            let _ = first_of_tuple(&bytes).map(|inner| lookup(inner, "k").and_then(text));
            let mut damaged = dictionary();
            for flip in bytes.drain(..flips.min(bytes.len())) {
                let at = usize::from(flip) % damaged.len();
                damaged[at] ^= flip;
            }
            let _ = lookup(&damaged, "key2").and_then(pair_of_u64);
        }
    }
}
