//! The extension's library: looked at, loaded, and asked.

// Foreign code is on the other side of every function here.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::net::UnixStream;
use std::ptr;

use bootc_image_extension::abi::{self, Entry, Extension};
use bootc_image_native_protocol::{Answer, Command, LIBRARY, List, Operation};
use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW};
use object::Endianness;
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRTAB, ET_DYN, FileHeader64, PT_LOAD};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};

use crate::call::{self, Kind, Settings};
use crate::lent;

/// The architecture that this program is for, as libraries name it.
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = object::elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = object::elf::EM_AARCH64;

/// A library that is loaded, for the rest of the life of this process.
pub(crate) struct Library {
    /// What of its table both sides know; the rest is as if it were null.
    table: Extension,
}

impl Library {
    /// Loads it. What it has to say before its table is read is said on stderr.
    pub(crate) fn load(file: &File) -> Result<Self, String> {
        examine(file)?;
        let path = format!("/proc/self/fd/{LIBRARY}");
        // SAFETY: its initialisers run, with all that this process may do: that is what was approved.
        let loaded = unsafe { Loaded::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| format!("it can't be loaded: {}", words(&error)))?;
        // SAFETY: what the symbol is, the header says.
        let entry: Entry = unsafe {
            *loaded.get::<Entry>(abi::ENTRY.as_bytes()).map_err(|_| format!("it has no {}", abi::ENTRY))?
        };
        // What it has set up in the process can't be undone, so it stays.
        std::mem::forget(loaded);
        // SAFETY: the host's table stays where it is.
        let table = unsafe { entry(&raw const call::HOST) };
        Ok(Self { table: known(table)? })
    }

    /// What it can be asked.
    pub(crate) fn roles(&self) -> Vec<String> {
        let Extension { evaluate, format, plan, .. } = &self.table;
        let roles =
            [("policy", evaluate.is_some()), ("format", format.is_some()), ("command", plan.is_some())];
        roles.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.to_owned()).collect()
    }

    pub(crate) fn evaluate(&self, socket: &mut UnixStream, settings: &Settings, asked: &Operation) -> Answer {
        let Some(evaluate) = self.table.evaluate else { return call::null("evaluate") };
        let lent = lent::Operation::of(asked);
        call::make(Kind::Policy, socket, settings, 0, |handle| {
            // SAFETY: the header says what is passed.
            unsafe {
                evaluate(self.table.state, handle, lent.as_ptr());
            }
        })
    }

    pub(crate) fn format(&self, socket: &mut UnixStream, settings: &Settings, asked: &List) -> Answer {
        let Some(format) = self.table.format else { return call::null("format") };
        let lent = lent::List::of(asked);
        call::make(Kind::Formatter, socket, settings, asked.columns.len(), |handle| {
            // SAFETY: the header says what is passed.
            unsafe {
                format(self.table.state, handle, lent.as_ptr());
            }
        })
    }

    pub(crate) fn plan(&self, socket: &mut UnixStream, settings: &Settings, asked: &Command) -> Answer {
        let Some(plan) = self.table.plan else { return call::null("plan") };
        let lent = lent::Command::of(asked);
        call::make(Kind::Command, socket, settings, 0, |handle| {
            // SAFETY: the header says what is passed.
            unsafe {
                plan(self.table.state, handle, lent.as_ptr());
            }
        })
    }
}

/// Reads a table: as much of it as both sides know.
fn known(table: *const Extension) -> Result<Extension, String> {
    /// Where what every version has ends.
    const HEAD: usize = std::mem::offset_of!(Extension, state);
    if table.is_null() {
        return Err("it can't work with this version of bootc-image: it has no table for it".to_owned());
    }
    // SAFETY: every version of the table begins with these three; the extension vouches that it is one.
    let (size, major, minor) = unsafe {
        (
            (&raw const (*table).size).read(),
            (&raw const (*table).major).read(),
            (&raw const (*table).minor).read(),
        )
    };
    if major != abi::MAJOR {
        let fix =
            if major > abi::MAJOR { "install a newer bootc-image" } else { "install a newer extension" };
        return Err(format!(
            "it was built for version {major}.{minor} of bootc_image_extension.h, and this host has {}.{}: {fix}",
            abi::MAJOR,
            abi::MINOR
        ));
    }
    if size < HEAD || size % align_of::<Extension>() != 0 || size > 1 << 16 {
        return Err(format!("its table has {size} bytes, which no version of bootc_image_extension.h has"));
    }
    let mut known =
        Extension { size, major, minor, state: ptr::null_mut(), evaluate: None, format: None, plan: None };
    // SAFETY: as many bytes as both have; what is beyond in ours is null, which is a value of each of its fields.
    unsafe {
        let both = size.min(size_of::<Extension>());
        ptr::copy_nonoverlapping(table.cast::<u8>(), (&raw mut known).cast::<u8>(), both);
    }
    Ok(known)
}

/// Looks at a library before anything of it runs: whether it is one for this machine, and where it would have others from.
fn examine(mut file: &File) -> Result<(), String> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .map_err(|error| format!("it can't be read: {error}"))?;
    let data = bytes.as_slice();
    let no_library = |_| "it is no shared library of this kind of system (ELF, 64 bits)".to_owned();
    let header = FileHeader64::<Endianness>::parse(data).map_err(no_library)?;
    let endian = header.endian().map_err(no_library)?;
    let machine = header.e_machine(endian);
    if machine != MACHINE {
        return Err(format!(
            "it is for another architecture: ELF machine {machine}, and this one is {MACHINE}"
        ));
    }
    if header.e_type(endian) != ET_DYN {
        return Err("it is no shared library".to_owned());
    }
    let segments = header.program_headers(endian, data).map_err(no_library)?;
    let Some(dynamic) = segments.iter().find_map(|segment| segment.dynamic(endian, data).ok()?) else {
        return Err("it is no shared library: it has no dynamic section".to_owned());
    };
    let dynamic: Vec<(i64, u64)> =
        dynamic.iter().map(|entry| (entry.d_tag(endian), entry.d_val(endian))).collect();
    let text = |offset: u64| -> Option<&[u8]> {
        let (_, table) = dynamic.iter().find(|(tag, _)| *tag == DT_STRTAB)?;
        let address = table.checked_add(offset)?;
        let loaded = segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
        let place = loaded.filter_map(|segment| {
            let within = address.checked_sub(segment.p_vaddr(endian))?;
            (within < segment.p_filesz(endian)).then(|| segment.p_offset(endian).checked_add(within))?
        });
        let rest = data.get(usize::try_from(place.min()?).ok()?..)?;
        rest.get(..rest.iter().position(|byte| *byte == 0)?)
    };
    for (tag, value) in &dynamic {
        let named = String::from_utf8_lossy(text(*value).unwrap_or_default()).into_owned();
        match *tag {
            DT_RPATH | DT_RUNPATH => {
                return Err(format!(
                    "it has libraries looked for in {named:?} (RUNPATH), and only the system's places count: build it without"
                ));
            }
            DT_NEEDED if named.is_empty() || named.contains('/') => {
                return Err(format!("it needs the library {named:?}, and libraries are found by name alone"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the dynamic linker says, without the place in memory.
fn words(error: &libloading::Error) -> String {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    text.replace(&format!("/proc/self/fd/{LIBRARY}: "), "")
}
