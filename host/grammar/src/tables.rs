//! The tables: how each podman image subcommand parses and what it does, for podman 4.3 and 5.x, hidden options included. What a version
//! does not support it refuses itself. `trust set` has no table, because it writes a file that no argument names. `make drift`
//! compares the tables with an installed podman.

use crate::table::Arity::{Many, One, Optional};
use crate::table::Does::{
    Builds, GivesNames, Lists, Loads, Own, Pulls, Pushes, Saves, Shows, Signs, TakesNames, TellsExistence,
};
use crate::table::Kind::{
    Destination, Full, HostResource, Local, PathRead, PathWrite, Plain, Reference, Remote, Secret,
    SecretFile, Source,
};
use crate::table::OwnOperation::{Prune, Remove};
use crate::table::Purpose::{
    Architecture, ContactsRegistry, EachImage, EveryTag, Os, Platform, SendsTo, UsesKeyRing, Variant,
};
use crate::table::{
    Flag, OwnOperation, Table, filter, flag, machine, operand, reads, switch, text, texts, writes,
};

/// The maximum number of operands of one kind.
const MANY: usize = 64;

/// The table of a subcommand, by its name or podman's alias.
pub fn table(subcommand: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.spellings().any(|spelling| spelling == subcommand))
}

/// Every subcommand that stands for one of the host's own operations, sorted by subcommand. podman never runs these.
pub fn own_spellings() -> impl Iterator<Item = (&'static str, OwnOperation)> {
    let own = TABLES.iter().filter_map(|table| Some((table, table.does.own()?)));
    own.flat_map(|(table, operation)| table.spellings().map(move |spelling| (spelling, operation)))
}

/// Global options of podman, which it accepts after any subcommand. Only the host sets these, never a caller.
pub const GLOBAL: &[&str] = &[
    "cgroup-manager",
    "conmon",
    "cpu-profile",
    "db-backend",
    "default-mounts-file",
    "events-backend",
    "help",
    "hooks-dir",
    "imagestore",
    "log-level",
    "max-workers",
    "memory-profile",
    "namespace",
    "network-backend",
    "network-cmd-path",
    "network-config-dir",
    "ns",
    "pull-option",
    "registries-conf",
    "root",
    "runroot",
    "runtime",
    "runtime-flag",
    "storage-driver",
    "storage-opt",
    "syslog",
    "tmpdir",
    "trace",
    "transient-store",
    "volumepath",
];

const AUTHFILE: Flag = reads("authfile", "file with credentials").purpose(ContactsRegistry);
const CERT_DIR: Flag =
    reads("cert-dir", "directory with TLS certificates and keys").purpose(ContactsRegistry);
const CREDS: Flag = flag(
    "creds",
    One,
    Secret,
    "USER:PASSWORD for the registry; run instead: podman login --authfile /etc/ostree/auth.json REGISTRY",
);
const CONTENT_TRUST: Flag = switch("disable-content-trust", "accepted, without effect");
const DECRYPTION_KEY: Flag = flag("decryption-key", Many, PathRead, "key to decrypt the image with");
const FORMAT: Flag = text("format", "json, or a Go template");
const NO_TRUNC: Flag = switch("no-trunc", "do not truncate the output");
const RETRY: Flag = text("retry", "number of retries");
const RETRY_DELAY: Flag = text("retry-delay", "delay between retries");
const SIGN_BY: Flag =
    flag("sign-by", One, HostResource, "sign with this key from root's key ring").purpose(UsesKeyRing);
const SIGNATURE_POLICY: Flag = reads("signature-policy", "signature policy file instead of the host's");
const TLS_VERIFY: Flag = switch(
    "tls-verify",
    "check the registry's certificate; with sudo, pkexec, doas or setuid, =false is denied",
)
.purpose(ContactsRegistry);

/// Every table, sorted by subcommand.
pub const TABLES: &[Table] = &[
    Table {
        subcommand: "build",
        alias: None,
        does: Builds,
        needs_scratch: true,
        flags: BUILD,
        operands: &[operand("CONTEXT", Source, 0, 1)],
    },
    Table {
        subcommand: "diff",
        alias: None,
        does: Shows,
        needs_scratch: true,
        flags: &[text("format", "json")],
        operands: &[operand("IMAGE", Local, 1, 2)],
    },
    Table {
        subcommand: "exists",
        alias: None,
        does: TellsExistence,
        needs_scratch: false,
        flags: &[],
        operands: &[operand("IMAGE", Local, 1, 1)],
    },
    Table {
        subcommand: "history",
        alias: None,
        does: Shows,
        needs_scratch: false,
        flags: &[
            FORMAT,
            switch("human", "human-readable sizes and dates").short('H'),
            NO_TRUNC,
            switch("quiet", "ids only").short('q'),
        ],
        operands: &[operand("IMAGE", Local, 1, 1)],
    },
    Table {
        subcommand: "inspect",
        alias: None,
        does: Shows,
        needs_scratch: false,
        flags: &[FORMAT.short('f')],
        operands: &[operand("IMAGE", Local, 1, MANY)],
    },
    Table {
        subcommand: "list",
        alias: None,
        does: Lists,
        needs_scratch: false,
        flags: &[
            switch("all", "show intermediate images too").short('a'),
            switch("digests", "show digests"),
            filter("filter", "show only what matches KEY=VALUE").short('f'),
            FORMAT,
            switch("history", "show previous names of an image"),
            NO_TRUNC,
            switch("noheading", "no column headings").short('n'),
            switch("quiet", "ids only").short('q'),
            text("sort", "created, id, repository, size or tag"),
        ],
        operands: &[operand("IMAGE", Reference, 0, 1)],
    },
    Table {
        subcommand: "load",
        alias: None,
        does: Loads,
        needs_scratch: true,
        flags: &[
            flag("input", One, PathRead, "archive to read instead of stdin").short('i'),
            switch("quiet", "no progress").short('q'),
            SIGNATURE_POLICY,
        ],
        operands: &[],
    },
    Table {
        subcommand: "prune",
        alias: None,
        does: Own(Prune),
        needs_scratch: true,
        flags: &[
            switch("all", "also remove images that have a name, if nothing needs them").short('a'),
            switch("build-cache", ""),
            switch("external", ""),
            filter("filter", ""),
            switch("force", "accepted, without effect: there is no prompt").short('f'),
        ],
        operands: &[],
    },
    Table {
        subcommand: "pull",
        alias: None,
        does: Pulls,
        needs_scratch: true,
        flags: &[
            switch("all-tags", "every tag of a repository: give each tag instead")
                .purpose(EveryTag)
                .short('a'),
            text("arch", "architecture instead of this host's").purpose(Architecture),
            AUTHFILE,
            CERT_DIR,
            CREDS,
            DECRYPTION_KEY,
            CONTENT_TRUST,
            text("os", "operating system instead of this host's").purpose(Os),
            text("platform", "OS/ARCH instead of this host's").purpose(Platform),
            switch("quiet", "no progress").short('q'),
            RETRY,
            RETRY_DELAY,
            SIGNATURE_POLICY,
            TLS_VERIFY,
            text("variant", "architecture variant instead of this host's").purpose(Variant),
        ],
        operands: &[operand("REGISTRY/REPOSITORY[:TAG|@DIGEST]", Remote, 1, MANY)],
    },
    Table {
        subcommand: "push",
        alias: None,
        does: Pushes,
        needs_scratch: true,
        flags: &[
            AUTHFILE,
            CERT_DIR,
            switch("compress", "accepted, without effect (podman uses it for dir: targets only)"),
            text("compression-format", "gzip, zstd or zstd:chunked"),
            text("compression-level", "compression level"),
            CREDS,
            writes("digestfile", "file to write the digest to"),
            CONTENT_TRUST,
            texts("encrypt-layer", "layers to encrypt, by number"),
            flag("encryption-key", Many, PathRead, "key to encrypt with"),
            switch("force-compression", "recompress layers that use another compression"),
            text("format", "oci, v2s2 or v2s1").short('f'),
            switch("quiet", "no progress").short('q'),
            switch("remove-signatures", "do not copy the image's signatures"),
            RETRY,
            RETRY_DELAY,
            SIGN_BY,
            reads("sign-by-sigstore", "sign with the settings in this sigstore parameter file"),
            reads("sign-by-sigstore-private-key", "sign with this sigstore key"),
            reads("sign-passphrase-file", "file with the passphrase of the key"),
            SIGNATURE_POLICY,
            TLS_VERIFY,
        ],
        operands: &[operand("IMAGE", Local, 1, 1), operand("REGISTRY/REPOSITORY[:TAG]", Destination, 0, 1)],
    },
    Table {
        subcommand: "rm",
        alias: Some("rmi"),
        does: Own(Remove),
        needs_scratch: true,
        flags: &[
            switch("all", "").short('a'),
            switch("force", "").short('f'),
            switch("ignore", "").short('i'),
            switch("no-prune", ""),
        ],
        operands: &[operand("IMAGE", Local, 1, MANY)],
    },
    Table {
        subcommand: "save",
        alias: None,
        does: Saves,
        needs_scratch: true,
        flags: &[
            switch("compress", "compress layers"),
            text("format", "docker-archive, oci-archive, docker-dir or oci-dir"),
            switch(
                "multi-image-archive",
                "every operand names an image of its own, not another tag for the first image",
            )
            .purpose(EachImage)
            .short('m'),
            flag("output", One, PathWrite, "file to write instead of stdout").short('o'),
            switch("quiet", "no progress").short('q'),
            SIGNATURE_POLICY,
            switch("uncompressed", "accept uncompressed layers"),
        ],
        operands: &[operand("IMAGE", Local, 1, MANY)],
    },
    Table {
        subcommand: "search",
        alias: None,
        does: Lists,
        needs_scratch: false,
        flags: &[
            AUTHFILE,
            CERT_DIR,
            switch("compatible", "also show stars, official and automated"),
            CREDS,
            filter("filter", "show only what matches KEY=VALUE").short('f'),
            FORMAT,
            text("limit", "maximum number of results"),
            switch("list-tags", "list the tags of a repository"),
            NO_TRUNC,
            TLS_VERIFY,
        ],
        operands: &[operand("REGISTRY/TERM", Full, 1, 1)],
    },
    Table {
        subcommand: "sign",
        alias: None,
        does: Signs,
        needs_scratch: true,
        flags: &[
            switch("all", "sign every image of an index").short('a'),
            AUTHFILE,
            CERT_DIR,
            flag("directory", One, PathWrite, "directory to write signatures to").short('d'),
            SIGN_BY,
        ],
        operands: &[operand("REGISTRY/REPOSITORY[:TAG]", Remote, 1, MANY)],
    },
    Table {
        subcommand: "tag",
        alias: None,
        does: GivesNames,
        needs_scratch: false,
        flags: &[],
        operands: &[operand("IMAGE", Local, 1, 1), operand("NAME", Reference, 1, MANY)],
    },
    Table {
        subcommand: "tree",
        alias: None,
        does: Shows,
        needs_scratch: false,
        flags: &[switch("whatrequires", "show the images that are built on this one")],
        operands: &[operand("IMAGE", Local, 1, 1)],
    },
    Table {
        subcommand: "trust show",
        alias: None,
        does: Shows,
        needs_scratch: true,
        flags: &[
            switch("json", "print JSON").short('j'),
            switch("noheading", "no column headings").short('n'),
            reads("policypath", ""),
            switch("raw", "print the policy file itself"),
            reads("registrypath", ""),
        ],
        operands: &[operand("REGISTRY", Plain, 0, 1)],
    },
    Table {
        subcommand: "untag",
        alias: None,
        does: TakesNames,
        needs_scratch: false,
        flags: &[],
        operands: &[operand("IMAGE", Local, 1, 1), operand("NAME", Reference, 1, MANY)],
    },
];

const BUILD: &[Flag] = &[
    machine("add-host", "HOST:IP to add to /etc/hosts of the build's containers"),
    switch("all-platforms", "build for every platform of the base image"),
    texts("annotation", "KEY=VALUE for the image"),
    text("arch", "architecture of the image").purpose(Architecture),
    AUTHFILE,
    flag("blob-cache", One, PathWrite, ""),
    texts("build-arg", "NAME=VALUE for the build"),
    flag("build-arg-file", Many, PathRead, "file with build arguments"),
    flag("build-context", Many, PathRead, "NAME=VALUE of an additional build context"),
    flag("cache-from", Many, Full, "repository to read cached layers from"),
    flag("cache-to", Many, Full, "repository to push cached layers to").purpose(SendsTo),
    text("cache-ttl", "maximum age of a cached layer"),
    machine("cap-add", "add capabilities to the build's containers"),
    texts("cap-drop", "drop capabilities from the build's containers"),
    flag("cdi-config-dir", Many, HostResource, ""),
    CERT_DIR,
    machine("cgroup-parent", "parent cgroup of the build's containers"),
    machine("cgroupns", "cgroup namespace of the build's containers"),
    flag("cni-config-dir", One, HostResource, ""),
    flag("cni-plugin-path", One, HostResource, ""),
    switch("compat-volumes", "keep the contents of volumes during RUN"),
    switch("compress", "accepted, without effect"),
    machine("cpp-flag", "options for the C preprocessor"),
    text("cpu-period", "CPU period of the build's containers"),
    text("cpu-quota", "CPU quota of the build's containers"),
    text("cpu-shares", "relative CPU weight of the build's containers").short('c'),
    text("cpuset-cpus", "CPUs for the build's containers"),
    text("cpuset-mems", "memory nodes for the build's containers"),
    CREDS,
    machine("cw", "confidential workload"),
    DECRYPTION_KEY,
    machine("device", "devices for the build's containers"),
    switch("disable-compression", "do not compress layers").short('D'),
    CONTENT_TRUST,
    machine("dns", "DNS servers of the build's containers"),
    machine("dns-option", "DNS options of the build's containers"),
    machine("dns-search", "DNS search domains of the build's containers"),
    texts("env", "NAME=VALUE for the image"),
    flag("file", Many, Source, "Containerfile instead of the one in the context").short('f'),
    switch("force-rm", "remove intermediate containers even if the build fails"),
    text("format", "oci or docker"),
    flag("from", One, Full, "image instead of the one in the first FROM"),
    machine("group-add", "add groups to the build's containers"),
    flag("hooks-dir", Many, HostResource, "directory with OCI hooks"),
    switch("http-proxy", "pass proxy variables to the build's containers"),
    switch("identity-label", "add the label that names the builder"),
    flag("ignorefile", One, Source, "another .containerignore"),
    writes("iidfile", "file to write the id to"),
    machine("ipc", "IPC namespace of the build's containers"),
    machine("isolation", "how the build's containers are isolated"),
    text("jobs", "number of stages to build at once"),
    texts("label", "KEY=VALUE for the image"),
    texts("layer-label", "KEY=VALUE for intermediate images"),
    switch("layers", "cache intermediate layers"),
    switch("load", ""),
    switch("log-rusage", ""),
    writes("logfile", "file to log to"),
    text("loglevel", ""),
    switch("logsplit", "write one log file per platform (no effect without --logfile)"),
    flag("manifest", One, Reference, "manifest list to add the image to"),
    text("memory", "memory limit of the build's containers").short('m'),
    text("memory-swap", "memory and swap limit of the build's containers"),
    machine("network", "network namespace of the build's containers").alias("net"),
    switch("no-cache", "do not use cached layers"),
    switch("no-hostname", "do not create /etc/hostname for RUN"),
    switch("no-hosts", "do not create /etc/hosts for RUN"),
    switch("omit-history", "leave the history out of the image"),
    text("os", "operating system of the image").purpose(Os),
    texts("os-feature", "operating system feature that the image needs"),
    text("os-version", "operating system version that the image needs"),
    flag("output", One, PathWrite, "where to write the image's files").short('o'),
    machine("pid", "PID namespace of the build's containers"),
    texts("platform", "OS/ARCH of the image").purpose(Platform),
    text("progress", ""),
    flag("pull", Optional, Plain, "always, missing, never or newer"),
    switch("pull-always", ""),
    switch("pull-never", ""),
    switch("quiet", "no progress").short('q'),
    RETRY,
    RETRY_DELAY,
    switch("rm", "remove intermediate containers").alias("purge"),
    machine("runtime-flag", "options for the container runtime"),
    writes("rusage-logfile", ""),
    text("sbom", "scan the image with this SBOM preset"),
    text("sbom-image-output", "path in the image for the SBOM"),
    text("sbom-image-purl-output", "path in the image for the list of package URLs"),
    text("sbom-merge-strategy", "how to merge the SBOMs of several scanners"),
    writes("sbom-output", "file for the SBOM"),
    writes("sbom-purl-output", "file for the list of package URLs"),
    texts("sbom-scanner-command", "command in the scanner's image"),
    flag("sbom-scanner-image", One, Full, "image with a scanner"),
    flag("secret", Many, SecretFile, "file with a secret for the build: id=NAME,src=FILE"),
    machine("security-opt", "security options of the build's containers"),
    text("shm-size", "size of /dev/shm"),
    SIGN_BY,
    SIGNATURE_POLICY,
    switch("skip-unused-stages", "skip stages that the target does not need"),
    switch("squash", "squash the new layers into one"),
    switch("squash-all", "squash all layers into one"),
    flag("ssh", Many, PathRead, "SSH agent or keys for the build"),
    switch("stdin", "pass stdin to the build's containers"),
    flag("tag", Many, Reference, "name of the image").short('t'),
    text("target", "stage to build"),
    text("timestamp", "time of creation, in seconds since 1970"),
    TLS_VERIFY,
    texts("ulimit", "limits for the build's containers"),
    texts("unsetenv", "variable to leave out of the image"),
    texts("unsetlabel", "label to leave out of the image"),
    machine("userns", "user namespace of the build's containers"),
    machine("userns-gid-map", "group id mapping of the user namespace"),
    machine("userns-gid-map-group", "group id mapping of the user namespace"),
    machine("userns-uid-map", "user id mapping of the user namespace"),
    machine("userns-uid-map-user", "user id mapping of the user namespace"),
    machine("uts", "UTS namespace of the build's containers"),
    text("variant", "architecture variant of the image").purpose(Variant),
    machine("volume", "host directory to mount").short('v'),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Purpose;

    #[test]
    fn tables_are_sorted_and_without_doubles() {
        assert!(TABLES.windows(2).all(|pair| pair[0].subcommand < pair[1].subcommand));
        assert!(GLOBAL.windows(2).all(|pair| pair[0] < pair[1]));
        for table in TABLES {
            assert!(table.flags.windows(2).all(|pair| pair[0].name < pair[1].name), "{}", table.subcommand);
            let mut letters: Vec<_> = table.flags.iter().filter_map(|flag| flag.short).collect();
            letters.sort_unstable();
            let count = letters.len();
            letters.dedup();
            assert_eq!(letters.len(), count, "{}", table.subcommand);
            assert!(table.operands.iter().all(|operand| operand.min <= operand.max && operand.max > 0));
            let aliases = table.flags.iter().filter_map(|flag| flag.alias);
            assert!(aliases.into_iter().all(|alias| table.flags.iter().all(|flag| flag.name != alias)));
        }
    }

    /// As podman-image(1) and the pages of its subcommands describe them, in our words.
    #[test]
    fn what_each_subcommand_does_is_what_podman_documents() {
        let documented = [
            // RUN in a Containerfile runs code, and FROM fetches.
            ("build", Builds, true),
            // It compares the contents of images, which may be large.
            ("diff", Shows, true),
            // Its exit code 1 means that the image does not exist.
            ("exists", TellsExistence, false),
            ("history", Shows, false),
            ("inspect", Shows, false),
            // Its operand is a part of names.
            ("list", Lists, false),
            // The archive has the names.
            ("load", Loads, true),
            ("prune", Own(Prune), true),
            ("pull", Pulls, true),
            ("push", Pushes, true),
            ("rm", Own(Remove), true),
            ("save", Saves, true),
            // Its term is a part of names.
            ("search", Lists, false),
            ("sign", Signs, true),
            ("tag", GivesNames, false),
            ("tree", Shows, false),
            ("trust show", Shows, true),
            ("untag", TakesNames, false),
        ];
        let known: Vec<_> =
            TABLES.iter().map(|table| (table.subcommand, table.does, table.needs_scratch)).collect();
        assert_eq!(known, documented);
    }

    #[test]
    fn what_a_subcommand_does_fits_its_operands() {
        for table in TABLES {
            let has = |kind| table.operands.iter().any(|operand| operand.kind == kind);
            let does = table.does;
            assert_eq!(has(Source), does == Builds, "{}", table.subcommand);
            assert_eq!(has(Destination), does == Pushes, "{}", table.subcommand);
            assert_eq!(has(Remote), [Pulls, Signs].contains(&does), "{}", table.subcommand);
            assert_eq!(has(Local) && has(Reference), does.changes_names(), "{}", table.subcommand);
            assert_eq!(does.has_known_images(), !["build", "load"].contains(&table.subcommand));
            assert_eq!(does.needs_whole_images(), ["push", "save", "tag"].contains(&table.subcommand));
        }
    }

    #[test]
    fn rm_rmi_and_prune_are_the_hosts_own() {
        let own: Vec<_> = own_spellings().map(|(spelling, own)| (spelling, own.name())).collect();
        assert_eq!(own, [("prune", "prune"), ("rm", "remove"), ("rmi", "remove")]);
        for (spelling, operation) in own_spellings() {
            assert_eq!(table(spelling).and_then(|table| table.does.own()), Some(operation));
        }
        assert_eq!(table("untag").and_then(|table| table.does.own()), None);
        assert_eq!(table("mount"), None);
    }

    #[test]
    fn what_options_have_to_do_with_the_host_is_known_of_each() {
        let purposes = [
            ("all-tags", EveryTag),
            ("arch", Architecture),
            ("authfile", ContactsRegistry),
            ("cache-to", SendsTo),
            ("cert-dir", ContactsRegistry),
            ("multi-image-archive", EachImage),
            ("os", Os),
            ("platform", Platform),
            ("sign-by", UsesKeyRing),
            ("tls-verify", ContactsRegistry),
            ("variant", Variant),
        ];
        for table in TABLES {
            for flag in table.flags {
                let expected = purposes.iter().find(|(name, _)| *name == flag.name);
                let expected = expected.map_or(Purpose::PodmanOnly, |(_, purpose)| *purpose);
                assert_eq!(flag.purpose, expected, "{} --{}", table.subcommand, flag.name);
            }
        }
        for (name, _) in purposes {
            assert!(TABLES.iter().any(|table| table.long(name).is_some()), "{name}");
        }
    }

    #[test]
    fn an_operand_is_found_by_its_position() {
        let push = table("push").unwrap();
        let kinds: Vec<_> =
            (0..4).map(|position| push.operand(position).map(|operand| operand.kind)).collect();
        assert_eq!(kinds, [Some(Local), Some(Destination), None, None]);
        assert_eq!(table("tag").unwrap().operand(5).map(|operand| operand.kind), Some(Reference));
        assert_eq!(table("load").unwrap().operand(0), None);
    }

    #[test]
    fn podmans_other_spelling_is_the_same_subcommand() {
        let args = ["--force".to_owned(), "a".to_owned()];
        let command = crate::parse("rmi", &args).unwrap();
        assert_eq!(command, crate::parse("rm", &args).unwrap());
        assert_eq!(command.argv(), ["rm", "--force=true", "--", "a"]);
        assert_eq!(command.again().as_ref(), Ok(&command));
    }
}
