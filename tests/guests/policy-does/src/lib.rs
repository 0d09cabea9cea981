//! Does what its setting `do` says: the ways in which a policy can decide, fail and misbehave.

use std::sync::atomic::{AtomicU8, Ordering};

use bootc_image_plugin_sdk::config::{self, Settings};
use bootc_image_plugin_sdk::policy::{Operation, Policy, Verdict};
use bootc_image_plugin_sdk::{Attr, Problem, export_policy, export_settings, log};
use serde_json::json;

struct Does;

impl Policy for Does {
    fn evaluate(operation: &Operation) -> Result<Verdict, Problem> {
        let what = config::get("do").unwrap_or_default();
        match what.trim_matches('"') {
            "" | "allow" => {
                Ok(Verdict::allow(format!("{} is fine", operation.kind)).with_attr("rule", "all"))
            }
            "deny" => Ok(Verdict::deny("not-today", "nothing is allowed today").with_hint("try tomorrow")),
            "deny-unresolved" if !operation.resolved() => Ok(Verdict::deny("too-early", "not even resolved")),
            "deny-unresolved" => Ok(Verdict::allow("late")),
            "deny-sudo" => Ok(match operation.attr("caller.via") {
                Some(via) => Verdict::deny("not-by-others", format!("{via} is not enough")),
                None => Verdict::allow(""),
            }),
            "problem" => Err(config::problem("do", "it cannot decide")),
            "problem-escapes" => {
                let mut problem = config::problem("k\u{1b}[1m", "p\u{1b}[2Jq\u{202e}");
                problem.hint = Some("h\u{9b}31m".to_owned());
                Err(problem)
            }
            "log" => {
                log::warn("the policy says \u{1b}[31mred\u{1b}[0m");
                Ok(Verdict::allow("logged"))
            }
            "escapes" => Ok(Verdict::deny("Not A Code", "a\u{1b}[2Jb\nbootc-image: allowed\u{202e}")
                .with_hint("c\u{7}d")
                .with_attr("k\u{1b}", "v\u{9b}")),
            "blanks" => {
                let message = format!("no{}allowed by every policy", " ".repeat(200));
                Ok(Verdict::deny("blanks", message))
            }
            "panic" => panic_with("no verdict\u{1b}[31m"),
            "loop" => loop {
                std::hint::black_box(());
            },
            "recurse" => Ok(Verdict::allow(deeper(1).to_string())),
            "memory" => Ok(Verdict::allow(hoard().to_string())),
            "log-bomb" => {
                (0..500).for_each(|_| log::error("x".repeat(1000)));
                Ok(Verdict::allow("logged"))
            }
            "read-bomb" => {
                let key = "x".repeat(100 << 10);
                let found = (0..80).filter(|_| config::get(&key).is_some()).count();
                Ok(Verdict::allow(format!("found {found}")))
            }
            "call-loop" => loop {
                std::hint::black_box(log::enabled(log::Level::Info));
            },
            "trap" => trap(),
            "remember" => Ok(remembered()
                .map_or_else(|| Verdict::allow("as new"), |what| Verdict::deny("remembered", what))),
            "huge-reason" => Ok(Verdict::allow("x".repeat(100 << 10))),
            "huge-answer" => Ok(Verdict::allow("x".repeat(5 << 20))),
            "many-attrs" => {
                let mut verdict = Verdict::allow("");
                let attr = |n: u32| Attr { key: format!("k{n}"), value: String::new() };
                verdict.attrs = (0..1000).map(attr).collect();
                Ok(verdict)
            }
            "tell" => Ok(tell(Verdict::allow(""), operation)),
            // As good as at random, and always the same of one operation.
            "tell-some" if operation.digest.ends_with(['0', '1', '2', '3', '4', '5', '6', '7']) => {
                Ok(tell(Verdict::deny("not-this-one", "this one isn't allowed"), operation))
            }
            "tell-some" => Ok(tell(Verdict::allow(""), operation)),
            other => Err(config::problem("do", format!("{other:?} isn't known"))),
        }
    }
}

impl Settings for Does {
    fn check(json: &str) -> Result<(), Vec<Problem>> {
        let settings: serde_json::Value =
            serde_json::from_str(json).map_err(|error| vec![config::problem("", error.to_string())])?;
        let keys = settings.as_object().into_iter().flatten().map(|(key, _)| key);
        let unknown: Vec<Problem> =
            keys.filter(|key| *key != "do").map(|key| config::problem(key, "unknown key")).collect();
        if unknown.is_empty() { Ok(()) } else { Err(unknown) }
    }
}

/// A verdict whose attributes are all that the policy is shown, as JSON: the audit record has them then.
fn tell(verdict: Verdict, operation: &Operation) -> Verdict {
    let attrs = |attrs: &[Attr]| {
        let pair = |attr: &Attr| (attr.key.clone(), attr.value.clone().into());
        serde_json::Value::Object(attrs.iter().map(pair).collect())
    };
    let told = verdict
        .with_attr("kind", &operation.kind)
        .with_attr("argv", json!(operation.argv).to_string())
        .with_attr("digest", &operation.digest)
        .with_attr("attrs", attrs(&operation.attrs).to_string())
        // Whoever reads this notices if one is missing.
        .with_attr("images", operation.images.len().to_string());
    operation.images.iter().enumerate().fold(told, |told, (number, image)| {
        let name = image.name.as_ref().map(|name| {
            json!({
                "canonical": name.canonical,
                "transport": name.transport,
                "registry": name.registry,
                "repository": name.repository,
                "tag": name.tag,
                "digest": name.digest,
            })
        });
        let shown =
            json!({"role": image.role, "name": name, "digest": image.digest, "attrs": attrs(&image.attrs)});
        told.with_attr(format!("image {number}"), shown.to_string())
    })
}

#[expect(clippy::panic, reason = "it is what this guest is for")]
fn panic_with(words: &str) -> ! {
    panic!("{words}")
}

#[expect(unconditional_recursion, reason = "it is what this guest is for")]
fn deeper(depth: u64) -> u64 {
    std::hint::black_box(deeper(std::hint::black_box(depth) + 1)) + 1
}

/// As much as a host could take that sets no limit.
fn hoard() -> usize {
    let mut all = Vec::new();
    for _ in 0..300 {
        all.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&all);
    }
    all.len()
}

#[cfg(target_arch = "wasm32")]
fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn trap() -> ! {
    std::process::abort()
}

/// What is left of an earlier run: in data that began as zero, in data that didn't, and behind the memory's first end.
fn remembered() -> Option<&'static str> {
    static ZEROS: [AtomicU8; 1 << 16] = [const { AtomicU8::new(0) }; 1 << 16];
    static OTHERS: [AtomicU8; 1 << 16] = [const { AtomicU8::new(7) }; 1 << 16];
    let changed = |all: &[AtomicU8], expected| {
        // All of them are overwritten, whatever was found.
        all.iter().filter(|byte| byte.swap(0xa5, Ordering::Relaxed) != expected).count() > 0
    };
    let (zeros, others) = (changed(&ZEROS, 0), changed(&OTHERS, 7));
    let grown = new_memory().iter().any(|byte| byte.swap(0xa5, Ordering::Relaxed) != 0);
    [(zeros, "zeros"), (others, "data"), (grown, "memory that it asked for")]
        .into_iter()
        .find_map(|(changed, what)| changed.then_some(what))
}

/// Memory that nobody in this instance has used, and that nobody will give back.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "an allocator would give memory that it has cleared")]
fn new_memory() -> &'static [AtomicU8] {
    const PAGES: usize = 8;
    let before = core::arch::wasm32::memory_grow::<0>(PAGES);
    assert_ne!(before, usize::MAX, "no more memory");
    // SAFETY: these pages are there since the call above, belong to nobody, and stay.
    unsafe { std::slice::from_raw_parts((before << 16) as *const AtomicU8, PAGES << 16) }
}

#[cfg(not(target_arch = "wasm32"))]
fn new_memory() -> &'static [AtomicU8] {
    &[]
}

export_policy!(Does);
export_settings!(Does);
