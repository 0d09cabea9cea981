//! Compares the version of the WIT packages for which a component was built with the version that this host provides. Versions are
//! compatible if they have the same major and minor number, from 1.0 on if they have the same major number: such versions only add.

use bootc_image_manifest::API_VERSION;
use semver::Version;
use wasmtime::Engine;
use wasmtime::component::Component;

/// A component that was built for an incompatible version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it was built for version {wanted} of the plugin interface ({interface}), but this host provides {API_VERSION}: {}",
    fix(wanted)
)]
pub(super) struct OtherVersion {
    /// The first incompatible interface, with its version.
    interface: String,
    wanted: Version,
}

/// What to do about a component that was built for this version.
fn fix(wanted: &Version) -> &'static str {
    if *wanted > API_VERSION {
        "install a newer bootc-image"
    } else {
        "install a newer version of the plugin"
    }
}

/// Refuses a component that imports or exports one of our interfaces in an incompatible version.
pub(super) fn check(engine: &Engine, component: &Component) -> Result<(), OtherVersion> {
    let shape = component.component_type();
    let imports = shape.imports(engine).map(|(name, _)| name.to_owned());
    let exports = shape.exports(engine).map(|(name, _)| name.to_owned());
    let other = imports.chain(exports).find_map(|interface| {
        let wanted = of_ours(&interface).filter(|wanted| !fits(wanted, &API_VERSION))?;
        Some(OtherVersion { interface, wanted })
    });
    other.map_or(Ok(()), Err)
}

/// Explains why a compatible host may lack a function of this interface: the component was built for a newer version.
pub(super) fn newer(interface: &str) -> Option<String> {
    let wanted = of_ours(interface).filter(|wanted| *wanted > API_VERSION)?;
    Some(format!(
        "; it was built for version {wanted}, but this host provides {API_VERSION}: {}",
        fix(&wanted)
    ))
}

/// The version of an interface, if it is one of ours.
fn of_ours(interface: &str) -> Option<Version> {
    let (_, version) = interface.strip_prefix("bootc-image:")?.split_once('@')?;
    Version::parse(version).ok()
}

fn fits(wanted: &Version, offered: &Version) -> bool {
    let same_pre = wanted.pre == offered.pre;
    same_pre && wanted.major == offered.major && (wanted.major > 0 || wanted.minor == offered.minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn minors_break_before_1_0_and_add_from_then_on() {
        for (wanted, offered, expected) in [
            ("0.1.0", "0.1.0", true),
            ("0.1.3", "0.1.0", true),
            ("0.2.0", "0.1.0", false),
            ("0.1.0", "0.2.1", false),
            ("1.0.0", "0.1.0", false),
            ("1.3.0", "1.0.2", true),
            ("2.0.0", "1.9.0", false),
            ("0.1.0-pre", "0.1.0", false),
        ] {
            assert_eq!(fits(&version(wanted), &version(offered)), expected, "{wanted} {offered}");
        }
    }

    #[test]
    fn both_sides_and_what_to_do_are_named() {
        let of = |interface: &str| OtherVersion {
            interface: interface.to_owned(),
            wanted: of_ours(interface).unwrap(),
        };
        assert_eq!(
            of("bootc-image:host/log@0.9.0").to_string(),
            "it was built for version 0.9.0 of the plugin interface (bootc-image:host/log@0.9.0), but this host provides \
             0.1.0: install a newer bootc-image"
        );
        let older = of("bootc-image:host/log@0.0.3").to_string();
        assert!(
            older.ends_with("this host provides 0.1.0: install a newer version of the plugin"),
            "{older}"
        );
        assert_eq!(newer("bootc-image:host/log@0.1.0"), None);
        assert!(
            newer("bootc-image:host/log@0.1.4").is_some_and(|text| text.contains("built for version 0.1.4"))
        );
        assert_eq!(of_ours("wasi:cli/exit@0.2.0"), None);
    }
}
