//! One table that maps the errors of all layers to their kinds (and so to exit codes) and hints.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use bootc_image_containers_storage::error::Error as StorageError;
use bootc_image_model::denial::Kind;
use bootc_image_model::reference::InvalidReference;
use bootc_image_os::error::Error as OsError;
use bootc_image_os::processes::how_to_install;
use bootc_image_os::room::{is_full, make_room_on};
use bootc_image_stores::bootc_store::credentials_in_words;
use bootc_image_stores::error::Error as StoresError;

use crate::error::Error;
use crate::plugin::PlanError;

/// The kind of an error, and its hint.
pub(crate) struct Advice<'a> {
    pub(crate) kind: Kind,
    hint: Hint<'a>,
}

enum Hint<'a> {
    Nothing,
    Text(Cow<'a, str>),
    /// Free space on the file system of this path. The mount point is determined only when the hint is printed.
    MakeRoomOn(&'a Path),
}

fn failed<'a>(hint: impl Into<Cow<'a, str>>) -> Advice<'a> {
    Advice { kind: Kind::Failed, hint: Hint::Text(hint.into()) }
}

fn usage<'a>(hint: impl Into<Cow<'a, str>>) -> Advice<'a> {
    Advice { kind: Kind::Usage, hint: Hint::Text(hint.into()) }
}

fn unusable<'a>(hint: impl Into<Cow<'a, str>>) -> Advice<'a> {
    Advice { kind: Kind::Unusable, hint: Hint::Text(hint.into()) }
}

fn make_room(kind: Kind, path: &Path) -> Advice<'_> {
    Advice { kind, hint: Hint::MakeRoomOn(path) }
}

impl<'a> From<&'a Option<String>> for Hint<'a> {
    fn from(hint: &'a Option<String>) -> Self {
        hint.as_deref().map_or(Self::Nothing, |hint| Self::Text(hint.into()))
    }
}

impl<'a> Advice<'a> {
    pub(crate) fn hint(self) -> Option<String> {
        match self.hint {
            Hint::Nothing => None,
            Hint::Text(text) => Some(text.into_owned()),
            Hint::MakeRoomOn(path) => Some(make_room_on(path)),
        }
    }

    pub(crate) fn of(error: &'a Error) -> Self {
        match error {
            Error::Os(error) => of_os(error),
            Error::Storage(error) => of_storage(error),
            Error::Stores(error) => of_stores(error),
            Error::Denied(denial) => Self { kind: Kind::Denied, hint: (&denial.hint).into() },
            Error::Plan(error) => of_plan(error),
            Error::Plugins(error) => unusable(error.fix()),
            Error::Unresolved { source, .. } => Self::of(source),
            Error::Incomplete { failure, .. } => Self::of(failure),
            Error::RejectedBySignaturePolicy { .. } => Self {
                kind: Kind::Denied,
                hint: Hint::Text(
                    "to accept the image, change /etc/containers/policy.json; see: man containers-policy.json".into(),
                ),
            },
            Error::NeedsRoot => failed("run it as root, for example with sudo"),
            Error::NoDirectory => failed("change to a directory that exists"),
            Error::ListNotBooted => failed(
                "list only the bound images with --type logical, or select a bootc system with --sysroot DIR",
            ),
            Error::Layered { image } => failed(format!(
                "copy the base image instead with: bootc-image copy-to-storage --source {image}"
            )),
            Error::NoSource { image } => failed(format!(
                "load the image from an archive with: bootc-image cmd load; or build or pull it with podman, then run: \
                 bootc-image pull-from-default-storage {image}"
            )),
            Error::DryRun => failed("run it without --dry-run"),
            Error::NoImageGiven => usage("give an image's name or id; to list images, run: bootc-image list"),
            Error::SeveralImages(_) => {
                usage("to save several images in one archive, add --multi-image-archive")
            }
            Error::DirectoryToStdout { .. } => usage(
                "name a directory with --output DIR, or write an archive to the pipe with --format oci-archive",
            ),
            Error::NoSuchPlugin { hint, .. } => usage(hint),
            Error::NotAPolicy(_) => usage("approve it without --mandatory"),
            Error::Plugin { fix, .. } => unusable(fix),
            Error::Configuration { fix, .. } => unusable(format!(
                "{}; until then only `list`, `exists` and the commands that inspect plugins run",
                fix.as_deref().unwrap_or("fix the configuration")
            )),
            Error::Audit(source) | Error::AuditOutcome(source) => of_audit(source),
        }
    }
}

/// The cause decides the hint: full disk, a wrong kind of file, wrong owner or mode, a lock, a damaged disk.
fn of_audit(source: &Error) -> Advice<'_> {
    let Error::Os(OsError::Io { what, path, source }) = source else {
        return Advice { kind: Kind::Unusable, ..Advice::of(source) };
    };
    let shown = path.display();
    match source.kind() {
        _ if is_full(source) => make_room(Kind::Unusable, path),
        io::ErrorKind::AlreadyExists => unusable(format!("{shown} is not a directory: move it away")),
        io::ErrorKind::NotADirectory => {
            unusable(format!("a part of the path {shown} is not a directory: move that part away"))
        }
        // The file is checked for its kind and owner, the directory for its mode as well.
        _ if *what == "use" && path.extension().is_some() => {
            unusable(format!("keep the present file under another name: mv --no-clobber {shown} {shown}.old"))
        }
        _ if *what == "use" => unusable(format!(
            "if {shown} is a directory, run: chown root {shown} && chmod 0700 {shown} \
             (or 0750, so that a group can read the record); if it is not a directory, move it away"
        )),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => unusable(format!(
            "make {shown} writable by root: see how it is mounted with: findmnt --target {shown}; \
             and its attributes with: lsattr -d {shown}"
        )),
        _ => unusable("check the disk and its file system, for example with: journalctl --dmesg"),
    }
}

fn of_plan(error: &PlanError) -> Advice<'_> {
    match error {
        PlanError::Denied { hint, .. } => Advice { kind: Kind::Denied, hint: hint.into() },
        PlanError::Failed { code, hint, .. } => {
            let kind = if code == "usage" { Kind::Usage } else { Kind::Failed };
            Advice { kind, hint: hint.into() }
        }
        PlanError::Unusable { .. } => unusable("to see what to fix, run: bootc-image plugin doctor"),
    }
}

/// The error of a damaged disk.
const EIO: i32 = 5;

/// The program that reads the ostree repository.
const HELPER: &str = "bootc-image-helper";

/// Whether a registry demands other credentials, by skopeo's words.
fn is_unauthorized(stderr: &str) -> bool {
    [
        "unauthorized",
        "authentication required",
        "status code 401",
        "requested access to the resource is denied",
    ]
    .iter()
    .any(|words| stderr.contains(words))
}

/// Whether a credential helper failed, by skopeo's words.
fn is_about_a_helper(stderr: &str) -> bool {
    stderr.contains("error getting credentials") || stderr.contains("docker-credential-")
}

fn of_os(error: &OsError) -> Advice<'_> {
    match error {
        OsError::Interrupted { signal } => Advice {
            kind: Kind::Interrupted(*signal),
            hint: Hint::Text(
                "run the same command again; partial results of the interrupted run do no harm".into(),
            ),
        },
        OsError::MissingProgram { package, .. } => {
            Advice { kind: Kind::MissingProgram, hint: Hint::Text(how_to_install(package).into()) }
        }
        OsError::Io { source, path, .. } if is_full(source) => make_room(Kind::Failed, path),
        OsError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            failed("run it as root, for example with sudo")
        }
        OsError::Process { stderr, .. } if stderr.contains("no space left on device") => failed(
            "find the full file system with: df -h; then free space on it, for example with: bootc-image prune --all",
        ),
        OsError::Process { status, .. } if status.starts_with("killed by signal 9") => {
            failed("find out what killed it, for example a lack of memory, with: journalctl --dmesg")
        }
        OsError::Process { stderr, .. } if is_about_a_helper(stderr) => failed(format!(
            "{}; a credential helper is started with an empty home directory and finds no settings in /root: \
             give it a configuration of the system, or write the credentials into /etc/ostree/auth.json",
            credentials_in_words()
        )),
        OsError::Process { stderr, .. } if is_unauthorized(stderr) => failed(format!(
            "{}; those that `podman login` stores by default are not used: \
             log in with: podman login --authfile /etc/ostree/auth.json REGISTRY",
            credentials_in_words()
        )),
        OsError::Process { program, stderr, .. } if stderr.trim().is_empty() => failed(format!(
            "{program} gave no reason; to see with which arguments it was started, run the same command with -vv"
        )),
        OsError::Process { program, stderr, .. }
            if *program == HELPER && stderr.contains("of the ostree repository is damaged") =>
        {
            failed(
                "if only the owner, mode or an extended attribute of this file was changed, undo that; \
                 otherwise check the repository with: ostree fsck --repo=/ostree/repo; then pull the image again",
            )
        }
        OsError::Process { program, stderr, .. }
            if *program == HELPER && stderr.contains("ostree repository") =>
        {
            failed("check the repository with: ostree fsck --repo=/ostree/repo; then pull the image again")
        }
        OsError::Io { source, .. } if source.raw_os_error() == Some(EIO) => {
            failed("check the disk and its file system, for example with: journalctl --dmesg")
        }
        OsError::Process { .. } | OsError::Io { .. } => Advice { kind: Kind::Failed, hint: Hint::Nothing },
        OsError::Corrupt { hint, .. } => failed(*hint),
        OsError::NotUtf8(_) => failed("rename the file so that its name is UTF-8 text"),
        OsError::Locked { .. } => {
            failed("find the process that holds the lock with: fuser -v FILE; then try again")
        }
        OsError::UnsafeProgram(_) => {
            failed("make the file and all directories above it owned by root and writable only by root")
        }
        OsError::ReadOnlyDevice(_) => {
            failed("images cannot be stored on this system; select another one with --sysroot DIR")
        }
        OsError::Verification { .. } => {
            failed("try again; if it happens again, another process is changing this storage")
        }
    }
}

fn of_storage(error: &StorageError) -> Advice<'_> {
    match error {
        StorageError::Os(error) => of_os(error),
        StorageError::SeveralDrivers { .. } => {
            failed("set the driver in /etc/containers/storage.conf: [storage] driver = \"overlay\"")
        }
        StorageError::UnknownDriver { .. } => {
            failed("list the images with podman instead: bootc-image cmd list")
        }
        StorageError::OtherImage { .. } => {
            failed("try again; if it happens again, another process is changing this storage")
        }
    }
}

fn of_stores(error: &StoresError) -> Advice<'_> {
    match error {
        StoresError::Os(error) => of_os(error),
        StoresError::Storage(error) => of_storage(error),
        StoresError::ImageNotFound { hint, .. } => failed(*hint),
        StoresError::Full { path, .. } | StoresError::NoRoom { path, .. } => make_room(Kind::Failed, path),
        StoresError::StorageUnavailable { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            failed("run it as root, for example with sudo")
        }
        StoresError::StorageUnavailable { source, path } => match source.kind() {
            io::ErrorKind::NotADirectory => failed(format!(
                "find the part of this path that is not a directory with: namei -l {}; then move that part to another name",
                path.display()
            )),
            io::ErrorKind::NotFound => {
                failed("on a bootc host, any pull creates it; check the host with: bootc status")
            }
            _ => failed("check the disk and its file system, for example with: journalctl --dmesg"),
        },
        StoresError::Reference(InvalidReference::ShortName(_)) => {
            usage("use the full name: REGISTRY/REPOSITORY")
        }
        StoresError::Reference(InvalidReference::Digest(_)) => usage("use a tag: REGISTRY/REPOSITORY:TAG"),
        StoresError::Reference(_) => {
            usage("write the image as REGISTRY/REPOSITORY[:TAG] or REGISTRY/REPOSITORY@sha256:DIGEST")
        }
        StoresError::NoDestination(_) => {
            usage("give a destination as well: bootc-image cmd push ID REGISTRY/REPOSITORY:TAG")
        }
        StoresError::Unsigned { name, is_fetched, .. } => {
            let fetch = if *is_fetched {
                format!(
                    "fetch the image from its registry, where its signatures are verified, with: bootc-image cmd pull {name}; or "
                )
            } else {
                String::new()
            };
            let hint = format!("{fetch}copy it under a name below localhost/").into();
            Advice { kind: Kind::Denied, hint: Hint::Text(hint) }
        }
        StoresError::NotDemandedOfFetch(demanded) => {
            let hint = format!(
                "in {}, write the requirements for {}, and none for a tag or digest of it; \
                 see: man containers-policy.json",
                demanded.file.display(),
                demanded.repository
            );
            Advice { kind: Kind::Denied, hint: Hint::Text(hint.into()) }
        }
        StoresError::ManifestList { tag_with, .. } => {
            failed(format!("give one of its images a name, and copy that: {tag_with} ID localhost/NAME:TAG"))
        }
        StoresError::Container => failed("run it on the host, outside the container"),
        StoresError::NotBooted => {
            failed("run it on a bootc host, or select the root of a bootc system with --sysroot DIR")
        }
        StoresError::NoDeployment(_) => {
            failed("check that this is the physical root of a bootc host: it must contain ostree/deploy")
        }
        StoresError::NoBootEntries { path, .. } => failed(format!(
            "if /boot of that host is on a separate partition, mount it at {}",
            path.ancestors().nth(2).unwrap_or(path).display()
        )),
        StoresError::NotFromImage(_) => failed("rebase the host to an image with: bootc switch"),
        StoresError::NoName(_) => failed("switch the host to an image in a registry with: bootc switch"),
        StoresError::Composefs => {
            failed("list only the images of bootc's storage with: bootc-image list --type unified")
        }
        StoresError::Ambiguous { .. } => failed("use one of the full names"),
        StoresError::BoundImage { file, why } => of_bound_image(file, why),
        StoresError::Unit { .. } => {
            failed("write the image's name in the unit itself, or in a file that the unit names by path")
        }
        StoresError::OtherStore { .. } => {
            failed("check which configuration podman uses with: podman system info")
        }
        StoresError::Damaged { hint, .. } => failed(hint),
        StoresError::SelinuxCreate => {
            failed("let bootc create it, for example with: bootc image set-unified")
        }
        StoresError::NeedsUnknown(source) if is_missing_origin(source) => failed(
            "restore this origin file, which names the image of a deployment; to list the deployments, run: \
             ostree admin status",
        ),
        // Whatever the cause is: the failure is that the needed images are unknown.
        StoresError::NeedsUnknown(source) => Advice { kind: Kind::Failed, ..of_stores(source) },
    }
}

/// By bootc's message, which is all that is known.
fn of_bound_image<'a>(file: &str, why: &str) -> Advice<'a> {
    if why.ends_with("AuthFile is not supported by bound bootc images") {
        failed(format!("remove AuthFile= from {file} in the OS image"))
    } else if why.contains("Invalid image value: Unterminated %") || why.contains("Systemd specifiers") {
        failed(format!("write the full name of the image, without %, after Image= in {file} in the OS image"))
    } else if why.contains("names a unit, but that unit is neither") {
        failed(format!(
            "add that unit to the directory of the unit of {file} or to /usr/share/containers/systemd in the OS image, \
             or correct Image= in {file}"
        ))
    } else if why.starts_with("cannot read it: ") && why.ends_with(&format!("(os error {EIO})")) {
        failed("check the disk and its file system, for example with: journalctl --dmesg")
    } else if why.starts_with("cannot read it: ") {
        failed(format!(
            "the link /usr/lib/bootc/bound-images.d/{file} leads to a file that does not exist or cannot be read; \
             correct the link in the OS image, or add the file"
        ))
    } else if why.ends_with("Missing Image field") {
        failed(format!("add Image= to {file} in the OS image"))
    } else {
        failed("bound images must be links to .image or .container files; fix the link in the OS image")
    }
}

fn is_missing_origin(error: &StoresError) -> bool {
    matches!(
        error,
        StoresError::Os(OsError::Io { path, source, .. })
            if source.kind() == io::ErrorKind::NotFound
                && path.extension().is_some_and(|extension| extension == "origin")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_for_the_audit_record_follows_the_cause() {
        let (directory, file) = ("/var/lib/bootc-image/audit", "/var/lib/bootc-image/audit/audit.jsonl");
        for (what, path, kind, expected) in [
            (
                "create",
                directory,
                io::ErrorKind::AlreadyExists,
                "/var/lib/bootc-image/audit is not a directory: move it away",
            ),
            (
                "create",
                directory,
                io::ErrorKind::NotADirectory,
                "a part of the path /var/lib/bootc-image/audit is not a directory: move that part away",
            ),
            (
                "use",
                directory,
                io::ErrorKind::Other,
                "if /var/lib/bootc-image/audit is a directory, run: \
                 chown root /var/lib/bootc-image/audit && chmod 0700 /var/lib/bootc-image/audit \
                 (or 0750, so that a group can read the record); if it is not a directory, move it away",
            ),
            (
                "use",
                file,
                io::ErrorKind::Other,
                "keep the present file under another name: mv --no-clobber /var/lib/bootc-image/audit/audit.jsonl \
                 /var/lib/bootc-image/audit/audit.jsonl.old",
            ),
            (
                "open",
                file,
                io::ErrorKind::ReadOnlyFilesystem,
                "make /var/lib/bootc-image/audit/audit.jsonl writable by root: see how it is mounted with: \
                 findmnt --target /var/lib/bootc-image/audit/audit.jsonl; and its attributes with: \
                 lsattr -d /var/lib/bootc-image/audit/audit.jsonl",
            ),
            (
                "sync",
                file,
                io::ErrorKind::Other,
                "check the disk and its file system, for example with: journalctl --dmesg",
            ),
        ] {
            let error = Error::Audit(Box::new(Error::io(what, path)(kind.into())));
            assert_eq!((error.hint().as_deref(), error.kind()), (Some(expected), Kind::Unusable), "{kind}");
        }
        let locked = OsError::Locked {
            path: "/run/bootc-image/audit/lock".into(),
            holder: "another process".to_owned(),
            limit: std::time::Duration::from_secs(30),
        };
        let error = Error::Audit(Box::new(locked.into()));
        assert_eq!(
            (error.hint().as_deref(), error.kind()),
            (
                Some("find the process that holds the lock with: fuser -v FILE; then try again"),
                Kind::Unusable
            )
        );
    }

    #[test]
    fn a_process_that_failed_is_reported_with_the_operation_and_a_hint() {
        let failed = |status: &str, stderr: &str| {
            let process =
                OsError::Process { program: "skopeo", status: status.to_owned(), stderr: stderr.to_owned() };
            Error::Incomplete {
                operation: "`copy-to-storage` of docker://quay.io/a:1".to_owned(),
                failure: Box::new(process.into()),
            }
        };
        let error = failed("exit code 1", "trouble\n");
        assert_eq!(
            error.with_causes(),
            "cannot complete `copy-to-storage` of docker://quay.io/a:1: skopeo failed (exit code 1): trouble"
        );
        assert_eq!((error.hint(), error.kind()), (None, Kind::Failed));
        for (error, expected) in [
            (
                failed("exit code 1", ""),
                "skopeo gave no reason; to see with which arguments it was started, run the same command with -vv",
            ),
            (
                failed("killed by signal 9", ""),
                "find out what killed it, for example a lack of memory, with: journalctl --dmesg",
            ),
            (
                failed("exit code 1", "write: no space left on device"),
                "find the full file system with: df -h; then free space on it, for example with: bootc-image prune --all",
            ),
        ] {
            assert_eq!((error.hint().as_deref(), error.kind()), (Some(expected), Kind::Failed));
        }
    }
}
