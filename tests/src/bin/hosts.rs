//! Prunes generated hosts: `hosts [NUMBER [FIRST]]`, a thousand from seed 0 unless told. With BOOTC_IMAGE_MACHINE it is done with
//! that machine's programs; only newer ones have Quadlet.

use bootc_image_tests::hosts;

fn main() {
    let number = |at: usize, default: u64| {
        std::env::args().nth(at).map_or(default, |text| text.parse().expect("a number"))
    };
    let (hosts, first) = (number(1, 1000), number(2, 0));
    let with = if hosts::have_quadlet() { "with Quadlet" } else { "without Quadlet" };
    // Two at once: each waits for podman most of the time.
    let middle = first + hosts / 2;
    let halves = std::thread::scope(|scope| {
        let running = [first..middle, middle..first + hosts].map(|seeds| scope.spawn(|| hosts::run(seeds)));
        running.map(|half| half.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    println!("seeds {first} to {} {with}: {halves:?}", first + hosts - 1);
}
