//! Running under the name `bootc`: we handle `bootc image` and pass everything else to the real bootc. The name is never
//! installed; a site that wants it creates a link.

use std::ffi::OsString;
use std::path::Path;

use bootc_image_os::processes;
use rustix::process::Rlimit;

use crate::called::Called;
use crate::exit::{self, Failure};
use crate::options::LogFormat;
use crate::start;
use crate::ui::Ui;

/// The program name under which this applies.
const NAME: &str = "bootc";

/// Returns our own arguments, with the program name in front. Does not return if the arguments are for the real bootc.
pub(crate) fn ours(mut arguments: Vec<OsString>, core_limit: Rlimit) -> Result<(Vec<OsString>, Called), u8> {
    if arguments.first().and_then(|program| Path::new(program).file_name()).is_none_or(|name| name != NAME) {
        return Ok((arguments, Called::ByOwnName));
    }
    if arguments.get(1).is_some_and(|word| word == "image") {
        arguments.remove(0);
        return Ok((arguments, Called::AsBootc));
    }
    start::give_back(core_limit);
    let error = processes::become_bootc(arguments.into_iter().skip(1));
    Err(exit::of_error(&Ui::new(false, LogFormat::Text, Called::AsBootc), &Failure::from(error)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use crate::called::COMMANDS;
    use crate::commands::Arguments;

    #[test]
    fn every_command_is_known_by_name() {
        let command = Arguments::command();
        let shown = command.get_subcommands().filter(|known| !known.is_hide_set());
        let names: Vec<&str> = shown.map(|known| known.get_name()).chain(["help"]).collect();
        assert_eq!(names, COMMANDS);
    }
}
