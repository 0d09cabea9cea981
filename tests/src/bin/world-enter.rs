//! Runs the sandbox that is described on its standard input; see `bootc_image_tests::sandbox`.

fn main() -> std::process::ExitCode {
    bootc_image_tests::sandbox::inside::main()
}
