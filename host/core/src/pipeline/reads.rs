//! Operations that only read. They run even if something is broken, and report it; operations that change something do not.

use bootc_image_os::processes;

use super::{Answer, Pipeline};
use crate::error::Error;
use crate::ops::Operation;
use crate::policy::Judged;

impl Pipeline<'_> {
    /// Refuses to run with a configuration of which only a part is valid: the missing part may have denied the operation.
    ///
    /// # Errors
    /// [`Error::Configuration`].
    pub fn refuse_broken(&self) -> Result<(), Error> {
        let configuration = &self.context.host.settings.configuration;
        let refused = |why| Err(Error::Configuration { why, fix: configuration.fix.clone() });
        configuration.broken.clone().map_or(Ok(()), refused)
    }

    /// Runs judged operations. They are recorded only for root, and if the configuration sets `record-reads`.
    pub(super) fn read(&self, judged: Vec<Judged>) -> Result<Answer, Error> {
        let settings = self.context.host.settings;
        if settings.dry_run {
            return Ok(Answer::Judged(judged));
        }
        let mut answer = Answer::NothingToDo;
        for judged in judged {
            if judged.denial().is_none() {
                self.report_failed_policies(&judged)?;
            }
            answer = Answer::Done(if settings.configuration.record_reads && settings.root {
                self.refuse_denied(&judged)?;
                self.run_recorded(judged)?
            } else {
                judged.approve()?.execute(&self.context)?
            });
        }
        Ok(answer)
    }

    /// Prints a note for each policy that gave no verdict.
    fn report_failed_policies(&self, judged: &Judged) -> Result<(), Error> {
        let unknown = self.context.plugins.policies().err();
        let this = match judged.canonical().operation() {
            Operation::List(_) => "this list",
            _ => "this operation",
        };
        for verdict in judged.verdicts() {
            let Some(reason) = &verdict.failed_open else { continue };
            // The policy may have failed because of an interruption.
            processes::check_interrupted()?;
            self.context.host.reporter.note(&match &unknown {
                Some(_) => format!(
                    "{reason}; no policy judged {this}; to see what to fix, run: bootc-image plugin doctor"
                ),
                None => {
                    let policy = &verdict.validator;
                    format!(
                        "policy {policy} could not judge {this}: {reason}; {this} is allowed without its verdict; \
                         to see what to fix, run: bootc-image plugin doctor"
                    )
                }
            });
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use bootc_image_model::columns::ListType;
    use bootc_image_model::configuration::Configuration;
    use bootc_image_model::denial::Kind;
    use bootc_image_model::digest::{Commit, Digest};
    use bootc_image_model::plugin::PluginId;
    use bootc_image_model::settings::{Place, Settings};
    use bootc_image_model::subject::Subject;
    use bootc_image_os::reporter::doubles::Heard;
    use bootc_image_stores::host::Host;

    use super::*;
    use crate::assumed::Assumed;
    use crate::audit::Recorder;
    use crate::context::Context;
    use crate::ops::list::List;
    use crate::ops::{
        Report, Request, approve_plugin, cmd, copy_to_storage, prune, pull_from_default_storage, remove,
        repair, revoke_plugin, set_unified,
    };
    use crate::plugin::MissingPolicy;
    use crate::policy::tests::{FakePlugins, allows, denies, fails, no_plugins, plugins_with};

    /// A record that cannot be written: an operation that fails because of it was not denied.
    pub(in crate::pipeline) fn nowhere() -> Recorder {
        Recorder::new("/proc/nowhere")
    }

    pub(in crate::pipeline) fn settings(configuration: Configuration, dry_run: bool) -> Settings {
        Settings {
            place: Place::NotBooted,
            sysroot: None,
            subject: Subject::new(Some(0), None),
            root: true,
            configuration,
            lock_limit: Duration::ZERO,
            change_limit: Duration::ZERO,
            programs: Vec::new(),
            state: PathBuf::from("/nowhere"),
            directory: None,
            proxies: Vec::new(),
            dry_run,
        }
    }

    /// Runs a request. Returns its result and the notes.
    pub(in crate::pipeline) fn run(
        settings: &Settings,
        plugins: &FakePlugins,
        request: &Request,
    ) -> (Result<Answer, Error>, Vec<String>) {
        let reporter = Heard::default();
        let context = Context { host: Host { settings, reporter: &reporter }, plugins };
        let pipeline = Pipeline { context, recorder: &nowhere() };
        let answer = pipeline.run(request);
        // Without the note that the record cannot be written.
        let mut notes = reporter.0.take();
        notes.retain(|note| !note.contains("audit record"));
        (answer, notes)
    }

    const LIST: Request = Request::List(List { image_type: ListType::Logical, details: false });

    fn acts() -> Vec<Request> {
        let (images, plugin) = (vec!["localhost/a:1".to_owned()], "p".to_owned());
        vec![
            Request::CopyToStorage(copy_to_storage::Request { source: None, target: None }),
            Request::PullFromDefaultStorage(pull_from_default_storage::Request { images: images.clone() }),
            Request::SetUnified(set_unified::Request),
            Request::Remove(remove::Request { images: images.clone() }),
            Request::Prune(prune::Request { all: false }),
            Request::Repair(repair::Request { images, all: false }),
            Request::Cmd(cmd::Request { name: "list".to_owned(), args: Vec::new() }),
            Request::ApprovePlugin(approve_plugin::Request { plugin: plugin.clone(), mandatory: false }),
            Request::RevokePlugin(revoke_plugin::Request { plugin }),
        ]
    }

    #[test]
    fn with_an_invalid_configuration_nothing_acts_or_is_judged() {
        let broken =
            || Configuration { broken: Some("a.toml: line 1".to_owned()), ..Configuration::default() };
        for dry_run in [false, true] {
            for request in acts() {
                let refused = |configuration| {
                    let (done, notes) = run(&settings(configuration, dry_run), &no_plugins(), &request);
                    assert!(notes.is_empty(), "{notes:?}");
                    matches!(done, Err(Error::Configuration { why, .. }) if why == "a.toml: line 1")
                };
                assert!(refused(broken()) && !refused(Configuration::default()), "{request:?}");
            }
        }
        assert!(matches!(
            run(&settings(broken(), true), &no_plugins(), &LIST).0,
            Err(Error::Configuration { .. })
        ));
        assert!(matches!(
            run(&settings(broken(), false), &no_plugins(), &LIST).0,
            Ok(Answer::Done(Report::Listing(_)))
        ));
        // Callers who are not root get this error first, too.
        let settings = Settings { root: false, ..settings(broken(), false) };
        let error = run(&settings, &no_plugins(), &Request::SetUnified(set_unified::Request)).0.unwrap_err();
        assert_eq!(error.kind(), Kind::Unusable);
        let reporter = Heard::default();
        let context =
            Context { host: Host { settings: &settings, reporter: &reporter }, plugins: &no_plugins() };
        let pipeline = Pipeline { context, recorder: &nowhere() };
        let assumed = Assumed {
            subject: Subject::new(Some(0), None),
            digest: Digest::of(b""),
            commit: Commit::new("0".repeat(64)).unwrap(),
            booted: "docker://quay.io/a:1".to_owned(),
        };
        assert!(matches!(pipeline.judge_assumed(&LIST, &assumed), Err(Error::Configuration { .. })));
    }

    #[test]
    fn a_list_reports_policies_that_failed_and_respects_denials() {
        let here = settings(Configuration::default(), false);
        let (done, notes) = run(&here, &plugins_with(Ok(vec![fails("a"), allows("b")])), &LIST);
        assert!(matches!(done, Ok(Answer::Done(Report::Listing(_)))), "{done:?}");
        assert_eq!(
            notes,
            ["policy a could not judge this list: trapped; this list is allowed without its verdict; \
              to see what to fix, run: bootc-image plugin doctor"]
        );
        let (done, notes) = run(&here, &plugins_with(Ok(vec![fails("a"), denies("b")])), &LIST);
        assert!(matches!(&done, Err(Error::Denied(denial)) if denial.code == "no"), "{done:?}");
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn operations_that_act_report_every_missing_policy() {
        let here = settings(Configuration::default(), false);
        let id = PluginId::new("p").unwrap();
        let file = PathBuf::from("/etc/p.toml");
        let plugins = FakePlugins {
            missed: vec![MissingPolicy {
                plugin: id,
                file,
                why: "is not installed",
                revoke: "revoke the approval with: bootc-image plugin revoke p".to_owned(),
            }],
            ..no_plugins()
        };
        let expected = "policy p (approved in /etc/p.toml) is not installed, so it does not judge operations: install it, or \
                    revoke the approval with: bootc-image plugin revoke p";
        for request in acts() {
            let (_, notes) = run(&here, &plugins, &request);
            let is_about_it = matches!(request, Request::ApprovePlugin(_) | Request::RevokePlugin(_));
            let expected = if is_about_it { Vec::new() } else { vec![expected.to_owned()] };
            assert_eq!(notes, expected, "{request:?}");
        }
        assert!(run(&here, &plugins, &LIST).1.is_empty());
    }
}
