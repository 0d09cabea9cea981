//! SELinux labels: a replaced layer gets the label of the previous one.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bootc_image_os::root::RootDir;
use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
use rustix::io::Errno;

use crate::error::Error;

const LABEL: &str = "security.selinux";
/// The maximum length of a label.
const MAX_LABEL: usize = 4096;
/// The maximum depth of directories.
const MAX_DEPTH: usize = 512;

/// Gives the directory `new` and everything in it the label of `old`, or of the nearest existing parent. Does nothing if there are
/// no labels or they are right.
///
/// # Errors
/// Any I/O error.
pub(super) fn label(new_root: &RootDir, new: &Path, old_root: &RootDir, old: &Path) -> Result<(), Error> {
    let (new, old) = (new_root.path(new), old_root.path(old));
    let wanted = old.ancestors().take(3).find_map(|path| of(path).ok().flatten());
    let set = || -> io::Result<()> {
        match wanted {
            Some(wanted) if of(&new)?.as_ref() != Some(&wanted) => set(&new, &wanted, 0),
            _ => Ok(()),
        }
    };
    set().map_err(Error::io("set the SELinux label of", new.clone()))
}

fn of(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut label = vec![0; MAX_LABEL];
    match lgetxattr(path, LABEL, &mut label[..]) {
        Ok(length) => {
            label.truncate(length);
            Ok(Some(label))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn set(path: &Path, label: &[u8], depth: usize) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    lsetxattr(name.as_c_str(), LABEL, label, XattrFlags::empty())?;
    if depth < MAX_DEPTH && fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            set(&entry?.path(), label, depth + 1)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only root may set labels, and only where the kernel does not check them.
    #[test]
    fn a_layer_that_cannot_be_labelled_is_named() {
        let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let old = scratch.path().join("old");
        fs::create_dir(&old).unwrap();
        let root = RootDir::open(scratch.path()).unwrap();
        let label = || label(&root, Path::new("new"), &root, Path::new("old"));
        // Without a label there is nothing to do, even for a directory that is missing.
        let is_labelled = of(&old).unwrap().is_some()
            || lsetxattr(&old, LABEL, b"system_u:object_r:usr_t:s0", XattrFlags::empty()).is_ok();
        if !is_labelled {
            assert!(label().is_ok());
            return;
        }
        let expected = format!("cannot set the SELinux label of {}", scratch.path().join("new").display());
        assert_eq!(label().unwrap_err().to_string(), expected);
        fs::create_dir_all(scratch.path().join("new/below")).unwrap();
        label().unwrap();
        assert_eq!(of(&scratch.path().join("new/below")).unwrap(), of(&old).unwrap());
    }
}
