//! Where podman keeps things, as our reader of its configuration says and as podman itself says.

use std::path::PathBuf;

use bootc_image_os::root::RootDir;
use bootc_image_stores::podman::{Configuration, started_by_us};
use bootc_image_stores::sysroot;
use bootc_image_stores::system::System;
use bootc_image_tests::World;
use serde_json::Value;

/// What we read: for podman up to version 5, and for version 6.
fn read(world: &World) -> Vec<Configuration> {
    let physical = RootDir::open(world.sysroot()).unwrap();
    let commit = &world.facts().booted.commit;
    let deployments = sysroot::all(&physical).unwrap();
    let booted = deployments.iter().find(|deployment| deployment.commit.as_str() == commit).unwrap();
    let system = System::of_deployment(&physical, booted).unwrap().swap_remove(0);
    started_by_us(&system).unwrap()
}

fn as_podman_says(store: &Value) -> Configuration {
    let place = |key: &str| PathBuf::from(store[key].as_str().unwrap());
    let options = &store["graphOptions"];
    // Newer ones list them; with older ones it is one, under a name that means something else in storage.conf.
    let additional = match (&options["overlay.additionalImageStores"], &options["overlay.imagestore"]) {
        (Value::Array(all), _) => all.iter().map(|one| one.as_str().unwrap().into()).collect(),
        (_, Value::String(one)) => vec![one.into()],
        _ => Vec::new(),
    };
    Configuration {
        driver: store["graphDriverName"].as_str().map(str::to_owned),
        graphroot: place("graphRoot"),
        runroot: place("runRoot"),
        imagestore: None,
        additional,
    }
}

#[test]
fn podman_keeps_things_where_we_read_that_it_does() {
    let drop_in = "/etc/containers/storage.conf.d/1.conf";
    let main = "/etc/containers/storage.conf";
    for files in [
        &[][..],
        &[(main, "[storage]\ndriver=\"overlay\"\ngraphroot=\"/var/data/c\"\nrunroot=\"/run/c\"\n")],
        &[(main, "[storage]\ndriver=\"overlay2\"\ngraphroot=\"/var/data/c\"\nrunroot=\"/run/c\"\n")],
        &[(main, "[storage]\ndriver=\"vfs\"\ngraphroot=\"/var/data/c\"\nrunroot=\"/run/c\"\n")],
        &[(
            main,
            "[storage]\ndriver=\"overlay\"\ngraphroot=\"/var/data/c\"\nrunroot=\"/run/c\"\n\
             [storage.options]\nadditionalimagestores=[\"/var/ais\"]\n",
        )],
        &[(drop_in, "[storage]\ngraphroot=\"/var/data/drop-in\"\n")],
    ] {
        let world = World::new();
        let files = files.iter();
        let enter = files.fold(world.enter(), |enter, (path, text)| enter.file(path, text));
        let script = "mkdir -p /var/ais; podman --root /var/ais --runroot /run/ais images >/dev/null
            podman info --format json";
        let info: Value = enter.sh(script).ok().json();
        let version = info["version"]["Version"].as_str().unwrap();
        let is_old = version.starts_with(['4', '5']);
        let readings = read(&world);
        let reading = if is_old { readings.first() } else { readings.last() };
        assert_eq!(*reading.unwrap(), as_podman_says(&info["store"]), "podman {version}");
    }
}
