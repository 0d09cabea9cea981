//! Approving plugins, and telling of those that were approved and are gone.

use super::Pipeline;
use crate::error::Error;
use crate::operation::{Grant, Operation, Request, Role};
use crate::report::Report;
use crate::subject::Subject;

impl Pipeline<'_> {
    pub(super) fn approve_plugin(
        &self,
        plugin: &str,
        mandatory: bool,
        subject: Subject,
    ) -> Result<Report, Error> {
        let grant = self.plugins.grant_for(plugin)?;
        if mandatory && grant.role != Role::Policy {
            return Err(Error::NotAPolicy(grant.plugin));
        }
        if let Some(file) = self.plugins.approved_by_image(&grant.plugin) {
            return self.approved_by_image(&grant, mandatory, &file.display().to_string());
        }
        let grant = Grant { mandatory: mandatory || grant.mandatory, ..grant };
        self.act_if_allowed(self.judge(Operation::ApprovePlugin { grant }, subject))
    }

    /// A grant of the site's would be of what is there now: with the next image it would hold what the image approves.
    fn approved_by_image(&self, grant: &Grant, mandatory: bool, file: &str) -> Result<Report, Error> {
        let plugin = &grant.plugin;
        let is_mandatory = grant.mandatory || self.settings.configuration.mandatory.contains(plugin);
        if mandatory && !is_mandatory {
            return Err(Error::Plugin {
                plugin: plugin.to_string(),
                reason: format!(
                    "it is approved by the OS image in {file}, which doesn't say that it is mandatory"
                ),
                fix: format!("say it in the configuration: [policy] mandatory = [\"{plugin}\"]"),
            });
        }
        self.talk.note(&format!("{plugin} is approved by the OS image in {file}: there is nothing to do"));
        Ok(Report::NothingToDo)
    }

    /// Says once which policies are gone; what is about one of them knows.
    pub(super) fn tell_missed(&self, request: &Request) {
        for missed in self.plugins.missed() {
            let is_about_it = matches!(
                request,
                Request::ApprovePlugin { plugin, .. } | Request::RevokePlugin { plugin }
                    if *plugin == missed.plugin.as_str()
            );
            if !is_about_it {
                self.talk.note(&format!("{missed}: {}", missed.fix()));
            }
        }
    }
}
