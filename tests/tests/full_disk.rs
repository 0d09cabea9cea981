//! On a full disk what only takes something away goes through, and all else is refused. `make full-disk` tries more disks.

use bootc_image_tests::full_disk::{self, Disk, Full, Holds, Reserve};
use bootc_image_tests::oracle::Store;

const EXT4: Disk = Disk {
    file_system: "ext4",
    size: "10M",
    options: "",
    holds: Holds::All,
    full: Full::Room,
    reserve: Reserve::Kernels,
};
/// The smallest that there is.
const XFS: Disk = Disk { file_system: "xfs", size: "16M", ..EXT4 };

#[test]
fn what_takes_something_away_goes_through_on_a_full_ext4() {
    let world = full_disk::world();
    EXT4.check(&world);
    Disk { reserve: Reserve::All, ..EXT4 }.check(&world);
    // Of inodes the file system holds nothing back.
    let inodes = Disk { options: "-N 700", full: Full::Inodes, reserve: Reserve::All, ..EXT4 };
    inodes.check(&world);
    // Last: what isn't on the disk is the world's own.
    Disk { holds: Holds::Store, ..inodes }.check(&world);
    let world = full_disk::world();
    Disk { size: "1M", holds: Holds::Record, ..EXT4 }.check(&world);
}

#[test]
fn what_takes_something_away_goes_through_on_a_full_xfs() {
    let world = full_disk::world();
    XFS.check(&world);
    Disk { reserve: Reserve::All, ..XFS }.check(&world);
}

/// Where nothing is held back, an image makes its own room: its files go first. A name has none, and a failure says what to do.
#[test]
fn without_any_reserve_an_image_makes_its_own_room() {
    let world = full_disk::world();
    let takes = ["remove app:three", "remove large:1", "cmd rmi other:1", "plugin revoke csv-format"];
    let disk = Disk { reserve: Reserve::None, ..EXT4 };
    let ended = disk.run(&world, &takes);
    let codes: Vec<i32> = ended.commands.iter().map(|(_, code, _)| *code).collect();
    assert_eq!(codes, [78, 1, 0, 0, 0], "{:#?}", ended.commands);
    let (_, _, of_a_name) = &ended.commands[1];
    for part in [
        "its file system is full",
        "/sysroot/ostree/bootc/storage, for example with: bootc-image prune --all",
    ] {
        assert!(of_a_name.contains(part), "{of_a_name}");
    }
    ended.check_record(&disk);
    // Without inodes it is the same.
    let disk = Disk { options: "-N 700", full: Full::Inodes, ..disk };
    let ended = disk.run(&world, &["plugin revoke csv-format"]);
    assert_eq!(ended.commands[1].1, 0, "{:#?}", ended.commands);
    ended.check_record(&disk);
}

/// Lines for which there is no room at all wait, and come first, in order, once there is.
#[test]
fn lines_that_find_no_room_wait_and_nothing_else_begins_meanwhile() {
    let world = full_disk::world();
    let disk = Disk { size: "1M", holds: Holds::Record, reserve: Reserve::None, ..EXT4 };
    let commands =
        ["plugin revoke csv-format", "remove app:three", "pull-from-default-storage localhost/mine:1"];
    let ended = disk.run(&world, &commands);
    let [_, revoked, removed, refused] = &ended.commands[..] else { panic!("{:#?}", ended.commands) };
    for ((_, code, said), (expected, lines)) in [(revoked, (0, 2)), (removed, (0, 4)), (refused, (78, 4))] {
        let note = format!(
            "note: {lines} lines of the audit record wait in /run/bootc-image/audit/waiting.jsonl until there is \
             free space on /var/lib/bootc-image\n"
        );
        assert!(*code == expected && said.contains(&note), "{:#?}", ended.commands);
    }
    assert_eq!(ended.record.len(), 4);
    ended.check_record(&disk);
}

/// A process was killed while the file system held back less.
#[test]
fn what_the_file_system_holds_back_is_set_back_by_the_next_one() {
    let world = full_disk::world();
    let script = "
        truncate -s 10M /run/disk.img
        mkfs.ext4 -q /run/disk.img
        mkdir -p /run/disk /var/lib/bootc-image /run/bootc-image
        mount -o loop /run/disk.img /run/disk
        mount --bind /run/disk /var/lib/bootc-image
        number=$(mountpoint -d /run/disk)
        knob=/sys/fs/ext4/$(basename \"$(readlink /sys/dev/block/$number)\")/reserved_clusters
        cat $knob
        cat $knob >/run/bootc-image/reserve-$(echo $number | tr : -)
        echo 7 >$knob
        bootc-image --quiet remove app:three >/dev/null
        cat $knob";
    let output = world.enter().sh(&format!("{}{script}", Store::Bootc.shell())).ok();
    let [before, after] = output.lines()[..] else { panic!("{output:#?}") };
    assert!(before == after && before != "7", "{output:#?}");
}
