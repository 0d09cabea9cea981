//! Notes about approved policies that are not installed.

use super::Pipeline;
use crate::ops::{Request, approve_plugin, revoke_plugin};
use crate::plugin::MissingPolicy;

impl Pipeline<'_> {
    /// Prints a note for each such policy, unless the request approves or revokes it.
    pub(super) fn report_missed(&self, request: &Request) {
        let (configured, of_grants) =
            (&self.context.host.settings.configuration.mandatory, self.context.plugins.mandatory());
        for missed in self.context.plugins.missed() {
            let is_about_it = matches!(
                request,
                Request::ApprovePlugin(approve_plugin::Request { plugin, .. })
                | Request::RevokePlugin(revoke_plugin::Request { plugin })
                    if *plugin == missed.plugin.as_str()
            );
            if is_about_it {
                continue;
            }
            let MissingPolicy { plugin, why, .. } = &missed;
            let denied =
                format!("policy {plugin} is mandatory but {why}, so every operation except `list` is denied");
            let stop = || self.context.plugins.how_to_stop_requiring(plugin);
            let install = missed.what_to_install();
            self.context.host.reporter.note(
                &match (configured.contains(plugin), of_grants.contains(plugin)) {
                    (false, false) => format!("{missed}: {}", missed.fix()),
                    (_, true) => format!("{denied}: {install}, or {}", stop()),
                    (true, false) => format!("{denied}: {install}, or {} and {}", stop(), missed.revoke),
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bootc_image_model::grant::{Grant, Role};

    use super::super::Answer;
    use super::*;
    use crate::pipeline::reads::tests::{run, settings};
    use crate::policy::tests::{FakePlugins, no_plugins};
    use bootc_image_model::configuration::Configuration;
    use bootc_image_model::denial::Kind;
    use bootc_image_model::plugin::PluginId;

    fn grant(role: Role, mandatory: bool) -> Grant {
        Grant {
            plugin: PluginId::new("p").unwrap(),
            sha256: "0".repeat(64),
            manifest: "1".repeat(64),
            native: false,
            role,
            mandatory,
            capabilities: Vec::new(),
        }
    }

    fn approve(mandatory: bool) -> Request {
        Request::ApprovePlugin(approve_plugin::Request { plugin: "p".to_owned(), mandatory })
    }

    #[test]
    fn only_policies_are_approved_as_mandatory_and_stay_mandatory() {
        let here = settings(Configuration::default(), true);
        for (role, was, asked, expected) in [
            (Role::Policy, false, false, Some(false)),
            (Role::Policy, false, true, Some(true)),
            (Role::Policy, true, false, Some(true)),
            (Role::Format, false, false, Some(false)),
            (Role::Format, false, true, None),
            (Role::Command, false, true, None),
        ] {
            let plugins = FakePlugins { grant: Some(grant(role, was)), ..no_plugins() };
            let (done, _) = run(&here, &plugins, &approve(asked));
            let Some(mandatory) = expected else {
                assert_eq!(done.unwrap_err().kind(), Kind::Usage, "{role:?}");
                continue;
            };
            let Ok(Answer::Judged(judged)) = done else { panic!("{done:?}") };
            let json = judged[0].canonical().json();
            assert!(json.contains(&format!("\"role\":\"{}\"", role.name())), "{json}");
            assert_eq!(json.contains("\"mandatory\":true"), mandatory, "{json}");
        }
    }

    #[test]
    fn the_note_on_a_missing_mandatory_policy_says_that_all_is_denied() {
        let id = PluginId::new("p").unwrap();
        let denied = "policy p is mandatory but is not installed, so every operation except `list` is denied: install it, or";
        let (stop, revoke) = ("stop requiring p", "revoke it");
        for (configured, granted, expected) in [
            (false, true, format!("{denied} {stop}")),
            (true, false, format!("{denied} {stop} and {revoke}")),
            (true, true, format!("{denied} {stop}")),
        ] {
            let ids = |is: bool| if is { vec![id.clone()] } else { Vec::new() };
            let configuration = Configuration { mandatory: ids(configured), ..Configuration::default() };
            let file = PathBuf::from("/etc/p.toml");
            let missed = vec![MissingPolicy {
                plugin: id.clone(),
                file,
                why: "is not installed",
                revoke: revoke.to_owned(),
            }];
            let plugins = FakePlugins { missed, mandatory: ids(granted), ..no_plugins() };
            let request = Request::RevokePlugin(revoke_plugin::Request { plugin: "q".to_owned() });
            assert_eq!(run(&settings(configuration, true), &plugins, &request).1, [expected]);
        }
    }

    #[test]
    fn nothing_is_written_for_plugins_that_the_os_image_approves() {
        let configured =
            Configuration { mandatory: vec![PluginId::new("p").unwrap()], ..Configuration::default() };
        let expected = "nothing to do: plugin p is already approved by the OS image in /usr/p.toml";
        for (configuration, was, asked, is_nothing) in [
            (Configuration::default(), false, false, true),
            (Configuration::default(), false, true, false),
            (Configuration::default(), true, true, true),
            (configured, false, true, true),
        ] {
            let of_image = Some(PathBuf::from("/usr/p.toml"));
            let plugins = FakePlugins { grant: Some(grant(Role::Policy, was)), of_image, ..no_plugins() };
            // The audit record cannot be written here, so an approval would fail.
            let (done, notes) = run(&settings(configuration, false), &plugins, &approve(asked));
            if is_nothing {
                assert!(matches!(done, Ok(Answer::NothingToDo)), "{done:?}");
                assert_eq!(notes, [expected]);
            } else {
                let hint = done.unwrap_err().hint().unwrap_or_default();
                assert_eq!(hint, "make it mandatory in the configuration: [policy] mandatory = [\"p\"]");
            }
        }
    }
}
