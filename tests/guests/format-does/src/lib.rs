//! Does what its setting `do` says: the ways in which a format can misuse its cursor and its output.

use std::sync::atomic::{AtomicU32, Ordering};

use bootc_image_plugin_sdk::bindings::output::export_output;
use bootc_image_plugin_sdk::format::{Cursor, Guest};
use bootc_image_plugin_sdk::{Attr, Problem, config};

/// How often something was written after the end.
static WRITTEN: AtomicU32 = AtomicU32::new(0);

struct Does;

impl Guest for Does {
    #[expect(clippy::panic, reason = "it is what this guest is for")]
    fn begin(name: String, columns: Vec<String>, options: Vec<Attr>) -> Result<Vec<u8>, Problem> {
        match what().as_str() {
            "panic-at-first" => panic!("no list"),
            "problem-at-first" => Err(config::problem("do", "it cannot\u{1b}[1m begin")),
            "long-head" => Ok(vec![b'x'; 2 << 20]),
            "loop-at-first" => loop {
                std::hint::black_box(());
            },
            _ => {
                let options: Vec<String> = options
                    .iter()
                    .filter(|option| option.key == "terminal")
                    .map(|option| format!("{}={}", option.key, option.value))
                    .collect();
                Ok(format!("{name} {} {}\n", columns.join(","), options.join(",")).into_bytes())
            }
        }
    }

    #[expect(clippy::panic, reason = "it is what this guest is for")]
    fn chunk(rows: &Cursor) -> Result<Option<Vec<u8>>, Problem> {
        let what = what();
        match what.as_str() {
            "stand-still" => return Ok(Some(Vec::new())),
            "panic-within" => panic!("no more"),
            "problem-within" => return Err(config::problem("do", "it cannot go on")),
            "loop-within" => loop {
                std::hint::black_box(());
            },
            "stop-early" => return Ok(None),
            "long-piece" => {
                let piece = (WRITTEN.fetch_add(1, Ordering::Relaxed) == 0).then(|| vec![b'x'; 2 << 20]);
                return Ok(piece);
            }
            // Whatever the cursor says.
            "never-stop" => return Ok(Some(vec![b'x'; 1 << 10])),
            // A lot, but not for ever: reading on to the end, and then some more.
            "after-the-end" => {
                while rows.next(0).count > 0 {}
                let written = WRITTEN.fetch_add(1, Ordering::Relaxed);
                return Ok((written < 3000).then(|| vec![b'x'; 1 << 10]));
            }
            "read-on" => (0..1000).for_each(|_| drop(rows.next(1))),
            _ => {}
        }
        // One at a time, or as many as there are.
        let chunk = rows.next(if what == "one-by-one" { 1 } else { u32::MAX });
        if chunk.count == 0 {
            return Ok(None);
        }
        let mut out = format!("{} rows, {} ends: ", chunk.count, chunk.ends.len()).into_bytes();
        out.extend_from_slice(&chunk.data);
        if what == "escapes" {
            out.extend_from_slice("\u{1b}[2J\u{202e}\r\u{9b}".as_bytes());
            out.push(0xff);
        }
        if what == "colour" {
            out.extend_from_slice(b"\x1b[31mred\x1b[0m\x1b[2J");
        }
        out.push(b'\n');
        Ok(Some(out))
    }
}

fn what() -> String {
    config::get("do").unwrap_or_default().trim_matches('"').to_owned()
}

#[cfg(target_arch = "wasm32")]
export_output!(Does);
