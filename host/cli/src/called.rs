//! How the program was called, which help shows.

/// What help and usage call this program.
pub(crate) const OWN_NAME: &str = "bootc-image";

/// The commands, with `help`.
pub(crate) const COMMANDS: [&str; 13] = [
    "list",
    "exists",
    "copy-to-storage",
    "pull-from-default-storage",
    "set-unified",
    "remove",
    "prune",
    "repair",
    "cmd",
    "completion",
    "plugin",
    "policy",
    "help",
];

/// How the program was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    ByOwnName,
    /// As `bootc image`.
    AsBootc,
}

impl Called {
    /// The text of help or of a usage error, with command lines as the user can type them.
    pub(crate) fn in_text(self, text: &str) -> String {
        match self {
            Self::ByOwnName => text.to_owned(),
            Self::AsBootc => as_bootc(text),
        }
    }
}

/// Replaces the name where a command line begins, and not where the program is only mentioned.
fn as_bootc(text: &str) -> String {
    let begins_a_command = |rest: &str| {
        let Some(rest) = rest.strip_prefix(' ') else { return false };
        let word = rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default();
        rest.starts_with(['-', '[', '<']) || COMMANDS.contains(&word)
    };
    let mut parts = text.split(OWN_NAME);
    let mut renamed = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        renamed.push_str(if begins_a_command(rest) { "bootc image" } else { OWN_NAME });
        renamed.push_str(rest);
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_have_the_name_that_was_typed() {
        let text = "bootc-image works\n  bootc-image list\nUsage: bootc-image [OPTIONS]\nif bootc-image exists x\n\
                    /usr/lib/bootc-image/plugins, bootc-image --dry-run";
        let expected = "bootc-image works\n  bootc image list\nUsage: bootc image [OPTIONS]\nif bootc image exists x\n\
                        /usr/lib/bootc-image/plugins, bootc image --dry-run";
        assert_eq!(Called::AsBootc.in_text(text), expected);
        assert_eq!(Called::ByOwnName.in_text(text), text);
    }
}
