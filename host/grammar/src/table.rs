//! The tables: how each podman image subcommand parses, for podman 4.3 and 5.x.

/// What a value means, and so what could be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text that names no file, image or secret.
    Plain,
    /// A file or directory that podman reads.
    PathRead,
    /// A file or directory that podman writes.
    PathWrite,
    /// The name of an image.
    Reference,
    /// A password, token or key.
    Secret,
}

/// Whether a flag takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Alone, or with `=true`/`=false`.
    Switch,
    /// Exactly one value, and the last one given counts.
    One,
    /// One value each time, and every one counts.
    Many,
}

/// One option of a subcommand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Long name without the dashes.
    pub name: &'static str,
    /// One-letter form, if there is one.
    pub short: Option<char>,
    /// Whether it takes a value.
    pub arity: Arity,
    /// What the value means.
    pub kind: Kind,
    /// One line for help.
    pub help: &'static str,
}

/// What may follow the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operands {
    /// How many there must be.
    pub min: usize,
    /// How many there may be.
    pub max: usize,
    /// What each means.
    pub kind: Kind,
    /// Their name in help.
    pub name: &'static str,
}

/// How one subcommand parses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The subcommand of `podman image`.
    pub subcommand: &'static str,
    /// Its options, sorted by name.
    pub flags: &'static [Flag],
    /// Its operands.
    pub operands: Operands,
    /// Whether it fetches what its operands name.
    pub fetches: bool,
}

impl Table {
    /// The option with this long name.
    pub fn long(&self, name: &str) -> Option<&'static Flag> {
        self.flags.iter().find(|flag| flag.name == name)
    }

    /// The option with this one-letter form.
    pub fn short(&self, letter: char) -> Option<&'static Flag> {
        self.flags.iter().find(|flag| flag.short == Some(letter))
    }
}

/// The table of a subcommand, none if there is none.
pub fn table(subcommand: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.subcommand == subcommand)
}

const fn switch(name: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag { name, short, arity: Arity::Switch, kind: Kind::Plain, help }
}

const fn plain(name: &'static str, short: Option<char>, arity: Arity, help: &'static str) -> Flag {
    Flag { name, short, arity, kind: Kind::Plain, help }
}

const fn path_read(name: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, arity: Arity::One, kind: Kind::PathRead, help }
}

/// Every table there is, sorted by subcommand.
pub const TABLES: &[Table] = &[
    Table {
        subcommand: "list",
        flags: &[
            switch("all", Some('a'), "show intermediate images too"),
            switch("digests", None, "show digests"),
            plain("filter", Some('f'), Arity::Many, "show only what matches KEY=VALUE"),
            plain("format", None, Arity::One, "json, or a Go template"),
            switch("history", None, "show the names that an image had"),
            switch("no-trunc", None, "don't shorten ids"),
            switch("noheading", Some('n'), "no column headings"),
            switch("quiet", Some('q'), "ids only"),
            plain("sort", None, Arity::One, "created, id, repository, size or tag"),
        ],
        operands: Operands { min: 0, max: 1, kind: Kind::Reference, name: "IMAGE" },
        fetches: false,
    },
    Table {
        subcommand: "pull",
        flags: &[
            switch("all-tags", Some('a'), "pull every tag of the repository"),
            plain("arch", None, Arity::One, "architecture instead of the machine's"),
            path_read("authfile", "file with credentials"),
            path_read("cert-dir", "directory with TLS certificates and keys"),
            Flag {
                name: "creds",
                short: None,
                arity: Arity::One,
                kind: Kind::Secret,
                help: "USER:PASSWORD for the registry",
            },
            switch("disable-content-trust", None, "accepted, without effect"),
            plain("os", None, Arity::One, "operating system instead of the machine's"),
            plain("platform", None, Arity::One, "OS/ARCH instead of the machine's"),
            switch("quiet", Some('q'), "no progress"),
            switch("tls-verify", None, "check the registry's certificate"),
            plain("variant", None, Arity::One, "architecture variant instead of the machine's"),
        ],
        operands: Operands { min: 1, max: 64, kind: Kind::Reference, name: "REGISTRY/REPOSITORY@DIGEST" },
        fetches: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_without_doubles() {
        assert!(TABLES.windows(2).all(|pair| pair[0].subcommand < pair[1].subcommand));
        for table in TABLES {
            assert!(table.flags.windows(2).all(|pair| pair[0].name < pair[1].name), "{}", table.subcommand);
            let mut letters: Vec<_> = table.flags.iter().filter_map(|flag| flag.short).collect();
            letters.sort_unstable();
            let count = letters.len();
            letters.dedup();
            assert_eq!(letters.len(), count, "{}", table.subcommand);
            assert!(table.operands.min <= table.operands.max);
        }
    }
}
