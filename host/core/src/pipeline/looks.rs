//! What only looks goes on whatever is broken, and tells; what acts doesn't.

use super::Pipeline;
use crate::error::Error;
use crate::frozen::Frozen;
use crate::policy::{Judged, validators};
use crate::report::Report;
use bootc_image_os::children;

impl Pipeline<'_> {
    /// Refuses what a part of the configuration is no ground for.
    ///
    /// # Errors
    /// [`Error::Configuration`] if it isn't whole.
    pub fn refuse_broken(&self) -> Result<(), Error> {
        let broken = self.settings.configuration.broken.clone();
        broken.map_or(Ok(()), |why| Err(Error::Configuration(why)))
    }

    /// A read is judged, and recorded only if root asks and the configuration says so.
    pub(super) fn read(&self, frozen: Frozen) -> Result<Report, Error> {
        let judged = validators(&self.settings.configuration, Vec::new(), self.plugins).judge(frozen);
        if self.settings.dry_run {
            return Ok(Report::Judged(vec![judged]));
        }
        if judged.denial().is_none() {
            self.tell_silent(&judged)?;
        }
        if self.settings.configuration.record_reads && self.settings.root {
            self.refuse_denied(&judged)?;
            return self.run_recorded(judged);
        }
        self.execute(judged.approve()?)
    }

    /// Says who has no opinion of what is about to be shown all the same.
    fn tell_silent(&self, judged: &Judged) -> Result<(), Error> {
        let unknown = self.plugins.policies().err();
        for verdict in judged.verdicts() {
            let Some(reason) = &verdict.failed_open else { continue };
            // One that was interrupted would have had one.
            children::check_not_asked_to_end()?;
            self.talk.note(&match &unknown {
                Some(_) => format!("{reason}; none of them judged this list"),
                None => {
                    let policy = &verdict.validator;
                    format!("policy {policy} couldn't be asked, and didn't judge this list: {reason}")
                }
            });
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use bootc_image_stores::error::Error as StoresError;

    use super::*;
    use crate::audit::{Outcome, RecordId, Recorder};
    use crate::operation::{ListType, Request};
    use crate::pipeline::Assumed;
    use crate::plugin::Missed;
    use crate::policy::tests::{Only, allows, alone, denies, fails, only};
    use bootc_image_model::configuration::Configuration;
    use bootc_image_model::denial::{Denial, Kind};
    use bootc_image_model::digest::Commit;
    use bootc_image_model::plugin::PluginId;
    use bootc_image_model::settings::{Place, Settings};
    use bootc_image_model::subject::Subject;
    use bootc_image_os::talk::doubles::Heard;
    use bootc_image_stores::export::{Exporter, Said};
    use bootc_image_stores::ostree::Repository;

    /// Nobody exports, and nothing can be recorded: what comes so far wasn't refused.
    struct Nobody;

    impl Exporter for Nobody {
        fn export(
            &self,
            _: &Repository,
            _: &Commit,
            _: &Path,
            _: &mut dyn FnMut(Said) -> Result<(), StoresError>,
        ) -> Result<(), StoresError> {
            Err(StoresError::SelinuxCreate)
        }
    }

    impl Recorder for Nobody {
        fn intent(&self, _: &Judged) -> Result<RecordId, Error> {
            Err(Error::DryRun)
        }

        fn outcome(&self, _: &RecordId, _: &Outcome) -> Result<(), Error> {
            Err(Error::DryRun)
        }

        fn looked_up(&self, _: &Judged, _: &Outcome) -> Result<(), Error> {
            Err(Error::DryRun)
        }

        fn denied(&self, _: &Subject, _: &Denial, _: Option<&Judged>) -> Result<(), Error> {
            Ok(())
        }

        fn waiting(&self) -> Option<String> {
            None
        }
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

    /// Runs a request here; what came of it, and what was said.
    pub(in crate::pipeline) fn run(
        settings: &Settings,
        plugins: &Only,
        request: Request,
    ) -> (Result<Report, Error>, Vec<String>) {
        let talk = Heard::default();
        let pipeline = Pipeline { settings, plugins, exporter: &Nobody, recorder: &Nobody, talk: &talk };
        (pipeline.run(request), talk.0.take())
    }

    const LIST: Request = Request::List { image_type: ListType::Logical, details: false };

    fn acts() -> Vec<Request> {
        let (images, plugin) = (vec!["localhost/a:1".to_owned()], "p".to_owned());
        vec![
            Request::CopyToStorage { source: None, target: None },
            Request::PullFromDefaultStorage { images: images.clone() },
            Request::SetUnified,
            Request::Remove { images: images.clone() },
            Request::Prune { all: false },
            Request::Repair { images, all: false },
            Request::Cmd { name: "list".to_owned(), args: Vec::new() },
            Request::ApprovePlugin { plugin: plugin.clone(), mandatory: false },
            Request::RevokePlugin { plugin },
        ]
    }

    #[test]
    fn with_a_configuration_that_isnt_whole_nothing_acts_or_is_judged() {
        let broken =
            || Configuration { broken: Some("a.toml: line 1".to_owned()), ..Configuration::default() };
        for dry_run in [false, true] {
            for request in acts() {
                let refused = |configuration| {
                    let (done, said) = run(&settings(configuration, dry_run), &alone(), request.clone());
                    assert!(said.is_empty(), "{said:?}");
                    matches!(done, Err(Error::Configuration(why)) if why == "a.toml: line 1")
                };
                assert!(refused(broken()) && !refused(Configuration::default()), "{request:?}");
            }
        }
        assert!(matches!(run(&settings(broken(), true), &alone(), LIST).0, Err(Error::Configuration(_))));
        assert!(matches!(run(&settings(broken(), false), &alone(), LIST).0, Ok(Report::Listing(_))));
        // Whoever isn't root is told of that first, too.
        let settings = Settings { root: false, ..settings(broken(), false) };
        let error = run(&settings, &alone(), Request::SetUnified).0.unwrap_err();
        assert_eq!(error.kind(), Kind::Unusable);
        let talk = Heard::default();
        let pipeline = Pipeline {
            settings: &settings,
            plugins: &alone(),
            exporter: &Nobody,
            recorder: &Nobody,
            talk: &talk,
        };
        let assumed = Assumed {
            subject: Subject::new(Some(0), None),
            digest: bootc_image_model::digest::Digest::of(b""),
            commit: Commit::new("0".repeat(64)).unwrap(),
            booted: "docker://quay.io/a:1".to_owned(),
        };
        assert!(matches!(pipeline.suppose(&LIST, &assumed), Err(Error::Configuration(_))));
    }

    #[test]
    fn a_list_says_who_didnt_judge_it_and_heeds_who_did() {
        let here = settings(Configuration::default(), false);
        let (done, said) = run(&here, &only(Ok(vec![fails("a"), allows("b")])), LIST);
        assert!(matches!(done, Ok(Report::Listing(_))), "{done:?}");
        assert_eq!(said, ["policy a couldn't be asked, and didn't judge this list: trapped"]);
        let (done, said) = run(&here, &only(Ok(vec![fails("a"), denies("b")])), LIST);
        assert!(matches!(&done, Err(Error::Denied(denial)) if denial.code == "no"), "{done:?}");
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn what_acts_tells_of_every_policy_that_is_gone() {
        let here = settings(Configuration::default(), false);
        let id = PluginId::new("p").unwrap();
        let file = PathBuf::from("/etc/p.toml");
        let plugins = Only { missed: vec![Missed { plugin: id, file, why: "isn't installed" }], ..alone() };
        let told = "policy p, which /etc/p.toml approved, isn't installed, so it isn't asked: install it, or revoke the \
                    approval with: bootc-image plugin revoke p";
        for request in acts() {
            let (_, said) = run(&here, &plugins, request.clone());
            let is_about_it = matches!(request, Request::ApprovePlugin { .. } | Request::RevokePlugin { .. });
            let expected = if is_about_it { Vec::new() } else { vec![told.to_owned()] };
            assert_eq!(said, expected, "{request:?}");
        }
        assert!(run(&here, &plugins, LIST).1.is_empty());
    }
}
