//! Many processes at once on the same storages: `stress [SECONDS] [PROCESSES]`, fifty for a minute unless told. Each lists,
//! copies, pulls or runs podman, again and again; all must succeed, whatever they may have to wait for, and every image that
//! one of them was told about must be there in the end.

use std::process::ExitCode;
use std::time::Duration;

use bootc_image_tests::World;
use bootc_image_tests::oracle::{self, Store};

const WORK: &str = r#"
# One after the other: podman loses names when two of it tag the same image at once.
for number in $(seq PROCESSES); do podman tag localhost/mine:1 localhost/stress:pull-$number; done
worker() {
    number=$1 round=0
    while [ $(date +%s) -lt $end ]; do
        round=$((round + 1))
        case $(((number + round) % 5)) in
            0) bootc-image list --format json ;;
            1) name=copy-$number-$round
               bootc-image --quiet copy-to-storage --target stress:$name && echo localhost/stress:$name >>/tmp/default ;;
            2) name=pull-$number
               bootc-image --quiet pull-from-default-storage stress:$name && echo localhost/stress:$name >>/tmp/bootc ;;
            3) bootc-image cmd list --quiet ;;
            4) bootc-image --quiet copy-to-storage --source app:stable --target stress:app-$number &&
               echo localhost/stress:app-$number >>/tmp/default ;;
        esac >/dev/null 2>/tmp/error.$number.$round || { echo "failed: $number $round"; cat /tmp/error.$number.$round; }
        grep -v '^note: waiting for' /tmp/error.$number.$round || true
        echo done >>/tmp/operations
    done
}
end=$(($(date +%s) + SECONDS_LONG))
for number in $(seq PROCESSES); do worker $number >/tmp/said.$number 2>&1 & done
wait
cat /tmp/said.*
wc -l </tmp/operations
sort -u /tmp/default; echo --; sort -u /tmp/bootc
"#;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: &str| arguments.get(index).map_or(default.to_owned(), Clone::clone);
    let (seconds, processes) = (number(0, "60"), number(1, "50"));
    let script = WORK.replace("SECONDS_LONG", &seconds).replace("PROCESSES", &processes);
    let world = World::new();
    let output = world.enter().limit(Duration::from_secs(1800)).sh(&script).ok();
    let lines = output.lines();
    let Some(at) = lines.iter().position(|line| line.parse::<u32>().is_ok()) else {
        println!("{output:#?}");
        return ExitCode::FAILURE;
    };
    let (default, bootc) = lines[at + 1..]
        .split_at(lines[at + 1..].iter().position(|line| *line == "--").expect("it is printed"));
    let lost = [(Store::Default, default), (Store::Bootc, &bootc[1..])].map(|(store, names)| {
        let there = oracle::podman_names(&world, store);
        names.iter().filter(|name| !there.contains(&(**name).to_owned())).count()
    });
    println!(
        "{} operations of {processes} processes in {seconds} s: {} errors, {} images told of, {} lost",
        lines[at],
        at,
        default.len() + bootc.len() - 1,
        lost[0] + lost[1]
    );
    for line in &lines[..at.min(20)] {
        println!("{line}");
    }
    ExitCode::from(u8::from(at > 0 || lost != [0, 0]))
}
