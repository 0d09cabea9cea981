//! The subject of an operation: the uid of the caller, and the plugin whose plan it is, if any.

use std::fs;

use serde::Serialize;

use crate::plugin::PluginId;

/// How the caller came to be root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delegation {
    /// Through sudo.
    Sudo,
    /// Through pkexec.
    Pkexec,
    /// Through doas.
    Doas,
    /// The real uid is not root's: this program or a parent has the set-user-ID bit.
    Setuid,
    /// More than one of these ways is claimed, so that any of them may be forged.
    Unclear,
}

impl Delegation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sudo, Self::Pkexec, Self::Doas, Self::Setuid, Self::Unclear];

    /// The value in the audit record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sudo => "sudo",
            Self::Pkexec => "pkexec",
            Self::Doas => "doas",
            Self::Setuid => "setuid",
            Self::Unclear => "unclear",
        }
    }
}

/// The subject of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The uid that sudo, pkexec or doas passed on, or else the real uid. `None` if a delegated caller is unknown, see `claims`.
    pub uid: Option<u32>,
    /// Set for a delegated caller, who may do some things only if the configuration allows them, such as `--sysroot` and `build`.
    pub delegation: Option<Delegation>,
    /// The plugin whose plan this is.
    pub plugin: Option<PluginId>,
    /// If `uid` is unknown: the contradictory sources and the uid that each gives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
}

/// The sources that identify the caller. When we run as root, nothing else of the environment is used.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The effective uid.
    pub effective_uid: u32,
    /// The real uid.
    pub real_uid: u32,
    /// The login uid, see [`login_uid`]; it is only used if a [delegation is claimed](Self::is_claimed).
    pub login_uid: Option<u32>,
    /// `SUDO_UID`.
    pub sudo_uid: Option<String>,
    /// `PKEXEC_UID`.
    pub pkexec_uid: Option<String>,
    /// `DOAS_USER`, a name.
    pub doas_user: Option<String>,
    /// The contents of the files in which that name is looked up, in the format of `/etc/passwd`.
    pub users: Vec<String>,
}

impl Caller {
    /// Whether any source claims that root acts for another user.
    pub fn is_claimed(&self) -> bool {
        let variables = [&self.sudo_uid, &self.pkexec_uid, &self.doas_user];
        self.effective_uid == 0 && (self.real_uid != 0 || variables.into_iter().any(Option::is_some))
    }
}

impl Subject {
    /// A subject without a plugin.
    pub fn new(uid: Option<u32>, delegation: Option<Delegation>) -> Self {
        Self { uid, delegation, plugin: None, claims: Vec::new() }
    }

    /// The subject for a caller. A forged source must not make anybody root, so the caller is unknown if two sources disagree.
    pub fn of_caller(caller: &Caller) -> Self {
        if !caller.is_claimed() {
            return Self::new(Some(caller.real_uid), None);
        }
        let number =
            |text: &String| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        let claims = [
            (Delegation::Sudo, "SUDO_UID", &caller.sudo_uid, caller.sudo_uid.as_ref().and_then(number)),
            (
                Delegation::Pkexec,
                "PKEXEC_UID",
                &caller.pkexec_uid,
                caller.pkexec_uid.as_ref().and_then(number),
            ),
            (
                Delegation::Doas,
                "DOAS_USER",
                &caller.doas_user,
                caller.doas_user.as_ref().and_then(|name| uid_of(name, &caller.users)),
            ),
        ];
        let claims = claims.into_iter().filter_map(|(way, variable, text, uid)| {
            text.as_ref().map(|text| (Some(way), format!("{variable}={}", shortened(text)), uid))
        });
        let real = (caller.real_uid != 0)
            .then(|| (None, format!("real uid {}", caller.real_uid), Some(caller.real_uid)));
        let mut found: Vec<(Option<Delegation>, String, Option<u32>)> = claims.chain(real).collect();
        let mut ways = found.iter().filter_map(|(way, ..)| *way);
        let delegation = match (ways.next(), ways.next()) {
            (None, _) => Delegation::Setuid,
            (Some(only), None) => only,
            (Some(_), Some(_)) => Delegation::Unclear,
        };
        found.extend(caller.login_uid.map(|uid| (None, format!("login uid {uid}"), Some(uid))));
        let uid = found.first().and_then(|(_, _, uid)| *uid);
        let agree = delegation != Delegation::Unclear && found.iter().all(|(_, _, other)| *other == uid);
        match uid.filter(|_| agree) {
            Some(uid) => Self::new(Some(uid), Some(delegation)),
            None => Self {
                claims: found.into_iter().map(|(_, claim, _)| claim).collect(),
                ..Self::new(None, Some(delegation))
            },
        }
    }

    /// The same caller, with a plugin that acts for them.
    #[must_use]
    pub fn through(&self, plugin: &PluginId) -> Self {
        Self { plugin: Some(plugin.clone()), ..self.clone() }
    }
}

/// The uid that logged in, which sudo and the like do not change, if the kernel has one.
pub fn login_uid() -> Option<u32> {
    let text = fs::read_to_string("/proc/self/loginuid").ok()?;
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

/// Truncates a variable, because the environment may contain megabytes.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 64;
    // Control characters have more than one form in JSON, and the digest of an operation depends on the form.
    text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The uid of a user, if all of these files that have the user agree. If they disagree it is unknown, because the host's
/// configuration decides which file counts.
fn uid_of(name: &str, users: &[String]) -> Option<u32> {
    let mut found = users.iter().flat_map(|file| file.lines()).filter_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse::<u32>().ok())
    });
    let first = found.next()??;
    found.all(|other| other == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Caller {
        let users = [
            "root:x:0:0::/:/bin/sh\nann:x:1001:1001::/:/bin/sh\ntwo:x:5:5::/:\n",
            "core:x:1002:1::/:\ntwo:x:6:5::/:\n",
        ];
        Caller { users: users.map(str::to_owned).to_vec(), ..Caller::default() }
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// Uid, delegation and claims.
    fn of(caller: &Caller) -> (Option<u32>, Option<&'static str>, Vec<String>) {
        let subject = Subject::of_caller(caller);
        (subject.uid, subject.delegation.map(Delegation::as_str), subject.claims)
    }

    #[test]
    fn the_person_behind_sudo_and_doas_is_the_subject() {
        let sudo = Caller { sudo_uid: some("1000"), ..root() };
        for login_uid in [None, Some(1000)] {
            assert_eq!(of(&Caller { login_uid, ..sudo.clone() }), (Some(1000), Some("sudo"), vec![]));
        }
        for (name, uid) in [("ann", 1001), ("core", 1002)] {
            assert_eq!(of(&Caller { doas_user: some(name), ..root() }), (Some(uid), Some("doas"), vec![]));
        }
        assert_eq!(of(&Caller { pkexec_uid: some("7"), ..root() }), (Some(7), Some("pkexec"), vec![]));
        assert_eq!(of(&root()), (Some(0), None, vec![]));
        // Root's password, or polkit, was asked for: see the threat model.
        assert_eq!(of(&Caller { login_uid: Some(1000), ..root() }), (Some(0), None, vec![]));
    }

    #[test]
    fn an_unreadable_delegation_stays_a_delegation() {
        for text in ["x", "", "+1", "4294967296", " 1"] {
            let found = of(&Caller { sudo_uid: some(text), ..root() });
            assert_eq!(found, (None, Some("sudo"), vec![format!("SUDO_UID={text}")]));
        }
        for name in ["nobody-here", "two"] {
            assert_eq!(of(&Caller { doas_user: some(name), ..root() }).0, None, "{name}");
        }
        let long = Caller { sudo_uid: Some("1".repeat(1 << 20)), ..root() };
        assert_eq!(of(&long).2, [format!("SUDO_UID={}", "1".repeat(64))]);
    }

    #[test]
    fn what_contradicts_itself_makes_nobody_root() {
        let both = Caller { sudo_uid: some("0"), doas_user: some("ann"), ..root() };
        let claims = ["SUDO_UID=0", "DOAS_USER=ann"].map(str::to_owned).to_vec();
        assert_eq!(of(&both), (None, Some("unclear"), claims));
        // Also of two that agree, one is made up.
        let agreeing = Caller { sudo_uid: some("1001"), doas_user: some("ann"), ..root() };
        assert_eq!(of(&agreeing).0, None);
        let logged_in = Caller { sudo_uid: some("0"), login_uid: Some(1000), ..root() };
        let claims = ["SUDO_UID=0", "login uid 1000"].map(str::to_owned).to_vec();
        assert_eq!(of(&logged_in), (None, Some("sudo"), claims));
    }

    #[test]
    fn another_real_uid_is_somebody_elses() {
        let setuid = Caller { real_uid: 1000, ..root() };
        assert_eq!(of(&setuid), (Some(1000), Some("setuid"), vec![]));
        assert_eq!(
            of(&Caller { sudo_uid: some("1000"), ..setuid.clone() }),
            (Some(1000), Some("sudo"), vec![])
        );
        assert_eq!(of(&Caller { sudo_uid: some("0"), ..setuid.clone() }).0, None);
        assert_eq!(of(&Caller { login_uid: Some(1001), ..setuid }).0, None);
    }

    #[test]
    fn without_root_the_environment_claims_nothing() {
        let user = Caller { effective_uid: 1000, real_uid: 1000, sudo_uid: some("0"), ..root() };
        assert_eq!(of(&user), (Some(1000), None, vec![]));
    }
}
