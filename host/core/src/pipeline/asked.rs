//! What plugins ask for while they plan: requests that go the same way as everything else, with the plugin in their subject
//! (D3.5).

use std::cell::{Cell, RefCell};

use super::{Pipeline, copy, pull, with_causes};
use crate::error::{Denial, Error};
use crate::frozen::Frozen;
use crate::operation::{ListType, Operation, Request};
use crate::plugin::Host;
use crate::policy::{Judged, validators};
use crate::report::Report;
use crate::subject::Subject;

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
        let pipeline = self.pipeline;
        let (operation, reads) = match request {
            Request::List { image_type, details } => {
                (Operation::List { image_type: image_type.unwrap_or(ListType::All), details }, true)
            }
            Request::CopyToStorage { source, target } => {
                (copy::resolve(pipeline, source.as_deref(), target.as_deref())?, false)
            }
            Request::PullFromDefaultStorage { images } => match images.as_slice() {
                [image] => (pull::resolve(pipeline, image)?, false),
                _ => return Err(Error::NothingNamed),
            },
            _ => {
                return Err(Error::Denied(Denial {
                    by: "host".to_owned(),
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
        } else if settings.dry_run {
            pipeline.execute(judged.approve()?)
        } else {
            pipeline.run_recorded(judged)
        };
        match &done {
            Err(Error::Interrupted { signal }) => self.interrupted.set(Some(*signal)),
            Ok(Report::Listing(listing)) => {
                listing.problems.iter().for_each(|problem| pipeline.talk.note(&with_causes(problem)));
            }
            _ => {}
        }
        done
    }
}

/// Where a site tests its policies, and there is nothing to be listed or copied.
pub(super) struct Nowhere;

impl Host for Nowhere {
    fn ask(&self, _: Request) -> Result<Report, Error> {
        Err(Error::DryRun)
    }
}
