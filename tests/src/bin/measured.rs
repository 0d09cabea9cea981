//! Runs a command inside a world and tells how it ended: `measured CPU_MS WALL_MS COMMAND...` kills it when it has used up
//! either, and prints one line of JSON, the command's output in it.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bootc_image_tests::hostile::Ending;
use nix::sys::resource::{UsageWho, getrusage};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut limit =
        || Duration::from_millis(arguments.next().and_then(|text| text.parse().ok()).expect("a limit in ms"));
    let (cpu_limit, wall_limit) = (limit(), limit());
    let program = arguments.next().expect("a command");
    let output = "/run/measured-output";
    let file = File::create(output).expect("/run is ours");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a descriptor"))
        .stderr(file)
        .spawn()
        .expect("it starts");
    let pid = Pid::from_child(&child);
    let start = Instant::now();
    let mut killed = false;
    // It stays a zombie, so that what it has used can still be read.
    while waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
        .expect("it is our child")
        .is_none()
    {
        if !killed && (used(pid) > cpu_limit || start.elapsed() > wall_limit) {
            killed = true;
            kill_process(pid, Signal::KILL).expect("it is our child");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let status = child.wait().expect("it is our child");
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).expect("a number").max_rss();
    let output = std::fs::read(output).expect("/run is ours");
    let ending = Ending {
        code: status.code(),
        signal: status.signal(),
        killed,
        peak_kib: peak.try_into().expect("a size"),
        output: String::from_utf8_lossy(&output).into_owned(),
    };
    println!("{}", serde_json::to_string(&ending).expect("JSON"));
}

/// Processor time of a process, in ticks of 10 ms.
fn used(pid: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
