//! Taking turns on one store with bootc's way of calling podman: `interop [ROUNDS]`, fifty unless told, in both orders and on
//! stores of either's making. With BOOTC_IMAGE_MACHINE it is done with that machine's programs.

use bootc_image_tests::turns::{Maker, take_turns};

fn main() {
    let rounds = std::env::args().nth(1).map_or(50, |text| text.parse().expect("a number of rounds"));
    for maker in [Maker::World, Maker::Us, Maker::Bootc] {
        println!("{rounds} rounds, store made by {maker:?}: {}", take_turns(rounds, maker));
    }
}
