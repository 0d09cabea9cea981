//! Generated policies and operations: `operations [NUMBER [FIRST [STEP]]]`, a thousand from seed 0 unless told. `operations 1 SEED`
//! tries one again and says what it was; with a step of 15 all are of one kind. Prints a line for each in which a policy was
//! shown something else than what became of it.

use std::process::ExitCode;
use std::time::Instant;

use bootc_image_test_guests as guests;
use bootc_image_tests::operations;

fn main() -> ExitCode {
    let number = |at: usize, default: usize| {
        std::env::args().nth(at).map_or(default, |text| text.parse().expect("a number"))
    };
    let (number, first, step) = (number(1, 1000), number(2, 0), number(3, 1));
    let seeds: Vec<u64> = (first as u64..).step_by(step).take(number).collect();
    let start = Instant::now();
    let counts = operations::run(&seeds, &guests::files("policy-does").expect("there is one"));
    println!("{counts}\n{number} operations from seed {first}, {} s", start.elapsed().as_secs());
    ExitCode::from(u8::from(counts.failed > 0))
}
