//! Each part of a stored image damaged in each way, with both drivers, and healed in each way: `damage [DRIVER]`. The exit code
//! says whether something wasn't whole afterwards.

use std::process::ExitCode;

use bootc_image_tests::damage::{DRIVERS, Sweep};

fn main() -> ExitCode {
    let chosen = std::env::args().nth(1);
    let drivers =
        DRIVERS.into_iter().filter(|driver| chosen.as_deref().is_none_or(|chosen| chosen == *driver));
    let sweeps: Vec<Sweep<'_>> = drivers
        .flat_map(|driver| {
            let sweep = move |first| Sweep { driver, every: 2, first, heals: &["repair", "pull", "copy"] };
            [sweep(0), sweep(1)]
        })
        .collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(sweeps.len());
    let mut failed = false;
    for sweeps in sweeps.chunks(workers) {
        let found: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = sweeps.iter().map(|sweep| (sweep, scope.spawn(|| sweep.run()))).collect();
            running.into_iter().map(|(sweep, found)| (sweep, found.join().expect("a sweep ends"))).collect()
        });
        for (sweep, found) in found {
            println!(
                "{}, half {}: {} tried, {} wrong",
                sweep.driver,
                sweep.first + 1,
                found.tried,
                found.wrong.len()
            );
            if !found.wrong.is_empty() {
                failed = true;
                println!("{}\n{}", found.wrong.join("\n"), found.story);
            }
        }
    }
    ExitCode::from(u8::from(failed))
}
