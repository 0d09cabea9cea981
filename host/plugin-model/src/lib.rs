//! The requests to plugins and their answers, as plain values, each defined once.
//!
//! | value | made by | for |
//! |---|---|---|
//! | [`Operation`], [`Image`], [`Reference`] | the host, of an operation before it runs (`host/core/src/ops/seen.rs`) | policies |
//! | [`List`] | the host, of `list --format` | formatters |
//! | [`Verdict`], [`Decision`] | policies | the host |
//! | [`Plan`], [`Failure`] | commands | the host |
//! | [`Denial`], [`Problem`] | plugins of every role | the host |
//! | [`Level`] | native extensions | the host's log |
//!
//! `bootc-image-extension` publishes them to vendors who write in Rust, so a change here changes their API. The structs of the C
//! header (`extension-sdk/src/abi.rs`) and the records of `wit/` define the same values for other languages, and must follow.
//! `bootc-image-native-protocol` sends these values as JSON; the feature `serde` is for that.
//!
//! Digests are `sha256:` and 64 lower-case hexadecimal digits. A newer host may add members to an open set: a policy needs a default
//! decision for them. The host sanitises texts from plugins where it receives them (`host/engine/src/run/answers.rs`), not here.

#![warn(missing_docs)]

mod answer;
mod list;
mod operation;
mod role;

pub use answer::{Decision, Denial, Failure, Level, Plan, Problem, Verdict};
pub use list::List;
pub use operation::{Image, ImageRole, Operation, Reference};
pub use role::PluginRole;

/// A key and its value.
pub type Pair<Key = String> = (Key, String);

fn find<'a, Key: AsRef<str>>(pairs: &'a [Pair<Key>], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known.as_ref() == key).map(|(_, value)| value.as_str())
}
