//! Checks a library before any of its code runs: whether it was built for this architecture, and which other libraries it would load
//! from where. A file that could be interpreted in two ways is refused, because the dynamic linker might use the other interpretation.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::ops::Range;

use nix::unistd::{SysconfVar, sysconf};
use object::Endianness;
use object::elf::{
    DT_AUDIT, DT_AUXILIARY, DT_DEPAUDIT, DT_FILTER, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_STRSZ,
    DT_STRTAB, ET_DYN, FileHeader64, PN_XNUM, PT_DYNAMIC, PT_LOAD, ProgramHeader64,
};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// The architecture of this program, as an ELF machine number.
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = object::elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = object::elf::EM_AARCH64;

/// Size of an entry of the dynamic section: a tag and a value.
const ENTRY: usize = 16;

/// Checks a library. The error says why it is not loaded.
pub(crate) fn examine(mut file: &File) -> Result<(), String> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read it: {error}"))?;
    let data = bytes.as_slice();
    let not_a_library = |_| "it is not a shared library of this platform (64-bit ELF)".to_owned();
    let header = FileHeader64::<Endianness>::parse(data).map_err(not_a_library)?;
    let endian = header.endian().map_err(not_a_library)?;
    let machine = header.e_machine(endian);
    if machine != MACHINE {
        return Err(format!(
            "it was built for another architecture: ELF machine {machine}, but this host is {MACHINE}"
        ));
    }
    if header.e_type(endian) != ET_DYN {
        return Err("it is not a shared library".to_owned());
    }
    // The number of segments would then be elsewhere in the file, where the dynamic linker does not read it.
    if header.e_phnum(endian) == PN_XNUM {
        return Err("it is not a well-formed shared library: its segments are ambiguous".to_owned());
    }
    let segments = header.program_headers(endian, data).map_err(not_a_library)?;
    let image = Image::of(data, segments, endian)?;
    let dynamic = image.dynamic()?;
    let names = image.names(&dynamic)?;
    for &(tag, value) in &dynamic {
        let name = || name(names, value);
        match tag {
            DT_RPATH | DT_RUNPATH => {
                return Err(format!(
                    "it sets the library search path {:?} (RUNPATH), but libraries may come only from the system's directories: \
                     build it without",
                    name()?
                ));
            }
            DT_FILTER | DT_AUXILIARY | DT_AUDIT | DT_DEPAUDIT => {
                return Err(format!(
                    "it names {:?} as a filter, auxiliary or audit library: build it without",
                    name()?
                ));
            }
            DT_NEEDED => {
                let name = name()?;
                if name.is_empty() || name.contains(['/', '$']) {
                    return Err(format!(
                        "it needs the library {name:?}, but libraries are found only by plain name: link it without a path"
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A part of the file, and its addresses in memory.
struct Part<'a> {
    addresses: Range<u64>,
    bytes: &'a [u8],
    offset: u64,
}

/// A library as it will be mapped into memory.
struct Image<'a> {
    parts: Vec<Part<'a>>,
    /// Address, size and offset in the file of the dynamic section.
    dynamic: (u64, u64, u64),
}

impl<'a> Image<'a> {
    fn of(
        data: &'a [u8],
        segments: &[ProgramHeader64<Endianness>],
        endian: Endianness,
    ) -> Result<Self, String> {
        let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok());
        let page = page.ok_or("cannot determine the page size")?;
        let ambiguous = || "it is not a well-formed shared library: its segments are ambiguous".to_owned();
        let (mut parts, mut end): (Vec<Part<'a>>, u64) = (Vec::new(), 0);
        for segment in segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD) {
            let (address, offset) = (segment.p_vaddr(endian), segment.p_offset(endian));
            let (in_file, in_memory) = (segment.p_filesz(endian), segment.p_memsz(endian));
            let last = address.checked_add(in_memory).ok_or_else(ambiguous)?;
            // A segment that is mapped later must not overlap one that is mapped earlier.
            let is_apart = address / page * page >= end || parts.is_empty();
            if !is_apart || in_file > in_memory || address % page != offset % page {
                return Err(ambiguous());
            }
            end = last.checked_next_multiple_of(page).ok_or_else(ambiguous)?;
            let bytes = usize::try_from(offset).ok().zip(usize::try_from(in_file).ok());
            let bytes =
                bytes.and_then(|(offset, size)| data.get(offset..)?.get(..size)).ok_or_else(ambiguous)?;
            parts.push(Part { addresses: address..address + in_file, bytes, offset });
        }
        let mut all = segments.iter().filter(|segment| segment.p_type(endian) == PT_DYNAMIC);
        let (Some(dynamic), None) = (all.next(), all.next()) else {
            return Err("it is not a shared library: it does not have exactly one dynamic section".to_owned());
        };
        let dynamic = (dynamic.p_vaddr(endian), dynamic.p_filesz(endian), dynamic.p_offset(endian));
        Ok(Self { parts, dynamic })
    }

    /// The part that contains these addresses, and its bytes there.
    fn at(&self, address: u64, size: u64) -> Option<(&Part<'a>, &'a [u8])> {
        let part = self.parts.iter().find(|part| part.addresses.contains(&address))?;
        let start = usize::try_from(address - part.addresses.start).ok()?;
        Some((part, part.bytes.get(start..)?.get(..usize::try_from(size).ok()?)?))
    }

    /// The entries of the dynamic section as they will be in memory, up to the entry that ends it.
    fn dynamic(&self) -> Result<Vec<(i64, u64)>, String> {
        let ambiguous =
            || "it is not a well-formed shared library: its dynamic section is ambiguous".to_owned();
        let (address, size, offset) = self.dynamic;
        let (part, bytes) = self.at(address, size).ok_or_else(ambiguous)?;
        if part.offset + (address - part.addresses.start) != offset {
            return Err(ambiguous());
        }
        let mut entries = Vec::new();
        for entry in bytes.chunks_exact(ENTRY) {
            let (tag, value) = entry.split_at(ENTRY / 2);
            let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).map_err(|_| ambiguous());
            let (tag, value) = (number(tag)?.cast_signed(), number(value)?);
            if tag == DT_NULL {
                return Ok(entries);
            }
            entries.push((tag, value));
        }
        // There is no entry that ends the section: the dynamic linker would read beyond it.
        Err(ambiguous())
    }

    /// The string table with the names of libraries and directories.
    fn names(&self, dynamic: &[(i64, u64)]) -> Result<&'a [u8], String> {
        let ambiguous = || "it is not a well-formed shared library: its names are ambiguous".to_owned();
        let only = |wanted| {
            let mut all = dynamic.iter().filter(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
            all.next().filter(|_| all.next().is_none()).ok_or_else(ambiguous)
        };
        let (_, names) = self.at(only(DT_STRTAB)?, only(DT_STRSZ)?).ok_or_else(ambiguous)?;
        Ok(names)
    }
}

/// The text at this offset of the string table.
fn name(names: &[u8], offset: u64) -> Result<String, String> {
    let rest = usize::try_from(offset).ok().and_then(|offset| names.get(offset..));
    let text = rest.and_then(|rest| rest.get(..rest.iter().position(|byte| *byte == 0)?));
    text.map(|text| String::from_utf8_lossy(text).into_owned())
        .ok_or_else(|| "it is not a well-formed shared library: a name in it is not terminated".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use object::elf::{DT_RELACOUNT, PT_GNU_STACK};

    use super::*;

    /// A library built by the linker. `test` makes its file name unique.
    fn library(test: &str) -> Vec<u8> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = std::env::temp_dir().join(format!("bootc-image-elf-{}-{test}.so", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-fPIC", "-shared", "-pthread", "-I"])
            .arg(here.join("../../extension-sdk/include"))
            .arg(here.join("tests/roles.c"))
            .arg("-o")
            .arg(&path)
            .status()
            .unwrap();
        assert!(compiled.success());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        bytes
    }

    fn examined(bytes: &[u8]) -> Result<(), String> {
        use std::io::Write as _;
        let path = std::env::temp_dir().join(format!(
            "bootc-image-elf-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        File::create(&path).unwrap().write_all(bytes).unwrap();
        let result = examine(&File::open(&path).unwrap());
        std::fs::remove_file(path).unwrap();
        result
    }

    /// Offsets of the program headers of this type.
    fn headers(bytes: &[u8], wanted: u32) -> Vec<usize> {
        let number = u16::from_le_bytes(bytes[56..58].try_into().unwrap());
        let at = |index: u16| 64 + 56 * usize::from(index);
        let is = |place: &usize| bytes[*place..place + 4] == wanted.to_le_bytes();
        (0..number).map(at).filter(is).collect()
    }

    fn number(bytes: &[u8], place: usize) -> u64 {
        u64::from_le_bytes(bytes[place..place + 8].try_into().unwrap())
    }

    fn put(bytes: &mut [u8], place: usize, number: u64) {
        bytes[place..place + 8].copy_from_slice(&number.to_le_bytes());
    }

    /// Offset of an entry of the dynamic section.
    fn entry(bytes: &[u8], wanted: i64) -> usize {
        let header = headers(bytes, PT_DYNAMIC)[0];
        let (offset, size) = (number(bytes, header + 8) as usize, number(bytes, header + 32) as usize);
        let mut places = (offset..offset + size).step_by(ENTRY);
        places.find(|place| number(bytes, *place) == wanted.cast_unsigned()).unwrap()
    }

    /// Offsets within a program header.
    const TYPE: usize = 0;
    const OFFSET: usize = 8;
    const ADDRESS: usize = 16;
    const IN_FILE: usize = 32;
    const IN_MEMORY: usize = 40;

    #[test]
    fn a_well_formed_library_is_accepted_and_an_ambiguous_one_is_refused() {
        let good = library("good");
        assert_eq!(examined(&good), Ok(()));
        let refused = |what: &str, change: &dyn Fn(&mut Vec<u8>), why: &str| {
            let mut bytes = good.clone();
            change(&mut bytes);
            let reason = examined(&bytes).expect_err(what);
            assert!(reason.contains(why), "{what}: {reason}");
        };
        let dynamic = headers(&good, PT_DYNAMIC)[0];
        let loads = headers(&good, PT_LOAD);
        let (first, last) = (loads[0], *loads.last().unwrap());
        refused(
            "a second dynamic section",
            &|bytes| {
                let other = headers(bytes, PT_GNU_STACK)[0];
                bytes.copy_within(dynamic..dynamic + 56, other);
            },
            "exactly one dynamic section",
        );
        refused(
            "no dynamic section",
            &|bytes| bytes[dynamic + TYPE..dynamic + 4].fill(0),
            "exactly one dynamic section",
        );
        refused(
            "a dynamic section that is cut",
            &|bytes| put(bytes, dynamic + IN_FILE, 32),
            "dynamic section is ambiguous",
        );
        refused(
            "a dynamic section elsewhere in the file",
            &|bytes| {
                let offset = number(bytes, dynamic + OFFSET);
                put(bytes, dynamic + OFFSET, offset + 16);
            },
            "dynamic section is ambiguous",
        );
        refused(
            "a dynamic section that is not loaded",
            &|bytes| put(bytes, dynamic + ADDRESS, 1 << 40),
            "dynamic section is ambiguous",
        );
        refused(
            "two tables of names",
            &|bytes| {
                let (names, other) = (entry(bytes, DT_STRTAB), entry(bytes, DT_RELACOUNT));
                bytes.copy_within(names..names + ENTRY, other);
            },
            "names are ambiguous",
        );
        refused(
            "a number of segments that is stored elsewhere",
            &|bytes| bytes[56..58].copy_from_slice(&PN_XNUM.to_le_bytes()),
            "segments are ambiguous",
        );
        refused(
            "segments that lie over each other",
            &|bytes| {
                let (address, offset) = (number(bytes, first + ADDRESS), number(bytes, first + OFFSET));
                put(bytes, last + ADDRESS, address);
                put(bytes, last + OFFSET, offset);
            },
            "segments are ambiguous",
        );
        refused(
            "a segment beyond the end",
            &|bytes| {
                put(bytes, last + IN_FILE, 1 << 30);
                put(bytes, last + IN_MEMORY, 1 << 30);
            },
            "segments are ambiguous",
        );
        refused(
            "a segment that wraps around",
            &|bytes| put(bytes, last + IN_MEMORY, u64::MAX),
            "segments are ambiguous",
        );
        refused(
            "a name without an end",
            &|bytes| {
                let needed = entry(bytes, DT_NEEDED);
                put(bytes, needed + 8, 1 << 40);
            },
            "is not terminated",
        );
        refused(
            "a watcher",
            &|bytes| {
                let needed = entry(bytes, DT_NEEDED);
                put(bytes, needed, DT_AUDIT.cast_unsigned());
            },
            "filter, auxiliary or audit library",
        );
    }

    #[test]
    fn a_library_that_is_truncated_or_changed_in_one_byte_causes_no_panic() {
        let good = library("cut");
        for length in (0..good.len()).step_by(97) {
            assert!(length > good.len() / 2 || examined(&good[..length]).is_err(), "{length}");
        }
        for place in 0..4096.min(good.len()) {
            let mut bytes = good.clone();
            bytes[place] ^= 0xff;
            let _ = examined(&bytes);
        }
    }
}
