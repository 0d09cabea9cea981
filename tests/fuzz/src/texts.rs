//! What is typed, what plugins say, and what is made of it.

use std::io::Write as _;

use bootc_image_core::canonical::CanonicalOperation;
use bootc_image_core::ops::{Operation, cmd, copy_to_storage};
use bootc_image_grammar::{Command, FlagValue};
use bootc_image_model::digest::{Commit, Digest};
use bootc_image_model::image::{CommandImage, CopySource, HostImage, LocalImage};
use bootc_image_model::plugin::PluginId;
use bootc_image_model::reference::Reference;
use bootc_image_model::sanitize::{ForTerminal, is_clean, lines, sanitize};
use bootc_image_model::subject::{Caller, Subject};
use serde_json::Value;

/// A subcommand and its arguments, a line each: what is parsed and printed is the same again, and nothing but what the table
/// knows is printed.
pub(crate) fn podman_grammar(input: &[u8]) {
    let Some(words) = words(input) else { return };
    let Some((subcommand, args)) = words.split_first() else { return };
    let Ok(command) = bootc_image_grammar::parse(subcommand, args) else { return };
    let argv = command.argv();
    let table = command.table().expect("it was parsed by one");
    // `rmi` is printed as `rm`, and some have two words.
    let named: Vec<&str> = table.subcommand.split(' ').collect();
    assert_eq!(argv[..named.len()], named);
    assert_eq!(subcommand, if subcommand == "rmi" { subcommand } else { &argv[0] });
    let again = command.again().expect("what was printed is parsed");
    assert_eq!(again, command);
    assert_eq!(again.argv(), argv);
    let end = argv.iter().position(|word| word == "--").unwrap_or(argv.len());
    for word in &argv[named.len()..end] {
        let name = word.strip_prefix("--").and_then(|rest| rest.split('=').next()).expect("an option");
        assert!(table.long(name).is_some(), "{word:?}");
    }
    assert_eq!(
        argv.len() - end,
        if command.operands().is_empty() { argv.len() - end } else { command.operands().len() + 1 }
    );
    for flag in command.flags() {
        if let FlagValue::Text(text) = &flag.value {
            assert!(!text.contains('\0'));
        }
    }
}

/// A reference that is printed means itself, in every way of reading one, and names a registry.
pub(crate) fn reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let of_docker = Reference::of_docker(text);
    let read = [Reference::parse(text), Reference::parse_local(text), of_docker];
    for reference in read.into_iter().flatten() {
        let printed = reference.to_string();
        assert!(printed.is_ascii() && is_clean(&printed) && !printed.contains(' '), "{printed:?}");
        assert_eq!(Reference::parse(&printed).as_ref(), Ok(&reference), "{printed:?}");
        assert!(!reference.registry().is_empty() && !reference.repository().is_empty());
        assert!(!reference.registry().contains('/'), "{printed:?}");
        let pinned = reference.with_digest(Digest::of(b""));
        assert_eq!(Reference::parse(&pinned.to_string()), Ok(pinned));
        let tagged = reference.clone().with_default_tag();
        assert!(tagged.tag().is_some() || tagged.digest().is_some());
    }
}

/// What a terminal gets of a format's output: however it is cut, nothing that it obeys but the looks of text, and those only if
/// that is wanted. The first byte says how it is cut.
pub(crate) fn terminal(input: &[u8]) {
    let Some((size, text)) = input.split_first() else { return };
    let shown = |color: bool, size: usize| {
        let mut out = Vec::new();
        let mut terminal = ForTerminal::new(&mut out, color);
        for piece in text.chunks(size.max(1)) {
            terminal.write_all(piece).expect("memory takes everything");
        }
        terminal.finish().expect("memory takes everything");
        String::from_utf8(out).expect("a terminal gets text")
    };
    let plain = shown(false, usize::from(*size));
    assert!(plain.split(['\n', '\t']).all(is_clean_at_any_length), "{plain:?}");
    let colored = shown(true, usize::from(*size));
    assert_eq!(colored, shown(true, usize::MAX), "it depends on how it is cut");
    let colored = colored.strip_suffix("\u{1b}[0m").expect("it ends as it began");
    for (number, after) in colored.split('\u{1b}').enumerate() {
        let look = after.strip_prefix('[').and_then(|after| after.split_once('m'));
        let is_look = look.is_some_and(|(parameters, _)| {
            parameters.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'))
        });
        assert!(number == 0 || is_look, "{colored:?}");
        assert!(after.split(['\n', '\t']).all(is_clean_at_any_length), "{colored:?}");
    }
}

fn is_clean_at_any_length(line: &str) -> bool {
    let characters: Vec<char> = line.chars().collect();
    // Blanks stay as the formatter laid them out.
    characters.chunks(1024).all(|part| {
        let part: String = part.iter().collect();
        part.is_empty() || lines(&part) == part.clone() + "\n"
    })
}

/// Nothing is left that a terminal obeys or that can't be seen, however often it goes through.
pub(crate) fn sanitiser(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let clean = sanitize(&text);
    assert!(is_clean(&clean), "{clean:?}");
    assert_eq!(sanitize(&clean), clean);
    assert!(!clean.chars().any(|c| c.is_control() || c == '\u{202e}' || c == '\u{200b}'));
    assert!(clean.chars().count() <= text.chars().count());
    assert_eq!(clean == text, is_clean(&text));
    let several = lines(&text);
    assert_eq!(lines(&several), several);
    // The host's own layout stays.
    assert!(!several.lines().any(|line| line.chars().any(char::is_control)));
}

/// One form for one operation: its JSON is canonical, and two operations share one only if they are the same.
pub(crate) fn canonical_form(input: &[u8]) {
    let middle = input.iter().position(|&byte| byte == 0).unwrap_or(input.len());
    let (first, rest) = input.split_at(middle);
    let canonical: Vec<CanonicalOperation> =
        [first, rest.get(1..).unwrap_or_default()].into_iter().filter_map(freeze).collect();
    for one in &canonical {
        let value: Value = serde_json::from_str(one.json()).expect("the canonical form is JSON");
        // Its maps are sorted, and it prints no blanks.
        assert_eq!(serde_json::to_string(&value).expect("a value"), one.json());
        let policy_input = one.policy_input().expect("policies have a say");
        assert_eq!(policy_input.digest, one.digest().as_str());
    }
    if let [one, other] = canonical.as_slice() {
        let same = (one.operation(), one.subject(), one.sysroot(), one.is_resolved())
            == (other.operation(), other.subject(), other.sysroot(), other.is_resolved());
        assert_eq!(same, one.json() == other.json());
        assert_eq!(same, one.digest() == other.digest());
    }
}

/// An operation made of the words: the first says which kind, the second who asks.
fn freeze(input: &[u8]) -> Option<CanonicalOperation> {
    let words = words(input)?;
    let mut rest = words.iter();
    let kind = rest.next()?;
    let subject = Subject::of_caller(&Caller { sudo_uid: rest.next().cloned(), ..Caller::default() });
    let sysroot = rest.next().filter(|path| !path.is_empty()).cloned();
    let words: Vec<String> = rest.cloned().collect();
    let operation = match kind.as_str() {
        "copy" => copy(&words)?,
        "cmd" => cmd(&words)?,
        _ => return None,
    };
    Some(if kind.len() % 2 == 0 {
        CanonicalOperation::new(operation, subject, sysroot)
    } else {
        CanonicalOperation::unresolved(operation, subject, sysroot)
    })
}

fn copy(words: &[String]) -> Option<Operation> {
    let [name, target, ..] = words else { return None };
    let image = HostImage {
        name: name.clone(),
        commit: Commit::new("0".repeat(64)).expect("a commit"),
        manifest_digest: Digest::of(name.as_bytes()),
    };
    Some(Operation::CopyToStorage(copy_to_storage::CopyToStorage {
        source: CopySource::Host(image),
        target: Reference::parse(target).ok()?,
    }))
}

fn cmd(words: &[String]) -> Option<Operation> {
    let (subcommand, args) = words.split_first()?;
    let command: Command = bootc_image_grammar::parse(subcommand, args).ok()?;
    let images = command.operands().iter().filter_map(|operand| Reference::parse(operand).ok());
    let images = images.map(|name| CommandImage::Store {
        names: Vec::new(),
        image: LocalImage {
            id: Digest::of(name.repository().as_bytes()).hex().to_owned(),
            manifest_digest: Digest::of(b""),
        },
        name: Some(name),
    });
    Some(Operation::Cmd(cmd::Cmd {
        invoked: subcommand.clone(),
        plugin: PluginId::new("podman-allowlist").ok()?,
        images: images.collect(),
        pinned: args.len() % 2 == 0,
        command,
    }))
}

fn words(input: &[u8]) -> Option<Vec<String>> {
    Some(std::str::from_utf8(input).ok()?.split('\n').map(str::to_owned).collect())
}
