//! Hits one system call of a command; see `bootc_image_tests::faults::injector`.

fn main() -> std::process::ExitCode {
    bootc_image_tests::faults::injector::main()
}
