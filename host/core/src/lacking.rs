//! What every command with podman or skopeo needs and this host lacks, for `plugin doctor`.

use bootc_image_os::processes::{Program, how_to_install};
use bootc_image_stores::error::Error as StoresError;
use bootc_image_stores::signature_policy::{FILES, read};
use bootc_image_stores::system::System;

use crate::error::Error;

/// Something that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// The program or file.
    pub name: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub fix: String,
}

/// All that is missing.
pub fn lacking() -> Vec<Lacking> {
    let mut all = Vec::new();
    for (program, name, needs) in [
        (Program::Podman, "podman", "`cmd`, `remove` and `prune` need it"),
        (Program::Skopeo, "skopeo", "no image can be copied, and no tag can be resolved"),
    ] {
        if let Err(error) = program.find() {
            all.push(Lacking { name, what: format!("{error}: {needs}"), fix: how_to_install(name) });
        }
    }
    all.extend(without_policy(System::running().and_then(|system| read(&system))));
    all
}

/// podman and skopeo refuse a `policy.json` that cannot be parsed as they refuse a missing one.
fn without_policy<P>(policy: Result<Option<P>, StoresError>) -> Option<Lacking> {
    let (why, fix) = match policy {
        Ok(Some(_)) => return None,
        Ok(None) => {
            let fix = "restore it from /usr/etc, or write one as described in: man containers-policy.json";
            (format!("{} does not exist", FILES.join(" or ")), fix.to_owned())
        }
        Err(error) => {
            let error = Error::from(error);
            (error.with_causes(), error.hint().unwrap_or_default())
        }
    };
    let what = format!("{why}: podman and skopeo refuse to pull or copy any image");
    Some(Lacking { name: "policy.json", what, fix })
}
