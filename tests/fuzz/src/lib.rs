//! What must hold for whatever is read: one function a target, which panics if it doesn't.
//!
//! The fuzzer (`make fuzz`) looks for inputs for which it doesn't hold; tests replay those that are kept in `corpus/`. A
//! target that reads files is given real ones, through the same functions as the program's.

mod documents;
mod stores;
mod texts;

/// Something that reads what others wrote.
pub struct Target {
    /// Its name, and that of the directory with its inputs.
    pub name: &'static str,
    /// Reads the input. Panics if something doesn't hold.
    pub run: fn(&[u8]),
}

/// Everything that reads what others wrote.
pub const TARGETS: &[Target] = &[
    Target { name: "manifest", run: documents::manifest },
    Target { name: "configuration", run: documents::configuration },
    Target { name: "grants", run: documents::grants },
    Target { name: "podman-grammar", run: texts::podman_grammar },
    Target { name: "reference", run: texts::reference },
    Target { name: "sanitiser", run: texts::sanitiser },
    Target { name: "terminal", run: texts::terminal },
    Target { name: "canonical-form", run: texts::canonical_form },
    Target { name: "bound-images", run: stores::bound_images },
    Target { name: "containers-storage", run: stores::containers_storage },
    Target { name: "layer", run: stores::layer },
    Target { name: "ostree-commit", run: stores::ostree_commit },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Panics if a message that is printed as it is could deceive whoever reads it.
fn assert_harmless(message: &str) {
    // Blanks of the host's own stay.
    let is_harmless = |line: &str| bootc_image_model::sanitize::lines(line).trim_end_matches('\n') == line;
    assert!(message.lines().all(is_harmless), "{message:?}");
}
