//! `bootc-image:host/images` and `bootc-image:host/transfers`: the requests of a wrapper while it plans. The wrapper runs on a thread
//! of its own and waits, while the thread that called it passes the request through the pipeline.
//!
//! ```text
//! plugin's thread:  list, copy, pull --Wish--> Requests ... waits ... <--Granted--
//! caller's thread:                      Host::ask -> pipeline -> judged, recorded, run
//! ```

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use bootc_image_core::error::Error;
use bootc_image_core::listing::ImageRow;
use bootc_image_core::plugin::{Granted, Host as Asked, PluginRequest};
use bootc_image_model::capability::{COPIES_IMAGES, Capability, LISTS_IMAGES, PULLS_IMAGES};
use bootc_image_model::columns::{Column, ImageType, ListType};
use bootc_image_model::denial::Kind;
use bootc_image_model::image::LocalImage;
use bootc_image_model::pattern::Pattern;
use bootc_image_model::policy_input::Name;
use bootc_image_model::reference::{CONTAINERS_STORAGE, Reference};
use bootc_image_os::error::Error as OsError;
use bootc_image_stores::error::Error as StoresError;
use wasmtime::component::Resource;

use super::bindings::imports::bootc_image::host::{images, transfers};
use super::bindings::imports::bootc_image::types::attrs::Attr;
use super::bindings::imports::bootc_image::types::problems::{Denial, Failure, Problem};
use super::guest::Guest;
use super::rows::Cursor;
use super::texts::of_attrs;

/// Stack size of the plugin's thread, enough for the deepest recursion of a component and the host functions that it calls.
const STACK: usize = 8 << 20;

/// Whether a plugin with these capabilities can make requests.
pub(super) fn can_request(capabilities: &[Capability]) -> bool {
    capabilities.iter().any(|has| [COPIES_IMAGES, LISTS_IMAGES, PULLS_IMAGES].contains(&has.name.as_str()))
}

/// The plugin's ends of the channels to the host.
pub(super) struct Requests {
    sender: Sender<PluginRequest>,
    answers: Receiver<Result<Granted, Error>>,
}

/// Runs `plan` on a thread of its own and answers its requests on this thread. The error says why there is no plan.
pub(super) fn with_requests<T: Send>(
    host: &dyn Asked,
    plan: impl FnOnce(Requests) -> T + Send,
) -> Result<T, String> {
    thread::scope(|scope| {
        // The host's ends are dropped when this closure returns, so that a plugin that still waits gets an error.
        let (sender, received) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let requests = Requests { sender, answers };
        let thread = thread::Builder::new().name("plugin".to_owned()).stack_size(STACK);
        let running = thread
            .spawn_scoped(scope, move || plan(requests))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        for request in received {
            if answer.send(host.ask(request)).is_err() {
                break;
            }
        }
        running.join().map_err(|_| "internal error of bootc-image while running it".to_owned())
    })
}

impl Guest {
    /// Makes a request. The time that it takes does not count against the plugin's limits.
    fn request(&mut self, wish: PluginRequest) -> wasmtime::Result<Result<Granted, Failure>> {
        self.budget().operation()?;
        let gone = || wasmtime::Error::msg("the host no longer accepts requests");
        let requests = self.requests().ok_or_else(gone)?;
        let start = Instant::now();
        requests.sender.send(wish).map_err(|_| gone())?;
        let answer = requests.answers.recv().map_err(|_| gone())?;
        self.clock_mut().pause(start.elapsed());
        match answer {
            Err(error @ Error::Os(OsError::Interrupted { .. })) => {
                Err(wasmtime::Error::msg(error.to_string()))
            }
            Err(error) => Ok(Err(failure(&error))),
            Ok(granted) => Ok(Ok(granted)),
        }
    }

    fn transfer(&mut self, wish: PluginRequest) -> wasmtime::Result<Result<Vec<Attr>, Failure>> {
        let (name, image, unchanged) = match self.request(wish)? {
            Ok(Granted::Image { name, image, unchanged }) => (name, image, unchanged),
            Ok(other) => {
                return Err(wasmtime::Error::msg(format!(
                    "the host returned an unexpected result: {other:?}"
                )));
            }
            Err(failure) => return self.refuse(failure).map(Err),
        };
        let LocalImage { id, manifest_digest } = image;
        let attrs = [
            ("name", name.to_string()),
            ("digest", manifest_digest.to_string()),
            ("id", id),
            ("unchanged", unchanged.to_string()),
        ];
        let attrs = attrs.map(|(key, value)| Attr { key: key.to_owned(), value }).to_vec();
        self.budget().transfer(of_attrs(&attrs))?;
        Ok(Ok(attrs))
    }

    fn refuse(&mut self, failure: Failure) -> wasmtime::Result<Failure> {
        let (code, message) = match &failure {
            Failure::Denied(denial) => (&denial.code, &denial.message),
            Failure::Failed(problem) => (&problem.code, &problem.message),
        };
        let texts = [code.as_str(), message.as_str()];
        self.budget().transfer(texts)?;
        Ok(failure)
    }
}

/// Converts an error of the host for the plugin.
fn failure(error: &Error) -> Failure {
    let (message, hint) = (error.to_string(), error.hint());
    if let Error::Denied(denial) = error {
        let by = Attr { key: "by".to_owned(), value: denial.denied_by.to_string() };
        return Failure::Denied(Denial { code: denial.code.clone(), message, hint, attrs: vec![by] });
    }
    let code = match (error, error.kind()) {
        (Error::Stores(StoresError::ImageNotFound { .. }), _) => "not-found",
        (Error::Stores(StoresError::Ambiguous { .. }), _) => "ambiguous",
        (Error::Stores(StoresError::Reference(_)), _) => "invalid-reference",
        (Error::DryRun, _) => "dry-run",
        (_, Kind::Usage) => "usage",
        (_, Kind::MissingProgram) => "missing-program",
        (_, Kind::Unusable) => "unusable",
        _ => "failed",
    };
    Failure::Failed(Problem { code: code.to_owned(), message, hint, attrs: Vec::new() })
}

fn usage(message: String) -> Failure {
    Failure::Failed(Problem { code: "usage".to_owned(), message, hint: None, attrs: Vec::new() })
}

fn not_a_type(value: &str) -> String {
    format!("{value:?} is not an image type; the types are host, unified, logical")
}

/// The filter of a list.
#[derive(Default)]
struct Filter {
    image_type: Option<ImageType>,
    image: Option<Pattern>,
}

impl Filter {
    fn of(attrs: &[Attr]) -> Result<Self, String> {
        let mut filter = Self::default();
        for Attr { key, value } in attrs {
            match key.as_str() {
                "type" => {
                    let types = [ImageType::Host, ImageType::Unified, ImageType::Logical];
                    let found = types.into_iter().find(|known| known.as_str() == value);
                    filter.image_type = Some(found.ok_or_else(|| not_a_type(value))?);
                }
                "image" => filter.image = Some(Pattern::new(value)?),
                other => {
                    return Err(format!("cannot filter images by {other:?}; known filters: type, image"));
                }
            }
        }
        Ok(filter)
    }

    fn list_type(&self) -> ListType {
        match self.image_type {
            None => ListType::All,
            Some(ImageType::Unified) => ListType::Unified,
            Some(ImageType::Logical) => ListType::Logical,
            // This also lists bootc's storage; `takes` leaves its images out.
            Some(ImageType::Host) => ListType::Host,
        }
    }

    /// Whether a row matches the filter and one of the scopes.
    fn takes(&self, row: &ImageRow, scopes: &[Capability]) -> bool {
        let is_of_type = self.image_type.is_none_or(|wanted| wanted == row.image_type);
        let Some(name) = is_of_type.then(|| name(row)).flatten() else { return false };
        self.image.as_ref().is_none_or(|pattern| pattern.matches(&name.path()))
            && scopes.iter().any(|scope| scope.has_name(&name))
    }
}

fn name(row: &ImageRow) -> Option<Name> {
    match row.image_type {
        ImageType::Host => Name::of_host(&row.image),
        ImageType::Unified | ImageType::Logical => {
            Reference::parse_local(&row.image).ok().map(|name| Name::new(CONTAINERS_STORAGE, &name))
        }
    }
}

impl images::Host for Guest {
    fn list(
        &mut self,
        columns: Vec<String>,
        filter: Vec<Attr>,
    ) -> wasmtime::Result<Result<Resource<Cursor>, Failure>> {
        let given = columns.iter().map(String::as_str);
        self.budget().transfer(given.chain(of_attrs(&filter)))?;
        let known = |name: &String| Column::ALL.iter().copied().find(|column| column.name() == name);
        let wanted: Option<Vec<Column>> = columns.iter().map(known).collect();
        let once = |columns: &Vec<Column>| (1..columns.len()).all(|n| !columns[..n].contains(&columns[n]));
        let Some(wanted) = wanted.filter(|columns| !columns.is_empty() && once(columns)) else {
            let names: Vec<&str> = Column::ALL.iter().map(|column| column.name()).collect();
            let what =
                format!("expected at least one of these columns, each at most once: {}", names.join(", "));
            return self.refuse(usage(what)).map(Err);
        };
        let filter = match Filter::of(&filter) {
            Ok(filter) => filter,
            Err(why) => return self.refuse(usage(why)).map(Err),
        };
        let details = wanted.iter().any(|column| column.is_detail());
        let wish = PluginRequest::List { image_type: filter.list_type(), details };
        let rows = match self.request(wish)? {
            Ok(Granted::Listing(listing)) => listing.rows,
            Ok(other) => {
                return Err(wasmtime::Error::msg(format!(
                    "the host returned an unexpected result: {other:?}"
                )));
            }
            Err(failure) => return self.refuse(failure).map(Err),
        };
        let capabilities = self.capabilities();
        let scopes: Vec<Capability> =
            capabilities.iter().filter(|capability| capability.name == LISTS_IMAGES).cloned().collect();
        let rows = rows.into_iter().filter(|row| filter.takes(row, &scopes)).collect();
        let cursor = Cursor::new(Arc::new(rows), wanted);
        Ok(Ok(self.table_mut().push(cursor)?))
    }
}

impl transfers::Host for Guest {
    fn copy_to_storage(
        &mut self,
        source: Option<String>,
        target: Option<String>,
    ) -> wasmtime::Result<Result<Vec<Attr>, Failure>> {
        self.budget().transfer([source.as_deref(), target.as_deref()].into_iter().flatten())?;
        self.transfer(PluginRequest::CopyToStorage { source, target })
    }

    fn pull_from_default_storage(&mut self, image: String) -> wasmtime::Result<Result<Vec<Attr>, Failure>> {
        self.budget().transfer([image.as_str()])?;
        self.transfer(PluginRequest::PullFromDefaultStorage { image })
    }
}
