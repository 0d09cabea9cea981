//! Every kind of full disk: `full-disk`. On each of them everything that takes something away must succeed, nothing else may be
//! lost, and the record must be complete. XFS can't be made smaller than 16 MiB, which stand for 10.

use std::process::ExitCode;

use bootc_image_tests::full_disk::{self, Disk, Full, Holds, Reserve};

const SMALL_BLOCKS: &str = "-b 1024";
const LARGE_BLOCKS: &str = "-b 4096";

fn main() -> ExitCode {
    let base = Disk {
        file_system: "ext4",
        size: "",
        options: "",
        holds: Holds::All,
        full: Full::Room,
        reserve: Reserve::Kernels,
    };
    let mut disks = Vec::new();
    for reserve in [Reserve::Kernels, Reserve::All] {
        let base = Disk { reserve, ..base };
        for (size, options) in
            [("10M", SMALL_BLOCKS), ("10M", LARGE_BLOCKS), ("100M", SMALL_BLOCKS), ("100M", LARGE_BLOCKS)]
        {
            disks.push(Disk { size, options, ..base });
        }
        for (size, options) in [("16M", ""), ("100M", ""), ("400M", ""), ("100M", "-b size=1024")] {
            disks.push(Disk { file_system: "xfs", size, options, ..base });
        }
        for (file_system, size) in [("ext4", "10M"), ("ext4", "100M"), ("xfs", "16M"), ("xfs", "100M")] {
            disks.push(Disk { file_system, size, holds: Holds::Store, ..base });
        }
        for size in ["1M", "10M", "100M"] {
            disks.push(Disk { size, holds: Holds::Record, ..base });
        }
        for size in ["16M", "100M"] {
            disks.push(Disk { file_system: "xfs", size, holds: Holds::Record, ..base });
        }
    }
    for (size, options) in [("10M", "-N 700"), ("100M", "-N 1500")] {
        disks.push(Disk { size, options, full: Full::Inodes, reserve: Reserve::All, ..base });
    }
    // What isn't on the disk is the world's own.
    let mut world = full_disk::world();
    for disk in disks {
        disk.check(&world);
        println!("ok: {disk:?}");
        if disk.holds != Holds::All {
            world = full_disk::world();
        }
    }
    ExitCode::SUCCESS
}
