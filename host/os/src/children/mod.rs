//! The only place where programs are started (D3.14): from an empty environment, found in fixed places, with no
//! descriptors but the ones they are given.
//!
//! - `programs`: which programs there are, and where
//! - `child`: what one is given; `start`: what becomes of that between fork and exec
//! - `attend`: attending to it until it has ended; `signals`: who asks us to end meanwhile
//! - `helper`, [`native`]: programs of our own

mod attend;
mod child;
mod helper;
pub mod native;
mod programs;
mod signals;
mod start;

pub use attend::{MAX_OUTPUT, exit_code};
pub use child::{Child, PROXY_VARIABLES};
pub use helper::{compile, is_uncompilable};
pub use programs::{Own, Program, become_bootc};
pub use signals::{check_not_asked_to_end, heed_signals, survive_file_limits, unblock_signals};
