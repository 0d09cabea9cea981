//! Whether only root can change what is at a path, or make the path lead elsewhere. This one rule holds for every program that root
//! runs, every file that root obeys, and every file that is written as root.
//!
//! A path is trusted if every part of it is, from the file up to `/`: whoever can write to a directory can replace what is in it.
//! Resolve links first, with [`std::fs::canonicalize`], then check the resolved path, and afterwards use the resolved path, not the
//! original one.
//!
//! | rule | why |
//! |---|---|
//! | [`Rule::Spelling`] | the parents of a relative path would not be checked, and `..` does not lead to the part before it |
//! | [`Rule::Link`] | the target of a link is not what is checked, and it may change before it is used |
//! | [`Rule::Owner`] | an owner can change the mode, and then write or let others write |
//! | [`Rule::Writable`] | group and others must not write; with an access control list the group's bits are its mask, so they cover every entry |
//! | a missing part | whoever creates it first decides what is in it: see [`Leeway::Missing`] |
//!
//! Only the owner and the mode are checked. A mount over a directory is not, because only root can mount.
//!
//! The result holds until root itself changes something, because nobody else can change any part of a trusted path. So there is no
//! race between the check and the use.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// Who is trusted, and which exceptions are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A user who is trusted in addition to root: the owner of the files.
    pub user: Option<u32>,
    /// The exception that a walk allows.
    pub leeway: Leeway,
}

/// The exception that a walk allows. They cannot be combined: anybody can create a missing part in a sticky directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leeway {
    /// None: every part exists, and nobody else can write to it. For directories to which others must not even add files.
    None,
    /// Directories above the last part may be writable by everybody if they are sticky, as `/tmp` is: there only the owner of the
    /// directory and the owner of an entry can replace the entry, and both are checked. For files that exist already.
    Sticky,
    /// Parts may be missing: only a trusted user can create them below the last existing part, which is checked. For files that we
    /// create ourselves.
    Missing,
}

/// What a part of a path must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The path is absolute and has no `..`.
    Spelling,
    /// It is not a symbolic link.
    Link,
    /// Its owner is trusted.
    Owner,
    /// Only its owner may write to it.
    Writable,
}

/// Why a path is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// A part of it breaks a rule.
    #[error("{} {}", part.display(), rule.broken())]
    Broken {
        /// Which part.
        part: PathBuf,
        /// The first rule that it breaks, in their order.
        rule: Rule,
    },
    /// It cannot be determined.
    #[error("cannot examine {}", part.display())]
    Unknown {
        /// Which part.
        part: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Rule {
    fn broken(self) -> &'static str {
        match self {
            Self::Spelling => "is not an absolute path without `..`",
            Self::Link => "is a symbolic link",
            Self::Owner => "is owned by another user",
            Self::Writable => "is writable by others",
        }
    }
}

impl Policy {
    /// Only root is trusted, and there are no exceptions.
    pub const ROOT_ONLY: Self = Self { user: None, leeway: Leeway::None };

    /// Checks every part of a path, from the last one up to `/`.
    ///
    /// # Errors
    /// [`Untrusted`], about the first part that breaks a rule.
    pub fn walk(self, path: &Path) -> Result<(), Untrusted> {
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            return Err(Untrusted::Broken { part: path.to_owned(), rule: Rule::Spelling });
        }
        for (number, part) in path.ancestors().enumerate() {
            let found = match fs::symlink_metadata(part) {
                Err(error) if self.leeway == Leeway::Missing && error.kind() == io::ErrorKind::NotFound => {
                    continue;
                }
                found => found.map_err(|source| Untrusted::Unknown { part: part.to_owned(), source })?,
            };
            let may_be_sticky = number > 0 && self.leeway == Leeway::Sticky && found.is_dir();
            match self.broken_by(&found) {
                None => {}
                Some(Rule::Writable) if may_be_sticky && found.mode() & STICKY != 0 => {}
                Some(rule) => return Err(Untrusted::Broken { part: part.to_owned(), rule }),
            }
        }
        Ok(())
    }

    /// Checks one part whose parents are trusted, such as an open file or an entry of a checked directory, without exceptions.
    /// `path` is its name in the error.
    ///
    /// # Errors
    /// [`Untrusted::Broken`].
    pub fn look(self, path: &Path, found: &Metadata) -> Result<(), Untrusted> {
        match self.broken_by(found) {
            None => Ok(()),
            Some(rule) => Err(Untrusted::Broken { part: path.to_owned(), rule }),
        }
    }

    fn broken_by(self, found: &Metadata) -> Option<Rule> {
        if found.is_symlink() {
            Some(Rule::Link)
        } else if found.uid() != 0 && Some(found.uid()) != self.user {
            Some(Rule::Owner)
        } else {
            (found.mode() & WRITABLE_BY_OTHERS != 0).then_some(Rule::Writable)
        }
    }
}

const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// These run as root and as any other user. As root, they change a file's owner where an untrusted one is needed; any other user is
/// untrusted as long as the policy does not name them.
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    /// What breaks: which part, by its name, and which rule. None: nothing does.
    fn broken(result: Result<(), Untrusted>) -> Option<(String, Rule)> {
        match result {
            Ok(()) => None,
            Err(Untrusted::Broken { part, rule }) => {
                Some((part.file_name().unwrap_or_default().to_string_lossy().into_owned(), rule))
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A directory with `above/below/file` in it, owned by the user who runs the tests, and a policy that trusts that user. It is below
    /// `/tmp`, or what the environment has instead of it: that may be sticky, so only what breaks below it tells something, or
    /// [`Leeway::Sticky`].
    struct Tree {
        scratch: tempfile::TempDir,
        policy: Policy,
    }

    impl Tree {
        fn new(leeway: Leeway) -> Self {
            let scratch = tempfile::tempdir().unwrap();
            fs::create_dir_all(scratch.path().join("above/below")).unwrap();
            fs::write(scratch.path().join("above/below/file"), "").unwrap();
            let user = Some(rustix::process::geteuid().as_raw());
            let tree = Self { scratch, policy: Policy { user, leeway } };
            for (name, bits) in [("above", 0o755), ("above/below", 0o755), ("above/below/file", 0o644)] {
                mode(&tree.path(name), bits);
            }
            tree
        }

        fn path(&self, name: &str) -> PathBuf {
            fs::canonicalize(self.scratch.path()).unwrap().join(name)
        }

        fn walk(&self, name: &str) -> Option<(String, Rule)> {
            broken(self.policy.walk(&self.path(name)))
        }
    }

    const FILE: &str = "above/below/file";

    fn found(name: &str, rule: Rule) -> Option<(String, Rule)> {
        Some((name.to_owned(), rule))
    }

    #[test]
    fn what_is_roots_alone_is_trusted() {
        // These hold on every system, for every user.
        for path in ["/", "/usr", "/usr/bin"] {
            let path = fs::canonicalize(path).unwrap();
            for leeway in [Leeway::None, Leeway::Sticky, Leeway::Missing] {
                assert_eq!(broken(Policy { user: None, leeway }.walk(&path)), None, "{}", path.display());
            }
        }
        assert_eq!(Tree::new(Leeway::Sticky).walk(FILE), None);
    }

    #[test]
    fn nobody_else_may_write_to_any_part() {
        for part in ["above", "above/below", FILE] {
            for bits in [0o020, 0o002] {
                let tree = Tree::new(Leeway::Sticky);
                let path = tree.path(part);
                mode(&path, fs::metadata(&path).unwrap().mode() | bits);
                let name = part.rsplit('/').next().unwrap();
                assert_eq!(tree.walk(FILE), found(name, Rule::Writable), "{part}");
                let metadata = fs::symlink_metadata(&path).unwrap();
                assert_eq!(broken(tree.policy.look(&path, &metadata)), found(name, Rule::Writable));
            }
        }
    }

    #[test]
    fn each_part_belongs_to_root_or_to_the_user_who_is_named() {
        for part in ["above", "above/below", FILE] {
            let mut tree = Tree::new(Leeway::Sticky);
            // Anybody but root is a stranger to root already.
            let stranger = if tree.policy.user == Some(0) {
                chown(tree.path(part), Some(65534), None).unwrap();
                65534
            } else {
                tree.policy.user.unwrap()
            };
            tree.policy.user = None;
            let name = if stranger == 65534 { part } else { FILE }.rsplit('/').next().unwrap();
            assert_eq!(tree.walk(FILE), found(name, Rule::Owner), "{part}");
            tree.policy.user = Some(stranger);
            assert_eq!(tree.walk(FILE), None, "{part}");
        }
    }

    #[test]
    fn a_sticky_directory_passes_above_the_last_part_and_with_leeway_only() {
        let tree = |leeway| {
            let tree = Tree::new(leeway);
            mode(&tree.path("above"), 0o1777);
            tree
        };
        assert_eq!(tree(Leeway::Sticky).walk(FILE), None);
        assert_eq!(tree(Leeway::Sticky).walk("above"), found("above", Rule::Writable));
        assert_eq!(tree(Leeway::None).walk(FILE), found("above", Rule::Writable));
        assert_eq!(tree(Leeway::Missing).walk(FILE), found("above", Rule::Writable));
        assert_eq!(tree(Leeway::Missing).walk("above/new"), found("above", Rule::Writable));
        let sticky = tree(Leeway::Sticky);
        let above = sticky.path("above");
        let metadata = fs::metadata(&above).unwrap();
        assert_eq!(broken(sticky.policy.look(&above, &metadata)), found("above", Rule::Writable));
        // The sticky bit only matters on directories.
        let tree = Tree::new(Leeway::Sticky);
        mode(&tree.path(FILE), 0o1666);
        assert_eq!(tree.walk(FILE), found("file", Rule::Writable));
    }

    #[test]
    fn a_sticky_directory_of_somebody_else_does_not_pass() {
        let mut tree = Tree::new(Leeway::Sticky);
        mode(&tree.path("above"), 0o1777);
        if tree.policy.user == Some(0) {
            chown(tree.path("above"), Some(65534), None).unwrap();
            assert_eq!(tree.walk(FILE), found("above", Rule::Owner));
        } else {
            tree.policy.user = None;
            assert_eq!(tree.walk("above"), found("above", Rule::Owner));
        }
    }

    #[test]
    fn a_link_is_never_trusted() {
        let tree = Tree::new(Leeway::Sticky);
        symlink("file", tree.path("above/below/link")).unwrap();
        symlink("below", tree.path("above/aside")).unwrap();
        symlink("nowhere", tree.path("above/dangling")).unwrap();
        assert_eq!(tree.walk("above/below/link"), found("link", Rule::Link));
        assert_eq!(tree.walk("above/aside/file"), found("aside", Rule::Link));
        let writing = Policy { leeway: Leeway::Missing, ..tree.policy };
        assert_eq!(broken(writing.walk(&tree.path("above/dangling"))), found("dangling", Rule::Link));
    }

    #[test]
    fn what_is_missing_passes_with_leeway_only_and_what_is_above_it_counts() {
        let missing = "above/below/not/there";
        for leeway in [Leeway::None, Leeway::Sticky] {
            let tree = Tree::new(leeway);
            match tree.policy.walk(&tree.path(missing)) {
                Err(Untrusted::Unknown { part, source }) => {
                    assert_eq!((part, source.kind()), (tree.path(missing), io::ErrorKind::NotFound));
                }
                other => panic!("{other:?}"),
            }
        }
        // Not in a temporary directory, which is below a sticky one.
        let writing = Policy { user: None, leeway: Leeway::Missing };
        let usr = fs::canonicalize("/usr").unwrap();
        assert_eq!(broken(writing.walk(&usr.join("not/there"))), None);
        let tree = Tree::new(Leeway::Missing);
        mode(&tree.path("above/below"), 0o777);
        assert_eq!(tree.walk(missing), found("below", Rule::Writable));
        // A file in place of a directory is not a missing part.
        let below_a_file = tree.policy.walk(&tree.path(FILE).join("x"));
        assert!(matches!(below_a_file, Err(Untrusted::Unknown { .. })), "{below_a_file:?}");
    }

    #[test]
    fn only_an_absolute_path_without_steps_upwards_is_examined() {
        let writing = Policy { user: None, leeway: Leeway::Missing };
        for path in ["usr/bin", "", ".", "/usr/../usr/bin", "/usr/not/../there"] {
            for policy in [Policy::ROOT_ONLY, writing] {
                let broken = policy.walk(Path::new(path));
                assert!(matches!(broken, Err(Untrusted::Broken { rule: Rule::Spelling, .. })), "{path}");
            }
        }
    }

    #[test]
    fn the_error_says_which_part_and_why() {
        let tree = Tree::new(Leeway::Sticky);
        mode(&tree.path("above"), 0o777);
        let error = tree.policy.walk(&tree.path(FILE)).unwrap_err();
        assert_eq!(error.to_string(), format!("{} is writable by others", tree.path("above").display()));
    }

    #[test]
    fn every_rule_has_words() {
        let stranger = Tree::new(Leeway::Sticky);
        if stranger.policy.user == Some(0) {
            chown(stranger.path(FILE), Some(65534), None).unwrap();
        }
        let file = stranger.path(FILE);
        let of_root = Policy { user: None, leeway: Leeway::Sticky };
        for (path, why) in [
            (Path::new("usr/bin"), "usr/bin is not an absolute path without `..`".to_owned()),
            (&file, format!("{} is owned by another user", file.display())),
        ] {
            assert_eq!(of_root.walk(path).unwrap_err().to_string(), why);
        }
    }
}
