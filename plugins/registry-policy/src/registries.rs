//! Registries: how they are compared, and which patterns match no registry or registries of other owners.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::globs::{Glob, without_lists};

/// The name under which Docker Hub is compared; it has several.
pub(crate) const HUB: &str = "docker.io";
const OTHER_NAMES_OF_HUB: &[&str] = &["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// The form in which a registry is compared: in lower case, with the shortest spelling of an IPv6 address.
pub(crate) fn compared(mut text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        text.to_mut().make_ascii_lowercase();
    }
    let shortest = ipv6(&text).map(|(address, rest)| format!("[{address}]{rest}"));
    shortest.map_or(text, Cow::Owned)
}

/// Parses a pattern of registries. An IPv6 address in brackets is not a list of characters.
pub(crate) fn registry(text: Cow<'_, str>) -> Result<Glob<'_>, String> {
    let text = compared(text);
    check(&text)?;
    let glob = if ipv6(&text).is_some() { Glob::Plain(text) } else { Glob::new(text)? };
    match glob.plain() {
        Some(plain) if !names_registry(plain) => {
            Err(format!("{plain:?} cannot match: a registry has a dot or a port, or is localhost"))
        }
        Some(plain) if !is_registry(plain) => {
            Err(format!("{plain:?} cannot match: this is not a valid registry name"))
        }
        _ => Ok(glob),
    }
}

/// Checks that a registry can have such a name.
fn check(text: &str) -> Result<(), String> {
    if text.contains('/') {
        return Err(format!(
            "{text:?} cannot match: a registry is HOST or HOST:PORT; put the rest into `repository`"
        ));
    }
    if let (host, Some(port)) = host_and_port(text) {
        let short = port.trim_start_matches('0');
        if short == "443" {
            return Err(format!("{text:?} cannot match: the default port 443 is left out; write {host:?}"));
        }
        if short.len() < port.len() && port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{text:?} cannot match: a port has no leading zeros"));
        }
        if ipv6(text).is_some() && port.contains(['*', '?', '[']) {
            return Err(format!("{text:?} cannot match: after an IPv6 address, write the port in full"));
        }
    }
    if OTHER_NAMES_OF_HUB.contains(&text) {
        return Err(format!("{text:?} cannot match: this registry is called {HUB:?} here"));
    }
    let is_possible = |c: char| c.is_ascii_alphanumeric() || "-.:*?[]!".contains(c);
    if !text.is_empty() && !text.chars().all(is_possible) {
        return Err(format!("{text:?} cannot match: this is not a valid registry name"));
    }
    Ok(())
}

/// Whether the pattern also matches registries of other owners. The owner of the last two labels of a domain name owns all names
/// below it; this does not hold for the numbers of an IP address.
pub(crate) fn is_open(glob: &Glob<'_>) -> bool {
    if glob.plain().is_some() || ["*", "**"].contains(&glob.as_str()) {
        return false;
    }
    let text = without_lists(glob.as_str(), |_| '?');
    let (host, is_wild) = (host_and_port(&text).0, |text: &str| text.contains(['*', '?']));
    let mut labels = host.rsplit('.');
    let is_kept = |label: Option<&str>| label.is_some_and(|label| !label.is_empty() && !is_wild(label));
    let (last, other) = (labels.next(), labels.next());
    is_wild(host) && (last.is_some_and(is_number) || !is_kept(last) || !is_kept(other))
}

/// An example of a registry of another owner that the pattern matches.
pub(crate) fn stranger(glob: &Glob<'_>) -> Option<String> {
    let one_of = |list: &str| list.chars().next_back().filter(|_| !list.starts_with('!')).unwrap_or('9');
    let text = without_lists(glob.as_str(), one_of);
    let (host, port) = host_and_port(&text);
    let port = port.map(|port| format!(":{}", port.replace(['*', '?'], "9"))).unwrap_or_default();
    let ends_openly = host.rsplit('.').next().is_some_and(|last| last.contains('*'));
    let stars: &[&str] = if ends_openly { &[".example.net", "example.net", "9"] } else { &["evil", "9"] };
    let mut named =
        stars.iter().flat_map(|star| ["9", "e"].map(|one| host.replace('*', star).replace('?', one) + &port));
    named.find(|name| glob.matches(name) && names_registry(name) && is_registry(name))
}

/// Whether the first part of an image name counts as a registry.
fn names_registry(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':'])
}

/// Whether it is a host name or an IP address, with an optional port.
fn is_registry(text: &str) -> bool {
    let (host, port) = host_and_port(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address = || host.parse::<Ipv4Addr>().is_ok();
    let is_name =
        host.split('.').all(label) && (!host.rsplit('.').next().is_some_and(is_number) || is_address());
    (is_name || ipv6(text).is_some()) && port.is_none_or(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn host_and_port(text: &str) -> (&str, Option<&str>) {
    let end = ipv6(text).map_or(0, |(_, rest)| text.len() - rest.len());
    match text[end..].find(':') {
        Some(colon) => (&text[..end + colon], Some(&text[end + colon + 1..])),
        None => (text, None),
    }
}

/// The IPv6 address in brackets at the start of a registry, and the rest: its port with the colon, or nothing.
fn ipv6(text: &str) -> Option<(Ipv6Addr, &str)> {
    let (address, rest) = text.strip_prefix('[')?.split_once(']')?;
    let address = address.parse().ok()?;
    (rest.is_empty() || rest.starts_with(':')).then_some((address, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_name_shows_who_owns_it() {
        for (pattern, expected) in [
            ("*", None),
            ("**", None),
            ("quay.io", None),
            ("*.example.com", None),
            ("*.*.example.com", None),
            ("eu-?.[a-c].example.com:5000", None),
            ("example.com:*", None),
            ("localhost:[0-9]000", None),
            ("[::1]:5000", None),
            ("*quay.io", Some("evilquay.io")),
            ("q?ay.io", Some("q9ay.io")),
            ("q[tu]ay.io", Some("quay.io")),
            ("q[!u]ay.io", Some("q9ay.io")),
            ("quay[.x]io.example", Some("quayxio.example")),
            ("quay.io*", Some("quay.io.example.net")),
            ("quay.*", Some("quay.example.net")),
            ("quay.i[no]", Some("quay.io")),
            ("*.io", Some("evil.io")),
            ("*.com:5000", Some("evil.com:5000")),
            ("*.*", Some("example.net.example.net")),
            ("*:5000", Some("example.net:5000")),
            ("*:*", Some("example.net:9")),
            ("127.0.0.*", Some("127.0.0.example.net")),
            ("127.0.0.?:5000", Some("127.0.0.9:5000")),
            ("*.0.0.1", Some("9.0.0.1")),
            // The list of characters contains the colon.
            ("a[b.example.com:]*", Some("a:9")),
        ] {
            let glob = registry(pattern.into()).unwrap();
            assert_eq!(is_open(&glob), expected.is_some(), "{pattern}");
            let example = stranger(&glob).filter(|_| expected.is_some());
            assert_eq!(example.as_deref(), expected, "{pattern}");
            assert!(example.is_none_or(|example| glob.matches(&example)), "{pattern}");
        }
    }

    #[test]
    fn an_address_in_brackets_has_one_spelling() {
        for (pattern, name, expected) in [
            ("[::1]", "[::1]", true),
            ("[0:0:0:0:0:0:0:1]:5000", "[::1]:5000", true),
            ("[::1]:5000", "[0::0:1]:5000", true),
            ("[2001:DB8::0:1]", "[2001:db8::1]", true),
            ("[::1]", "[::1]:5000", false),
            ("[::1]", ":", false),
            ("[::1]", "1", false),
            ("[a-f].example.com", "b.example.com", true),
            ("[::1].example.com", "1.example.com", true),
        ] {
            let name = compared(name.into());
            assert_eq!(registry(pattern.into()).unwrap().matches(&name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn names_that_no_registry_can_have_are_errors() {
        for (pattern, expected) in [
            ("evil", "a dot or a port"),
            ("-a.example", "this is not a valid registry name"),
            ("a..example", "this is not a valid registry name"),
            ("a.example:", "this is not a valid registry name"),
            ("a.example:x", "this is not a valid registry name"),
            ("127.1", "this is not a valid registry name"),
            ("10.0.0.1:05000", "no leading zeros"),
            ("*.example.com:05000", "no leading zeros"),
            ("[0::1]:05000", "no leading zeros"),
            ("quay.io:0443", "write \"quay.io\""),
            ("[0::1]:443", "write \"[::1]\""),
            ("[::1]:*", "write the port in full"),
        ] {
            let told = registry(pattern.into()).unwrap_err();
            assert!(told.contains("cannot match") && told.contains(expected), "{told}");
        }
        for possible in
            ["localhost", "LOCALHOST:5000", "a:1", "127.0.0.1", "a.b", "0x.example", "*.example.com"]
        {
            assert!(registry(possible.into()).is_ok(), "{possible}");
        }
    }
}
