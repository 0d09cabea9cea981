//! What plugins ask for while they plan: requests that go the same way as everything else, with the plugin in their subject
//! (D3.5).

use bootc_image_os::error::Error as OsError;
use std::cell::{Cell, RefCell};

use bootc_image_model::weakened::is_off;

use super::local::{as_named_here, meanings};
use super::{Pipeline, copy, pull, shortened};
use crate::error::Error;
use crate::frozen::Frozen;
use crate::operation::{DEFAULT_TARGET, Operation, Request};
use crate::plugin::Host;
use crate::policy::{Judged, validators};
use crate::report::Report;
use bootc_image_model::capability::{COPIES_IMAGES, PULLS_IMAGES};
use bootc_image_model::denial::{By, Denial};
use bootc_image_model::reference::CONTAINERS_STORAGE;
use bootc_image_model::subject::Subject;
use bootc_image_model::view::Name;

/// Here and now.
pub(super) struct Here<'a> {
    pub(super) pipeline: &'a Pipeline<'a>,
    /// With the plugin.
    pub(super) subject: Subject,
    /// The signal that ended one of its transfers.
    pub(super) interrupted: Cell<Option<i32>>,
    /// What would have been copied, in a dry run.
    pub(super) judged: RefCell<Vec<Judged>>,
}

impl Host for Here<'_> {
    fn ask(&self, request: Request) -> Result<Report, Error> {
        let done = self.do_it(request);
        if let Err(Error::Os(OsError::Interrupted { signal })) = &done {
            self.interrupted.set(Some(*signal));
        }
        done
    }
}

impl Here<'_> {
    fn do_it(&self, request: Request) -> Result<Report, Error> {
        let pipeline = self.pipeline;
        let (operation, reads) = match request {
            Request::List { image_type, details } => (Operation::List { image_type, details }, true),
            Request::CopyToStorage { source, target } => {
                let target_name = target.as_deref().unwrap_or(DEFAULT_TARGET);
                for name in source.as_deref().into_iter().chain([target_name]) {
                    self.refuse_outside(COPIES_IMAGES, name)?;
                }
                (copy::resolve(pipeline, source.as_deref(), target.as_deref())?, false)
            }
            Request::PullFromDefaultStorage { images } => match images.as_slice() {
                [image] => {
                    self.refuse_outside(PULLS_IMAGES, image)?;
                    (pull::resolve(pipeline, image)?, false)
                }
                _ => return Err(Error::NothingNamed),
            },
            _ => {
                return Err(Error::Denied(Denial {
                    by: By::Host("host"),
                    code: "not-for-plugins".to_owned(),
                    message: "plugins ask for lists and copies only".to_owned(),
                    hint: None,
                }));
            }
        };
        let settings = pipeline.settings;
        let frozen = Frozen::new(operation, self.subject.clone(), settings.sysroot.clone());
        let judged = validators(&settings.configuration, Vec::new(), pipeline.plugins).judge(frozen);
        if settings.dry_run && !reads {
            let denial = judged.denial().cloned();
            self.judged.borrow_mut().push(judged);
            return Err(denial.map_or(Error::DryRun, Error::Denied));
        }
        pipeline.refuse_denied(&judged)?;
        let done = if reads && !settings.configuration.record_reads {
            pipeline.execute(judged.approve()?)
        } else {
            pipeline.run_recorded(judged)
        };
        if let Ok(Report::Listing(listing)) = &done {
            listing.problems.iter().for_each(|problem| pipeline.talk.note(&problem.with_causes()));
        }
        done
    }

    /// That nothing is told of what isn't even written as something in the scope: a name that is there and one that isn't are
    /// the same refusal.
    fn refuse_outside(&self, needed: &str, written: &str) -> Result<(), Error> {
        let granted = match &self.subject.plugin {
            Some(plugin) => self.pipeline.plugins.granted(plugin),
            None => Vec::new(),
        };
        let scopes: Vec<_> = granted.iter().filter(|capability| capability.name == needed).collect();
        let names: Vec<Name> = match meanings(as_named_here(written)) {
            Ok(meanings) => meanings.iter().map(|name| Name::new(CONTAINERS_STORAGE, name)).collect(),
            // Of another transport, or of none: then it means nothing.
            Err(error) => vec![Name::of_host(written).ok_or(error)?],
        };
        let within = names.iter().any(|name| scopes.iter().any(|capability| capability.has_name(name)));
        if within || is_off("capabilities") {
            return Ok(());
        }
        let scopes: Vec<&str> = scopes.iter().map(|capability| capability.scope.as_str()).collect();
        let denial = Denial {
            by: By::Host("grants"),
            code: "outside-scope".to_owned(),
            message: format!(
                "a plugin asked for \"{}\", and its capability {needed} goes as far as {}",
                shortened(written),
                scopes.join(", ")
            ),
            hint: Some("see what it was granted with: bootc-image plugin show".to_owned()),
        };
        Err(self.pipeline.denied(&self.subject, denial))
    }
}

/// Where a site tests its policies, and there is nothing to be listed or copied.
pub(super) struct Nowhere;

impl Host for Nowhere {
    fn ask(&self, _: Request) -> Result<Report, Error> {
        Err(Error::DryRun)
    }
}
