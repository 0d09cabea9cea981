//! One run of the program: what it was started with, and the way to the pipeline.

use bootc_image_core::audit::Recorder;
use bootc_image_core::context::Context;
use bootc_image_core::ops::Request;
use bootc_image_core::pipeline::{Answer, Pipeline};
use bootc_image_engine::PluginSet;
use bootc_image_model::settings::Settings;
use bootc_image_stores::host::Host;

use crate::exit::Failure;
use crate::ui::Ui;

/// What every command gets.
#[derive(Clone, Copy)]
pub(crate) struct Session<'a> {
    /// Where it speaks.
    pub(crate) ui: &'a Ui,
    /// What the outside says.
    pub(crate) settings: &'a Settings,
    /// The plugins that there are.
    pub(crate) plugins: &'a PluginSet,
}

impl Session<'_> {
    /// The only way to do anything.
    pub(crate) fn run(&self, request: &Request) -> Result<Answer, Failure> {
        self.with_pipeline(|pipeline| Ok(pipeline.run(request)?))
    }

    /// Puts the pipeline together.
    pub(crate) fn with_pipeline<T>(&self, work: impl FnOnce(&Pipeline<'_>) -> T) -> T {
        let Self { ui, settings, plugins } = *self;
        let recorder = Recorder::new(settings.state.join("audit"));
        let context = Context { host: Host { settings, talk: ui }, plugins };
        work(&Pipeline { context, recorder: &recorder })
    }
}
