//! Plugins that misbehave, built for the tests from the crates next to this one.
//!
//! Every guest has a test named like it. [`for_each_guest!`] holds a test file to that: a guest without one doesn't compile.
//!
//! ```ignore
//! macro_rules! has_a_test {
//!     ($guest:ident) => {
//!         use self::$guest as _;
//!     };
//! }
//! bootc_image_test_guests::for_each_guest!(has_a_test);
//! ```

use std::borrow::Cow;

use bootc_image_engine::{Artefact, Builtin};

struct Guest {
    name: &'static str,
    manifest: &'static str,
    artefact: &'static [u8],
    component: &'static [u8],
    sha256: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// Names of all guests.
pub fn names() -> impl Iterator<Item = &'static str> {
    GUESTS.iter().map(|guest| guest.name)
}

/// A guest as it is installed: the files of its directory, by name. None if there is no such guest.
pub fn files(name: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let guest = GUESTS.iter().find(|guest| guest.name == name)?;
    let line = format!("[[component]]\nsha256 = \"{}\"\n", guest.sha256);
    let manifest = guest.manifest.replacen("[[component]]\n", &line, 1);
    let component = format!("{}.wasm", name.replace('-', "_"));
    Some(vec![("plugin.toml".to_owned(), manifest.into_bytes()), (component, guest.component.to_vec())])
}

/// Digest of a guest's component, in lower-case hexadecimal.
pub fn sha256(name: &str) -> Option<&'static str> {
    GUESTS.iter().find(|guest| guest.name == name).map(|guest| guest.sha256)
}

/// A guest, ready for a plugin set of its own or together with others. None if there is no such guest.
pub fn guest(name: &str) -> Option<Builtin> {
    let guest = GUESTS.iter().find(|guest| guest.name == name)?;
    // SAFETY: the build script of this crate has just compiled it, and it is part of this executable since.
    #[allow(unsafe_code)]
    let artefact = unsafe { Artefact::trusted(Cow::Borrowed(guest.artefact)) };
    Some(Builtin::new(format!("guest {name}"), guest.manifest, artefact, guest.sha256))
}
