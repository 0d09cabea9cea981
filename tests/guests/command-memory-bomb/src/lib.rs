//! Takes memory until there is none.

use bootc_image_plugin_sdk::command::{Command, Plan};
use bootc_image_plugin_sdk::{Failure, export_command};

struct MemoryBomb;

impl Command for MemoryBomb {
    fn plan(_name: &str, _args: &[String]) -> Result<Plan, Failure> {
        let mut hoard = Vec::new();
        loop {
            hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
        }
    }
}

export_command!(MemoryBomb);
