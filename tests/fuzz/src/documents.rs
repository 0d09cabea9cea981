//! TOML that administrators and authors of plugins write.

use std::path::Path;

use bootc_image_engine::configuration::Configuration;
use bootc_image_engine::places::Place;
use bootc_image_manifest::Manifest;
use bootc_image_manifest::strict::Diagnostic;
use bootc_image_model::policy_input::{Image, Name, PolicyInput, Role};

use crate::assert_harmless;

/// A manifest is read or complained of, and what it is asked about can be compared in little time.
pub(crate) fn manifest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Manifest::parse(text) {
        Ok(manifest) => {
            // Of a long list each pattern is short.
            manifest.component.when.to_string().split(", ").for_each(assert_harmless);
            manifest.component.when.concerns(&policy_input());
        }
        Err(diagnostic) => told(text, &diagnostic),
    }
}

/// A configuration is read or complained of.
pub(crate) fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut configuration = Configuration::default();
    if let Err(diagnostic) = configuration.add(text) {
        told(text, &diagnostic);
    }
}

/// Grants are read or complained of, and only those of the OS image may leave out what they are about.
pub(crate) fn grants(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let file = Path::new("/etc/bootc-image/grants.d/a.toml");
    let (image, site) =
        [Place::Image, Place::Site].map(|place| bootc_image_engine::grants::parse(text, place, file)).into();
    match (image, site) {
        (Ok(image), Ok(site)) => {
            assert_eq!(image.len(), site.len());
            assert!(site.iter().all(|grant| grant.sha256().is_some() && grant.manifest().is_some()));
        }
        (Ok(_), Err(diagnostic)) => told(text, &diagnostic),
        (Err(image), Err(site)) => {
            told(text, &image);
            told(text, &site);
        }
        (Err(diagnostic), Ok(_)) => panic!("the OS image may do more, not less: {diagnostic}"),
    }
}

/// A complaint is harmless, and its line is one of the text.
fn told(text: &str, diagnostic: &Diagnostic) {
    let message = diagnostic.to_string();
    assert_harmless(&message);
    if let Some(line) = message.strip_prefix("line ").and_then(|rest| rest.split([':', ',']).next()) {
        let line: usize = line.parse().expect("a number");
        assert!((1..=text.lines().count() + 1).contains(&line), "{message}");
    }
}

/// Long enough that a pattern which takes exponential time would show.
fn policy_input() -> PolicyInput {
    let repository = "a/".repeat(60) + &"x".repeat(120) + "/z";
    let name = Name::unusual(&format!("registry.example/{repository}"));
    let image = Image { role: Role::Source, name: Some(name), digest: None, attrs: Vec::new() };
    PolicyInput {
        kind: "cmd pull".to_owned(),
        argv: Vec::new(),
        images: vec![image],
        digest: String::new(),
        attrs: Vec::new(),
    }
}
