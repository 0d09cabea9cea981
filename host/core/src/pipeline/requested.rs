//! Operations that plugins request while they plan. They pass through the same pipeline, with the plugin in their subject, so that
//! validators can check its capabilities (docs/adr/0009-what-plugins-ask-for.md).

use std::cell::{Cell, RefCell};

use bootc_image_model::capability::{COPIES_IMAGES, PULLS_IMAGES};
use bootc_image_model::denial::{Denial, DeniedBy};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::policy_input::Name;
use bootc_image_model::reference::CONTAINERS_STORAGE;
use bootc_image_model::subject::Subject;
use bootc_image_os::error::Error as OsError;
use bootc_image_stores::images::names::{as_named_here, meanings};

use super::Pipeline;
use crate::error::Error;
use crate::ops::copy_to_storage::{self, Copied, DEFAULT_TARGET};
use crate::ops::list::List;
use crate::ops::pull_from_default_storage::{self, Pulled};
use crate::ops::{Report, Request};
use crate::plugin::{Granted, Host, PluginRequest};
use crate::policy::Judged;

/// Runs requested operations on this host.
pub(super) struct LiveHost<'a> {
    pub(super) pipeline: &'a Pipeline<'a>,
    /// The caller, and the plugin.
    pub(super) subject: Subject,
    /// The signal that interrupted one of its operations.
    pub(super) interrupted: Cell<Option<i32>>,
    /// In a dry run: the copies that would have been made.
    pub(super) judged: RefCell<Vec<Judged>>,
}

impl Host for LiveHost<'_> {
    fn ask(&self, wish: PluginRequest) -> Result<Granted, Error> {
        let done = self.grant(wish);
        if let Err(Error::Os(OsError::Interrupted { signal })) = &done {
            self.interrupted.set(Some(*signal));
        }
        done
    }
}

impl LiveHost<'_> {
    fn grant(&self, wish: PluginRequest) -> Result<Granted, Error> {
        let request = self.request(wish)?;
        let context = &self.pipeline.context;
        let operations = request.resolve(context)?.operations;
        let mut done = Err(Error::NoImageGiven);
        for judged in self.pipeline.judge(operations, &self.subject, &[]) {
            done = Ok(self.run(judged, request.acts())?);
        }
        Ok(match done? {
            Report::Listing(listing) => {
                listing
                    .problems
                    .iter()
                    .for_each(|problem| context.host.reporter.note(&problem.with_causes()));
                Granted::Listing(listing)
            }
            Report::Copied(Copied { target: name, image, unchanged })
            | Report::Pulled(Pulled { name, image, unchanged }) => Granted::Image { name, image, unchanged },
            // `request` creates no other operations.
            _ => return Err(Error::NoImageGiven),
        })
    }

    fn request(&self, wish: PluginRequest) -> Result<Request, Error> {
        Ok(match wish {
            PluginRequest::List { image_type, details } => Request::List(List { image_type, details }),
            PluginRequest::CopyToStorage { source, target } => {
                let target_name = target.as_deref().unwrap_or(DEFAULT_TARGET);
                for name in source.as_deref().into_iter().chain([target_name]) {
                    self.refuse_outside(COPIES_IMAGES, name)?;
                }
                Request::CopyToStorage(copy_to_storage::Request { source, target })
            }
            PluginRequest::PullFromDefaultStorage { image } => {
                self.refuse_outside(PULLS_IMAGES, &image)?;
                Request::PullFromDefaultStorage(pull_from_default_storage::Request { images: vec![image] })
            }
        })
    }

    fn run(&self, judged: Judged, acts: bool) -> Result<Report, Error> {
        let settings = self.pipeline.context.host.settings;
        if settings.dry_run && acts {
            let denial = judged.denial().cloned();
            self.judged.borrow_mut().push(judged);
            return Err(denial.map_or(Error::DryRun, Error::Denied));
        }
        self.pipeline.refuse_denied(&judged)?;
        if acts || settings.configuration.record_reads {
            self.pipeline.run_recorded(judged)
        } else {
            judged.approve()?.execute(&self.pipeline.context)
        }
    }

    /// Denies names that are outside the scope as written, before they are resolved. So the denial does not reveal whether an image of
    /// that name exists.
    fn refuse_outside(&self, needed: &str, written: &str) -> Result<(), Error> {
        let granted = match &self.subject.plugin {
            Some(plugin) => self.pipeline.context.plugins.granted(plugin),
            None => Vec::new(),
        };
        let scopes: Vec<_> = granted.iter().filter(|capability| capability.name == needed).collect();
        let names: Vec<Name> = match meanings(as_named_here(written)) {
            Ok(meanings) => meanings.iter().map(|name| Name::new(CONTAINERS_STORAGE, name)).collect(),
            // The name of a host image with another transport, or an invalid name.
            Err(error) => vec![Name::of_host(written).ok_or(error)?],
        };
        let within = names.iter().any(|name| scopes.iter().any(|capability| capability.has_name(name)));
        if within {
            return Ok(());
        }
        let scopes: Vec<&str> = scopes.iter().map(|capability| capability.scope.as_str()).collect();
        let denial = Denial {
            denied_by: DeniedBy::Host("grants"),
            code: "outside-scope".to_owned(),
            message: format!(
                "the plugin requested \"{}\", but its capability {needed} covers only {}",
                shortened(written),
                scopes.join(", ")
            ),
            hint: Some(format!(
                "to see the plugin's capabilities, run: bootc-image plugin show {}",
                self.subject.plugin.as_ref().map_or("PLUGIN", PluginId::as_str)
            )),
        };
        Err(self.pipeline.denied(&self.subject, denial))
    }
}

/// For tests of policies: no host, so nothing can be listed or copied.
pub(super) struct NoHost;

impl Host for NoHost {
    fn ask(&self, _: PluginRequest) -> Result<Granted, Error> {
        Err(Error::DryRun)
    }
}

/// The beginning of a text that was typed, escaped for messages.
pub(super) fn shortened(name: &str) -> String {
    const LONGEST: usize = 64;
    let more = if name.chars().nth(LONGEST).is_some() { "..." } else { "" };
    name.chars().take(LONGEST).collect::<String>().escape_debug().to_string() + more
}
