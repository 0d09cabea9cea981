//! Under the name `bootc` (D10.5): `bootc image` is ours, everything else is the real bootc's. The name is never installed;
//! a site that wants it makes a link.

use std::ffi::OsString;
use std::path::Path;

use bootc_image_os::children;
use rustix::process::Rlimit;

use crate::exit::{self, Failure};
use crate::start;
use crate::ui::Ui;

/// The name that we were started under.
const NAME: &str = "bootc";

/// What is left of the arguments for us, with our own name in front. Doesn't return if they are the real bootc's.
pub(crate) fn ours(mut arguments: Vec<OsString>, core_limit: Rlimit) -> Result<Vec<OsString>, u8> {
    if arguments.first().and_then(|program| Path::new(program).file_name()).is_none_or(|name| name != NAME) {
        return Ok(arguments);
    }
    if arguments.get(1).is_some_and(|word| word == "image") {
        arguments.remove(0);
        return Ok(arguments);
    }
    start::give_back(core_limit);
    let error = children::become_bootc(arguments.into_iter().skip(1));
    Err(exit::of_error(&Ui::new(false), &Failure::from(error)))
}
