//! What a copy needs, for a small and a large image: `large [MB]`, 1,000 unless told. Peak memory of every program that takes
//! part, peak of the scratch space against the image itself, and time.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use bootc_image_tests::{World, programs};

const INSIDE: &str = "/usr/libexec/large";

/// An image of an ostree commit, and one with a layer on top of it, each with so many megabytes in files of one.
const MAKE: &str = r#"
registry=127.0.0.1:5000
make() {
    mkdir -p $1/usr/share/large
    for number in $(seq MEGABYTES); do head -c 1000000 /dev/urandom >$1/usr/share/large/$number; done
}
mkdir /var/build; cd /var/build
make base
mkdir -p base/usr/lib/modules
ostree --repo=repo init --mode=bare
ostree --repo=repo commit --branch=large --tree=dir=base --owner-uid=0 --owner-gid=0 >/dev/null
labtool container encapsulate --repo=repo large docker://$registry/lab/large:encapsulated >/dev/null
rm -r base repo
make derived
printf 'FROM %s/lab/os:1\nCOPY usr /usr\n' $registry >derived/Containerfile
podman build --quiet --tag $registry/lab/large:derived derived >/dev/null
podman push --quiet $registry/lab/large:derived
podman rmi --force $registry/lab/large:derived $registry/lab/os:1 >/dev/null
cd /; rm -r /var/build
for image in encapsulated derived; do
    labtool container image pull /sysroot/ostree/repo ostree-unverified-registry:$registry/lab/large:$image --insecure-skip-tls-verification >/dev/null
    INSIDE $registry/lab/large:$image
done
"#;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first() {
        Some(source) if source.contains('/') => return measure(source),
        _ => {}
    }
    let large = arguments.first().map_or(1000, |text| text.parse().expect("a number of megabytes"));
    for megabytes in [1, large] {
        println!("{megabytes} MB in files:");
        let world = World::new();
        let enter = world.enter().registry(true).program(&programs::ours("large"), INSIDE);
        let enter = enter.program(&programs::required("labtool"), "/usr/bin/labtool");
        let script = MAKE.replace("MEGABYTES", &megabytes.to_string()).replace("INSIDE", INSIDE);
        let output = enter.limit(Duration::from_secs(1800)).sh(&script);
        print!("{}", output.stdout);
        if output.code != 0 {
            println!("{output:#?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(source: &str) -> ExitCode {
    let begun = Instant::now();
    let mut copy = Command::new("bootc-image")
        .args(["--quiet", "copy-to-storage", "--target=large", "--source", source])
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let (mut memory, mut scratch, mut phase) = (BTreeMap::new(), 0, BTreeMap::new());
    let status = loop {
        if let Some(status) = copy.try_wait().expect("it can be waited for") {
            break status;
        }
        for (program, peak) in peaks() {
            let highest = memory.entry(program.clone()).or_insert(0);
            *highest = peak.max(*highest);
            phase.entry(program).or_insert_with(|| begun.elapsed());
        }
        scratch = scratch.max(size(Path::new("/var/tmp")));
        std::thread::sleep(Duration::from_millis(5));
    };
    let taken = begun.elapsed();
    let image = Command::new("podman").args(["image", "inspect", "--format={{.Size}}", "large"]).output();
    let image =
        String::from_utf8_lossy(&image.expect("podman runs").stdout).trim().parse::<u64>().unwrap_or(1);
    let memory: Vec<String> =
        memory.iter().map(|(program, peak)| format!("{program} {:.1} MB", *peak as f64 / 1e3)).collect();
    println!(
        "  {source}: image {:.1} MB, scratch at most {:.1} MB ({:.3} of it); memory: {}; {:.1} s, skopeo from {:.1} s",
        image as f64 / 1e6,
        scratch as f64 / 1e6,
        scratch as f64 / image as f64,
        memory.join(", "),
        taken.as_secs_f64(),
        phase.get("skopeo").map_or(0.0, Duration::as_secs_f64),
    );
    ExitCode::from(u8::from(!status.success()))
}

/// Names and peak memory, in kB, of all processes of interest.
fn peaks() -> Vec<(String, u64)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let status = processes.filter_map(|process| fs::read_to_string(process.path().join("status")).ok());
    let peak = |status: String| {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name).map(|text| text.trim().to_owned()))
        };
        let program = field("Name:")?;
        let interesting = program.starts_with("bootc-image") || program == "skopeo" || program == "podman";
        let peak = field("VmHWM:")?.trim_end_matches(" kB").parse().ok()?;
        interesting.then_some((program, peak))
    };
    status.filter_map(peak).collect()
}

fn size(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
