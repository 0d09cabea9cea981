//! The extension's library: checked, loaded and called.

// Every function here calls foreign code.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::ptr;

use bootc_image_extension::abi::{self, Entry, Extension};
use bootc_image_native_protocol::{Answer, Command, LIBRARY};
use bootc_image_plugin_model::{List, Operation, PluginRole};
use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW};

use crate::call::{self, Kind, Settings};
use crate::elf;
use crate::lent;

/// A loaded library. It stays loaded until the process ends.
pub(crate) struct Library {
    /// The fields of its table that both sides know; the others are null.
    table: Extension,
}

impl Library {
    /// Checks and loads the library, and reads its table.
    pub(crate) fn load(file: &File) -> Result<Self, String> {
        elf::examine(file)?;
        let path = format!("/proc/self/fd/{LIBRARY}");
        // SAFETY: the library's initialisers run with all rights of this process, which is what the administrator approved.
        let loaded = unsafe { Loaded::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| format!("cannot load it: {}", linker_message(&error)))?;
        // SAFETY: the header defines the type of the symbol.
        let entry: Entry = unsafe {
            *loaded
                .get::<Entry>(abi::ENTRY.as_bytes())
                .map_err(|_| format!("it does not export {}; `nm -D` shows what it exports", abi::ENTRY))?
        };
        // It is never unloaded: what its initialisers have set up in the process cannot be undone.
        std::mem::forget(loaded);
        // SAFETY: the host's table is static.
        let table = unsafe { entry(&raw const call::HOST) };
        Ok(Self { table: known(table)? })
    }

    /// The roles for which it has a function.
    pub(crate) fn roles(&self) -> Vec<PluginRole> {
        let Extension { evaluate, format, plan, .. } = &self.table;
        let has = |role: &PluginRole| match role {
            PluginRole::Policy => evaluate.is_some(),
            PluginRole::Format => format.is_some(),
            PluginRole::Command => plan.is_some(),
        };
        PluginRole::ALL.iter().copied().filter(has).collect()
    }

    pub(crate) fn evaluate(
        &self,
        socket: &UnixStream,
        settings: &Settings,
        asked: &Operation,
    ) -> Option<Answer> {
        let Some(evaluate) = self.table.evaluate else { return Some(call::no_function("evaluate")) };
        let lent = lent::Operation::of(asked);
        call::make(Kind::Policy, socket, settings, 0, |handle| {
            // SAFETY: the arguments are those that the header defines.
            unsafe {
                evaluate(self.table.state, handle, lent.as_ptr());
            }
        })
    }

    pub(crate) fn format(&self, socket: &UnixStream, settings: &Settings, asked: &List) -> Option<Answer> {
        let Some(format) = self.table.format else { return Some(call::no_function("format")) };
        let lent = lent::List::of(asked);
        call::make(Kind::Formatter, socket, settings, asked.columns.len(), |handle| {
            // SAFETY: the arguments are those that the header defines.
            unsafe {
                format(self.table.state, handle, lent.as_ptr());
            }
        })
    }

    pub(crate) fn plan(&self, socket: &UnixStream, settings: &Settings, asked: &Command) -> Option<Answer> {
        let Some(plan) = self.table.plan else { return Some(call::no_function("plan")) };
        let lent = lent::Command::of(asked);
        call::make(Kind::Command, socket, settings, 0, |handle| {
            // SAFETY: the arguments are those that the header defines.
            unsafe {
                plan(self.table.state, handle, lent.as_ptr());
            }
        })
    }
}

/// Reads the fields of a table that both sides know.
fn known(table: *const Extension) -> Result<Extension, String> {
    /// The size of the fields that every version has.
    const HEAD: usize = std::mem::offset_of!(Extension, state);
    if table.is_null() {
        return Err(
            "it does not support this version of bootc-image: its entry point returned no table".to_owned()
        );
    }
    // SAFETY: every version of the table begins with these three fields, and the header requires the pointer to be valid.
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
            "it was built for version {major}.{minor} of bootc_image_extension.h, but this host provides {}.{}: {fix}",
            abi::MAJOR,
            abi::MINOR
        ));
    }
    if size < HEAD || size % align_of::<Extension>() != 0 || size > 1 << 16 {
        return Err(format!(
            "its table has {size} bytes, which matches no version of bootc_image_extension.h"
        ));
    }
    let mut known =
        Extension { size, major, minor, state: ptr::null_mut(), evaluate: None, format: None, plan: None };
    // SAFETY: only as many bytes are copied as both tables have. The other fields stay null, which is a valid value of each of them.
    unsafe {
        let both = size.min(size_of::<Extension>());
        ptr::copy_nonoverlapping(table.cast::<u8>(), (&raw mut known).cast::<u8>(), both);
    }
    Ok(known)
}

/// The dynamic linker's message, without the path of the file in memory.
fn linker_message(error: &libloading::Error) -> String {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    text.replace(&format!("/proc/self/fd/{LIBRARY}: "), "")
}
