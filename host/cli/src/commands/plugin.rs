use std::fmt::Write as _;

use bootc_image_core::error::Error;
use bootc_image_core::lacking::{Lacking, lacking};
use bootc_image_core::ops::approve_plugin::Granted;
use bootc_image_core::ops::revoke_plugin::Revoked;
use bootc_image_core::ops::{Report, Request, approve_plugin, revoke_plugin};
use bootc_image_core::pipeline::Answer;
use bootc_image_core::plugin::Plugins as _;
use bootc_image_engine::PluginSet;
use bootc_image_engine::inventory::{Plugin as Found, Status};
use bootc_image_engine::manifest::World;
use bootc_image_engine::places::Place;
use bootc_image_engine::sanitize;
use bootc_image_model::grant::Role;
use bootc_image_model::plugin::PluginId;
use bootc_image_model::settings::Settings;
use bootc_image_os::processes;
use bootc_image_os::reporter::Reporter as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::exit::{self, Failure, OK, UNUSABLE};
use crate::render::{self, Format, ListFormat};
use crate::session::Session;
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  # List all plugins and their status
  bootc-image plugin list
  # Review a plugin, approve it, and check that it works
  bootc-image plugin show registry-policy
  bootc-image plugin approve registry-policy
  bootc-image plugin doctor registry-policy";

const LIST_EXAMPLES: &str = "\
Examples:
  # List all plugins, and why one is disabled
  bootc-image plugin list
  # List them for a script
  bootc-image plugin list --format json";

const SHOW_EXAMPLES: &str = "\
Examples:
  # Review what a plugin requests before approving it
  bootc-image plugin show registry-policy";

const APPROVE_EXAMPLES: &str = "\
Examples:
  # Show what would be approved
  bootc-image --dry-run plugin approve registry-policy
  # Approve a policy and make it mandatory
  bootc-image plugin approve --mandatory registry-policy";

const REVOKE_EXAMPLES: &str = "\
Examples:
  # Remove the grant of a plugin, so that it no longer runs
  bootc-image plugin revoke registry-policy";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  # Check all plugins, grants and settings
  bootc-image plugin doctor
  # Check one plugin
  bootc-image plugin doctor registry-policy";

/// List, review, approve and check plugins
///
/// Installed plugins are directories in /usr/lib/bootc-image/plugins (part of the OS image), /var/lib/bootc-image/plugins
/// (installed on this host) and /etc/bootc-image/plugins (added by the administrator). The plugins that are shipped with
/// bootc-image are in /usr/share/bootc-image/plugins: to install one, copy its directory to /etc/bootc-image/plugins,
/// or add it to the OS image.
///
/// A plugin runs only if a grant approves it. `plugin approve` writes a grant into /etc/bootc-image/grants.d; an OS image has its
/// grants in /usr/lib/bootc-image/grants.d.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Plugin {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all plugins and their status
    #[command(after_long_help = LIST_EXAMPLES)]
    List {
        /// Choose the output format
        #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
        format: Format,
    },
    /// Show what a plugin provides, which capabilities it requests, and its status
    #[command(after_long_help = SHOW_EXAMPLES)]
    Show {
        /// Show the plugin with this ID
        plugin: String,
    },
    /// Approve a plugin, with all capabilities that it requests
    ///
    /// Writes a grant for the plugin's present files: plugin.toml and the .wasm or .so file. If one of them changes, the plugin is
    /// disabled until it is approved again. Review the plugin with `plugin show` first.
    ///
    /// Denied by default if you became root through sudo, pkexec, doas or a setuid program: run it from a root login.
    #[command(after_long_help = APPROVE_EXAMPLES)]
    Approve {
        /// Approve the plugin with this ID
        plugin: String,
        /// Make this policy mandatory: while it is missing or cannot run, all operations on images except `list` are denied (only
        /// for policies; undo with `plugin revoke`)
        #[arg(long)]
        mandatory: bool,
    },
    /// Revoke an approval by removing the grant that `plugin approve` wrote
    ///
    /// This does not switch a policy off: while it is installed and not approved, every operation that it judges is denied.
    ///
    /// Denied by default if you became root through sudo, pkexec, doas or a setuid program: run it from a root login.
    #[command(after_long_help = REVOKE_EXAMPLES)]
    Revoke {
        /// Revoke the approval of the plugin with this ID
        plugin: String,
    },
    /// Check plugins, grants and settings, and show how to fix what is wrong
    ///
    /// Also names programs and files that are missing on this host: podman, skopeo, policy.json.
    ///
    /// The exit code is 78 if anything is wrong.
    #[command(after_long_help = DOCTOR_EXAMPLES)]
    Doctor {
        /// Check only the plugin with this ID
        plugin: Option<String>,
    },
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    version: String,
    kind: &'static str,
    /// Whether it runs with full authority.
    native: bool,
    /// Whether operations are denied while it is not available.
    mandatory: bool,
    place: &'static str,
    state: &'static str,
    reason: String,
}

impl Plugin {
    /// Whether it changes nothing.
    pub(super) fn only_looks(&self) -> bool {
        !matches!(self.action, Action::Approve { .. } | Action::Revoke { .. })
    }

    pub(super) fn run(self, session: &Session<'_>) -> Result<u8, Failure> {
        let Session { ui, settings, plugins } = *session;
        match self.action {
            Action::List { format } => list(ui, settings, plugins, format),
            Action::Show { plugin } => show(ui, settings, plugins, &plugin),
            Action::Approve { plugin, mandatory } => approve(session, plugin, mandatory),
            Action::Revoke { plugin } => revoke(session, plugin),
            Action::Doctor { plugin } => doctor(ui, settings, plugins, plugin.as_deref()),
        }
    }
}

pub(super) fn show_approved(ui: &Ui, Granted { grant, file }: &Granted) -> Result<u8, Failure> {
    let native = if grant.native {
        "This plugin is native code: it runs without a sandbox, with all rights of the user who starts bootc-image.\n"
    } else {
        ""
    };
    let granted = grant.capabilities.iter().map(|capability| format!("Granted: {capability}\n"));
    let granted = sanitize::lines(&granted.collect::<String>());
    let (plugin, sha256, file) = (&grant.plugin, &grant.sha256, file.display());
    let mandatory = if grant.mandatory {
        "This policy is mandatory: while it is missing, every operation except `list` is denied.\n"
    } else {
        ""
    };
    ui.text(&format!("Approved: {plugin} {sha256} in {file}\n{native}{mandatory}{granted}"))
}

pub(super) fn show_revoked(ui: &Ui, Revoked { plugin, file }: &Revoked) -> Result<u8, Failure> {
    ui.text(&format!("Revoked: {plugin}, removed {}\n", file.display()))
}

fn approve(session: &Session<'_>, plugin: String, mandatory: bool) -> Result<u8, Failure> {
    let Session { ui, settings, plugins } = *session;
    let again = format!("bootc-image plugin approve --mandatory {plugin}");
    let doctor = format!("bootc-image plugin doctor {plugin}");
    let answer = session.run(&Request::ApprovePlugin(approve_plugin::Request { plugin, mandatory }))?;
    let grant = match &answer {
        Answer::Done(Report::Approved(Granted { grant, .. })) => Some(grant.clone()),
        _ => None,
    };
    let code = super::show(ui, plugins, answer, &ListFormat::default())?;
    // Nothing was approved: it was a dry run, or the OS image approves the plugin already.
    let Some(grant) = grant else { return Ok(code) };
    ui.note(&match (grant.native, plugins.runs_native_code()) {
        (false, _) => format!("check the settings of this plugin with: {doctor}"),
        (true, true) => format!("check that this plugin loads with: {doctor}"),
        (true, false) => "the plugin does not run yet, because native extensions are disabled on this host; \
                          to enable them, set [native] enabled = true in the configuration"
            .to_owned(),
    });
    let is_mandatory = grant.mandatory || settings.configuration.mandatory.contains(&grant.plugin);
    if grant.role == Role::Policy && !is_mandatory {
        ui.note(&format!(
            "if this policy is ever missing, operations run without it; to deny them instead, except `list`, run: {again}"
        ));
    }
    Ok(code)
}

fn revoke(session: &Session<'_>, plugin: String) -> Result<u8, Failure> {
    let Session { ui, plugins, .. } = *session;
    let answer = session.run(&Request::RevokePlugin(revoke_plugin::Request { plugin }))?;
    let revoked = match &answer {
        Answer::Done(Report::Revoked(Revoked { plugin, .. })) => Some(plugin.clone()),
        _ => None,
    };
    let code = super::show(ui, plugins, answer, &ListFormat::default())?;
    // A policy that the OS image approves, too, may now be enabled by that approval.
    if let Some(policy) = revoked.and_then(|plugin| plugins.disabled_policy(&plugin)) {
        let (id, directory, place) = (&policy.manifest.id, &policy.origin, place(&policy));
        let remove = match policy.place {
            Some(Place::Image) => "",
            _ => "remove this directory or ",
        };
        ui.note(&format!(
            "policy {id} is still installed in {directory} but no longer approved, so every operation that it judges is denied; \
             to stop that, {remove}mask the policy in the configuration with \
             policy.masked = [{{ id = \"{id}\", place = \"{place}\" }}]"
        ));
    }
    Ok(code)
}

/// The policies that the configuration or a grant makes mandatory.
fn mandatory(settings: &Settings, plugins: &PluginSet) -> Vec<PluginId> {
    [settings.configuration.mandatory.clone(), plugins.mandatory()].concat()
}

/// Reports which grants and plugin directories cannot be read, and returns the exit code if there are any.
fn report_problems(ui: &Ui, plugins: &PluginSet) -> Option<u8> {
    let problems = plugins
        .look()
        .problems
        .iter()
        .cloned()
        .map(|problem| exit::of_error(ui, &Error::from(problem).into()));
    problems.last()
}

fn place(plugin: &Found) -> &'static str {
    plugin.place.map_or("built-in", |place| place.name())
}

fn lines(settings: &Settings, plugins: &PluginSet) -> Vec<Line> {
    let inventory = plugins.look();
    let mandatory = mandatory(settings, plugins);
    let good = inventory.plugins.values().map(|plugin| {
        let (state, reason) = match &plugin.standing {
            Status::Enabled => match plugins.mismatch(plugin) {
                None => ("enabled", String::new()),
                Some(why) => ("broken", why),
            },
            Status::Disabled { reason, .. } => ("disabled", reason.clone()),
        };
        let component = &plugin.manifest.component;
        let (kind, native) = (component.world.kind(), component.native);
        let (id, version) = (plugin.manifest.id.to_string(), plugin.manifest.version.to_string());
        let mandatory = is_mandatory(&mandatory, &id);
        Line { id, version, kind, native, mandatory, place: place(plugin), state, reason }
    });
    let other = |id: &String, state, reason: &str| Line {
        id: id.clone(),
        version: String::new(),
        kind: "",
        native: false,
        mandatory: is_mandatory(&mandatory, id),
        place: "",
        state,
        reason: reason.to_owned(),
    };
    let broken = inventory.broken.iter().map(|broken| other(&broken.id, "broken", &broken.reason));
    let masked = inventory.masked.iter().map(|masked| {
        let by = masked.by.as_ref().map(|by| format!(", by the link {} to /dev/null", by.display()));
        let reason = format!("{}{}", masked.directory.display(), by.unwrap_or_default());
        other(&masked.id, "masked", &reason)
    });
    let missing = plugins.missing();
    let missing = missing.iter().map(|(id, reason)| other(&id.to_string(), "missing", reason));
    let mut lines: Vec<Line> = good.chain(broken).chain(masked).chain(missing).collect();
    lines.sort_by(|a, b| a.id.cmp(&b.id));
    lines
}

fn is_mandatory(mandatory: &[PluginId], id: &str) -> bool {
    mandatory.iter().any(|mandatory| mandatory.as_str() == id)
}

fn list(ui: &Ui, settings: &Settings, plugins: &PluginSet, format: Format) -> Result<u8, Failure> {
    let lines = lines(settings, plugins);
    ui.data(|out| match format {
        Format::Json => render::json(&lines, out),
        Format::Table => {
            let rows = lines.into_iter().map(|line| {
                let mandatory = if line.mandatory { "mandatory " } else { "" };
                let native = if line.native { "native " } else { "" };
                let texts = [
                    line.version,
                    format!("{mandatory}{native}{}", line.kind).trim_end().to_owned(),
                    line.place.to_owned(),
                    line.state.to_owned(),
                ];
                let [version, kind, place, state] =
                    texts.map(|text| if text.is_empty() { "-".to_owned() } else { text });
                [line.id, version, kind, place, state, line.reason]
            });
            render::columns(["ID", "VERSION", "KIND", "PLACE", "STATUS", "REASON"], rows, out)
        }
    })?;
    for missed in plugins.examine_missed() {
        ui.note(&format!("{}: {}", missed.what, missed.fix));
    }
    note_ignored(ui, plugins);
    for hidden in plugins.hidden() {
        ui.note(&hidden.what());
        if hidden.is_missed() && !hidden.masked {
            ui.note(&format!("to bring back what is no longer in effect: {}", hidden.fix()));
        }
    }
    Ok(report_problems(ui, plugins).unwrap_or(OK))
}

/// Notes what is ignored on purpose, or by rule. None of it is a problem.
fn note_ignored(ui: &Ui, plugins: &PluginSet) {
    for ignored in &plugins.look().ignored {
        let directory = ignored.directory.display();
        ui.note(&sanitize::sanitize(&format!("{directory} is not a plugin and is ignored: {}", ignored.why)));
    }
    for joined in plugins.joined_settings() {
        ui.note(&joined);
    }
}

fn show(ui: &Ui, settings: &Settings, plugins: &PluginSet, id: &str) -> Result<u8, Failure> {
    // Reported first: a plugin that seems to be missing may be in a directory that cannot be read.
    let problems = report_problems(ui, plugins);
    let plugin = plugins.look_for(id)?;
    let manifest = &plugin.manifest;
    let component = &manifest.component;
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:12}{value}");
    };
    line("id", manifest.id.as_str());
    line("version", &manifest.version.to_string());
    let kind = component.world.kind();
    if component.native {
        line(
            "kind",
            &format!("native {kind} (bootc_image_extension.h {}): runs without a sandbox", manifest.api),
        );
    } else {
        line("kind", &format!("{kind} ({}, api {})", component.world.name(), manifest.api));
    }
    line("place", &format!("{} ({})", place(plugin), plugin.origin));
    let mismatch = plugins.mismatch(plugin);
    match (&mismatch, &component.sha256, plugin.place) {
        (Some(why), ..) => line(component.what(), why),
        (None, Some(digest), Some(_)) => line(component.what(), &format!("{} {digest}", component.file)),
        (None, ..) => line(component.what(), &format!("{} (built in)", component.file)),
    }
    line("manifest", &plugin.manifest_sha256);
    match &plugin.standing {
        Status::Enabled if mismatch.is_some() => {
            line("status", &format!("broken: the manifest and the {} do not match", component.what()));
        }
        Status::Enabled => line("status", "enabled"),
        Status::Disabled { reason, fix } => {
            line("status", &format!("disabled: {reason}"));
            // Whoever reads this is reviewing it.
            let review = format!("review it with: bootc-image plugin show {id}; then ");
            line("", fix.strip_prefix(&review).unwrap_or(fix));
        }
    }
    if is_mandatory(&mandatory(settings, plugins), id) {
        line("mandatory", "while this policy is missing, every operation except `list` is denied");
    }
    if component.world == World::PolicyValidator {
        let early = if component.before_lookup { "; called before names are resolved, too" } else { "" };
        line("judges", &format!("{}{early}", component.when));
    }
    for command in &manifest.commands {
        line("command", &format!("{} {}: {}", command.name, command.args, command.summary));
    }
    for format in &manifest.formats {
        let columns: Vec<&str> = format.columns.iter().map(|column| column.name()).collect();
        line(
            "format",
            &format!("{}: {}; gets the columns {}", format.spelling(), format.summary, columns.join(", ")),
        );
    }
    if manifest.capabilities.is_empty() {
        line("requests", "no capabilities");
    }
    for wanted in &manifest.capabilities {
        line("requests", &format!("{}: {}", wanted.capability, wanted.reason));
    }
    if plugin.place.is_none() {
        for capability in plugins.granted(&manifest.id) {
            line("granted", &capability.to_string());
        }
    }
    let code = ui.text(&sanitize::lines(&text))?;
    Ok(problems.unwrap_or(code))
}

fn doctor(ui: &Ui, settings: &Settings, plugins: &PluginSet, only: Option<&str>) -> Result<u8, Failure> {
    let problems = report_problems(ui, plugins);
    if let Some(only) = only {
        // An unknown ID must not be reported as free of problems.
        let known = lines(settings, plugins).iter().any(|line| line.id == only);
        let is_missed = plugins.missed().iter().any(|missed| missed.plugin.as_str() == only);
        if !known && !is_missed {
            plugins.look_for(only)?;
        }
    }
    if only.is_none() {
        note_ignored(ui, plugins);
        for hidden in plugins.hidden().iter().filter(|hidden| hidden.masked) {
            ui.note(&hidden.what());
        }
    }
    let findings = plugins.examine(only, &settings.subject);
    // A check that was interrupted must not be reported as a problem.
    processes::check_interrupted()?;
    let lacking = if only.is_none() { lacking() } else { Vec::new() };
    if findings.is_empty() && lacking.is_empty() && problems.is_none() {
        return ui.text("no problems found\n");
    }
    let mut text = String::new();
    for Lacking { name, what, fix } in &lacking {
        let _ = writeln!(text, "{name}: {what}\n  fix: {fix}");
    }
    for finding in &findings {
        let _ = writeln!(text, "{}: {}\n  fix: {}", finding.about, finding.what, finding.fix);
    }
    ui.text(&sanitize::lines(&text))?;
    Ok(UNUSABLE)
}
