//! ostree-ext's own command line (`container encapsulate`, `container image deploy`, ...), which no distribution
//! packages. The harness makes its worlds with it, so that they don't depend on any code of ours.

use anyhow::Result;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(ostree_ext::cli::run_from_iter(std::env::args_os()))
}
