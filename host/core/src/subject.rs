//! Who asks: the uid of the caller, and the plugin that asks for them, if one does (D0.3, D3.5).

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
}

impl Delegation {
    /// As it is recorded.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sudo => "sudo",
            Self::Pkexec => "pkexec",
            Self::Doas => "doas",
        }
    }
}

/// On whose behalf an operation runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The person: the uid that sudo, pkexec or doas passed on, else the real uid. None: delegated, but by nobody that can
    /// be told (a name without a uid).
    pub uid: Option<u32>,
    /// Set if the caller is root on another's behalf; then `--sysroot` and `build` need the configuration's word.
    pub delegation: Option<Delegation>,
    /// The plugin whose plan this is.
    pub plugin: Option<PluginId>,
}

/// What of the environment tells the caller. As root nothing else of it counts.
#[derive(Debug, Clone, Default)]
pub struct CallerEnvironment {
    /// `SUDO_UID`.
    pub sudo_uid: Option<String>,
    /// `PKEXEC_UID`.
    pub pkexec_uid: Option<String>,
    /// `DOAS_USER`, a name.
    pub doas_user: Option<String>,
}

impl Subject {
    /// The caller. `passwd` is the text of `/etc/passwd`, in which doas's user is looked up.
    pub fn of_caller(euid: u32, uid: u32, environment: &CallerEnvironment, passwd: &str) -> Self {
        let delegated = |uid, delegation| Self { uid, delegation: Some(delegation), plugin: None };
        if euid == 0 {
            if let Some(text) = &environment.sudo_uid {
                return delegated(text.parse().ok(), Delegation::Sudo);
            }
            if let Some(text) = &environment.pkexec_uid {
                return delegated(text.parse().ok(), Delegation::Pkexec);
            }
            if let Some(name) = &environment.doas_user {
                return delegated(uid_of(name, passwd), Delegation::Doas);
            }
        }
        Self { uid: Some(uid), delegation: None, plugin: None }
    }

    /// The same caller, asking through a plugin.
    #[must_use]
    pub fn through(&self, plugin: &PluginId) -> Self {
        Self { plugin: Some(plugin.clone()), ..self.clone() }
    }
}

fn uid_of(name: &str, passwd: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(euid: u32, sudo: Option<&str>, doas: Option<&str>) -> Subject {
        let environment = CallerEnvironment {
            sudo_uid: sudo.map(str::to_owned),
            pkexec_uid: None,
            doas_user: doas.map(str::to_owned),
        };
        Subject::of_caller(euid, euid, &environment, "root:x:0:0::/:/bin/sh\nann:x:1001:1001::/:/bin/sh\n")
    }

    #[test]
    fn the_person_behind_sudo_and_doas_is_the_subject() {
        assert_eq!(of(0, Some("1000"), None).uid, Some(1000));
        assert_eq!(of(0, Some("1000"), None).delegation, Some(Delegation::Sudo));
        assert_eq!(of(0, None, Some("ann")).uid, Some(1001));
        assert_eq!(of(0, None, None), Subject { uid: Some(0), delegation: None, plugin: None });
    }

    #[test]
    fn an_unreadable_delegation_stays_a_delegation() {
        for subject in [of(0, Some("x"), None), of(0, Some(""), None), of(0, None, Some("nobody-here"))] {
            assert!(subject.delegation.is_some() && subject.uid.is_none(), "{subject:?}");
        }
    }

    #[test]
    fn without_root_the_environment_claims_nothing() {
        assert_eq!(of(1000, Some("0"), None), Subject { uid: Some(1000), delegation: None, plugin: None });
    }
}
