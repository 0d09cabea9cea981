//! What every command needs, and how it runs a request.

use bootc_image_core::audit::Recorder;
use bootc_image_core::context::Context;
use bootc_image_core::ops::Request;
use bootc_image_core::pipeline::{Answer, Pipeline};
use bootc_image_engine::PluginSet;
use bootc_image_model::settings::Settings;
use bootc_image_stores::host::Host;

use crate::exit::Failure;
use crate::ui::Ui;

#[derive(Clone, Copy)]
pub(crate) struct Session<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) settings: &'a Settings,
    pub(crate) plugins: &'a PluginSet,
}

impl Session<'_> {
    /// Runs a request. Commands have no other way to act.
    pub(crate) fn run(&self, request: &Request) -> Result<Answer, Failure> {
        self.with_pipeline(|pipeline| Ok(pipeline.run(request)?))
    }

    pub(crate) fn with_pipeline<T>(&self, work: impl FnOnce(&Pipeline<'_>) -> T) -> T {
        let Self { ui, settings, plugins } = *self;
        let recorder = Recorder::new(settings.state.join("audit"));
        let context = Context { host: Host { settings, reporter: ui }, plugins };
        work(&Pipeline { context, recorder: &recorder })
    }
}
