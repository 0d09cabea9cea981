//! The only module that starts programs, so that each gets a clean environment, is found in fixed directories, and inherits no
//! descriptors except those that it is given.
//!
//! - `programs`: which programs there are, and where
//! - `child`: what a process is given; `start`: how that is set up between fork and exec
//! - `attend`: waiting until it has exited; `signals`: signals that ask us to terminate
//! - `helper`, [`native`]: bootc-image's own programs

mod attend;
mod helper;
pub mod native;
mod process;
mod programs;
mod signals;
mod start;

pub use attend::{MAX_OUTPUT, exit_code};
pub use helper::{compile, is_uncompilable};
pub use process::{PROXY_VARIABLES, Process};
pub use programs::{Own, Program, become_bootc, how_to_install};
pub use signals::{check_interrupted, record_signals, survive_file_limits, unblock_signals};
