//! Entering a world: what is emulated of a booted bootc host, and what a test may change about it.
//!
//! The root is the deployment, `/sysroot` the physical root, `/var` the state's. The machine's programs show through
//! below the deployment's own `/usr`. Of the deployment only `/etc` is writable, as on a real host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sandbox::{Output, Sandbox, Service, Step};
use crate::{messages, programs};

/// Where the harness keeps its own things inside; nothing under test looks there.
const LAB: &str = "/run/lab";

/// How long a command may take unless a test says otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// A stay in a world, to be described and then begun with [`run`](Self::run), [`sh`](Self::sh) or the like.
pub struct Enter {
    world: PathBuf,
    boot: usize,
    booted: bool,
    in_container: bool,
    read_only_sysroot: bool,
    selinux: bool,
    registry: bool,
    alongside: Option<String>,
    missing: Vec<String>,
    programs: Vec<(PathBuf, PathBuf)>,
    shared: Vec<(PathBuf, PathBuf)>,
    files: Vec<Step>,
    environment: Vec<(String, String)>,
    user: Option<u32>,
    limit: Duration,
}

impl Enter {
    pub(super) fn new(world: &Path) -> Self {
        let ours = [
            ("bootc-image", "/usr/bin/bootc-image"),
            ("bootc-image-helper", "/usr/libexec/bootc-image/bootc-image-helper"),
            ("bootc-image-native", "/usr/libexec/bootc-image/bootc-image-native"),
        ];
        let built = |(name, inside): (&str, &str)| Some((programs::lab(name)?, inside.into()));
        let environment =
            [("PATH", "/usr/bin:/usr/sbin"), ("HOME", "/root"), ("LANG", "C.UTF-8"), ("SHELL", "/bin/sh")];
        Self {
            world: world.to_owned(),
            boot: 0,
            booted: true,
            in_container: false,
            read_only_sysroot: false,
            selinux: false,
            registry: false,
            alongside: None,
            missing: Vec::new(),
            programs: ours.into_iter().filter_map(built).collect(),
            shared: Vec::new(),
            files: Vec::new(),
            environment: environment.map(|(name, value)| (name.into(), value.into())).into(),
            user: None,
            limit: LIMIT,
        }
    }

    /// Sets a variable of the command's environment, which is otherwise that of a root login.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(existing, _)| existing != name);
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Serves the world's registry on 127.0.0.1:5000.
    pub fn registry(mut self, serve: bool) -> Self {
        self.registry = serve;
        self
    }

    /// A program isn't installed: one of `/usr/bin`, or one of ours.
    pub fn without(mut self, program: &str) -> Self {
        let ours = self.programs.len();
        self.programs.retain(|(_, inside)| !inside.ends_with(program));
        if self.programs.len() == ours {
            self.missing.push(program.into());
        }
        self
    }

    /// Runs the command as this user and group; 1000 is the user `lab`.
    pub fn as_uid(mut self, user: u32) -> Self {
        self.user = Some(user);
        self.env("HOME", "/var/home/lab")
    }

    /// The same file system, but nothing says that it was booted through ostree.
    pub fn not_booted(mut self) -> Self {
        self.booted = false;
        self
    }

    /// Looks like a podman container (and one on a bootc host doesn't look booted).
    pub fn in_container(mut self) -> Self {
        self.in_container = true;
        self.not_booted()
    }

    /// Mounts `/sysroot` read-only, as bootc hosts do outside of an update; `/var` stays writable.
    pub fn read_only_sysroot(mut self) -> Self {
        self.read_only_sysroot = true;
        self
    }

    /// Looks as if SELinux was enabled.
    pub fn selinux(mut self) -> Self {
        self.selinux = true;
        self
    }

    /// Boots the deployment with this number in `ostree admin status`; 0 is the newest.
    pub fn boot(mut self, deployment: usize) -> Self {
        self.boot = deployment;
        self
    }

    /// Writes a file inside before anything starts. Below `/run`, `/tmp` and `/usr` it is there for this stay only.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.file_with_mode(path, content, 0o644)
    }

    /// As [`file`](Self::file), for scripts (0755) and secrets (0600).
    pub fn file_with_mode(mut self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Self {
        self.files.push(Step::File { path: path.into(), content: content.as_ref().into(), mode });
        self
    }

    /// Shows an executable of the machine at a path inside, instead of what is there.
    pub fn program(mut self, outside: &Path, inside: &str) -> Self {
        self.programs.retain(|(_, existing)| existing != Path::new(inside));
        self.programs.push((outside.into(), inside.into()));
        self
    }

    /// As `make install` leaves a host: with the plugins that are shipped, the header of native extensions, and the configuration
    /// of logrotate.
    pub fn installed(mut self) -> Self {
        const HEADER: &[u8] = include_bytes!("../../../extension-sdk/include/bootc_image_extension.h");
        const LOGROTATE: &[u8] = include_bytes!("../../../dist/logrotate/bootc-image");
        for plugin in entries(&programs::required("plugins")) {
            for file in entries(&plugin) {
                let below = file.strip_prefix(programs::required("plugins")).expect("it is in there");
                let content = std::fs::read(&file).expect("`make lab` has packaged it");
                self = self.file(&format!("/usr/share/bootc-image/plugins/{}", below.display()), content);
            }
        }
        self.file("/usr/include/bootc_image_extension.h", HEADER)
            .file("/etc/logrotate.d/bootc-image", LOGROTATE)
    }

    /// Shows a directory of the machine inside.
    pub fn share(mut self, outside: &Path, inside: &str) -> Self {
        self.shared.push((outside.into(), inside.into()));
        self
    }

    /// Runs a script next to the command, until that ends.
    pub fn alongside(mut self, script: &str) -> Self {
        self.alongside = Some(script.into());
        self
    }

    /// How long the command may take before it and all it started is ended.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs a program, found on the `PATH` inside.
    #[track_caller]
    pub fn run<S: AsRef<str>>(self, command: &[S]) -> Output {
        let limit = self.limit;
        let output = self.sandbox(command).run(limit);
        messages::observe(command, &output);
        output
    }

    /// Runs a script that stops at its first failing command.
    #[track_caller]
    pub fn sh(self, script: &str) -> Output {
        self.run(&["sh", "-euc", script])
    }

    /// As [`run`](Self::run), with our own standard output and error, and no limit. Returns the exit code.
    pub fn run_in_sight<S: AsRef<str>>(self, command: &[S]) -> i32 {
        self.sandbox(command).run_in_sight()
    }

    fn sandbox<S: AsRef<str>>(mut self, command: &[S]) -> Sandbox {
        let root = deployments(&self.world.join("phys")).swap_remove(self.boot);
        Sandbox {
            mounts: self.mounts(&root),
            furnishing: self.furnishing(),
            services: self.services(),
            root: Some(root),
            command: command.iter().map(|word| word.as_ref().to_owned()).collect(),
            environment: self.environment,
            user: self.user,
        }
    }

    /// The deployment is bound onto itself, as ostree does it at boot, and filled from there.
    fn mounts(&self, root: &Path) -> Vec<Step> {
        let phys = self.world.join("phys");
        let at = |inside: &str| root.join(inside.trim_start_matches('/'));
        let lab = at(LAB);
        let mut steps = vec![
            Step::Bind { from: root.into(), to: root.into() },
            Step::Bind { from: at("/etc"), to: at("/etc") },
            Step::Bind { from: phys.clone(), to: at("/sysroot") },
            Step::Bind { from: phys.join("ostree/deploy/lab/var"), to: at("/var") },
            Step::Bind { from: phys.join("boot"), to: at("/boot") },
            Step::Proc { to: at("/proc") },
            Step::BindTree { from: "/dev".into(), to: at("/dev") },
            Step::BindTree { from: "/sys".into(), to: at("/sys") },
            // podman keeps its locks there.
            Step::Tmpfs { to: at("/dev/shm"), mode: 0o1777 },
            Step::Tmpfs { to: at("/run"), mode: 0o755 },
            Step::Tmpfs { to: at("/tmp"), mode: 0o1777 },
            Step::Directory { path: lab.join("upper") },
            Step::Directory { path: lab.join("work") },
            Step::Overlay {
                lower: vec![at("/usr"), programs::machine().join("usr")],
                upper: lab.join("upper"),
                work: lab.join("work"),
                to: at("/usr"),
            },
        ];
        if self.registry {
            steps.push(Step::Directory { path: lab.join("registry") });
            steps.push(Step::Bind { from: self.world.join("registry"), to: lab.join("registry") });
        }
        if self.selinux {
            steps.extend(selinux(&at("/sys/fs")));
        }
        for (outside, inside) in &self.shared {
            let inside = at(&inside.display().to_string());
            steps.push(Step::Directory { path: inside.clone() });
            steps.push(Step::Bind { from: outside.clone(), to: inside });
        }
        for (outside, inside) in &self.programs {
            let inside = at(&inside.display().to_string());
            steps.push(Step::File { path: inside.clone(), content: Vec::new(), mode: 0o755 });
            steps.push(Step::Bind { from: outside.clone(), to: inside });
        }
        steps
    }

    fn furnishing(&mut self) -> Vec<Step> {
        let mut steps = std::mem::take(&mut self.files);
        steps.push(Step::Directory { path: "/run/ostree".into() });
        if self.booted {
            steps.push(Step::File { path: "/run/ostree-booted".into(), content: Vec::new(), mode: 0o644 });
        }
        if self.in_container {
            steps.push(Step::File { path: "/run/.containerenv".into(), content: Vec::new(), mode: 0o644 });
        }
        steps.extend(self.missing.iter().map(|name| Step::Remove { path: Path::new("/usr/bin").join(name) }));
        steps.extend(["/", "/usr"].map(|path| Step::ReadOnly { path: path.into() }));
        if self.read_only_sysroot {
            steps.push(Step::ReadOnly { path: "/sysroot".into() });
        }
        steps
    }

    fn services(&self) -> Vec<Service> {
        let registry = self.registry.then(|| registry(Path::new(LAB)));
        let alongside = self.alongside.as_ref().map(|script| Service {
            command: ["sh", "-euc", script].map(String::from).into(),
            port: None,
            log: Path::new(LAB).join("alongside.log"),
        });
        registry.into_iter().chain(alongside).collect()
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The registry whose data and configuration are in `registry` below the directory.
pub(super) fn registry(directory: &Path) -> Service {
    let configuration = directory.join("registry/configuration.yml");
    Service {
        command: vec!["docker-registry".into(), "serve".into(), configuration.display().to_string()],
        port: Some(5000),
        log: directory.join("registry.log"),
    }
}

/// Nothing but the file that is looked for, in front of the control groups that podman needs.
fn selinux(sys_fs: &Path) -> [Step; 4] {
    [
        Step::Tmpfs { to: sys_fs.into(), mode: 0o755 },
        Step::Directory { path: sys_fs.join("cgroup") },
        Step::BindTree { from: "/sys/fs/cgroup".into(), to: sys_fs.join("cgroup") },
        Step::File { path: sys_fs.join("selinux/enforce"), content: b"1".into(), mode: 0o644 },
    ]
}

/// The deployments in the order of the boot menu, which is the one of `ostree admin status`.
pub(super) fn deployments(phys: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(phys.join("boot/loader/entries")) else { return Vec::new() };
    let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    // ostree-2-lab.conf is in front of ostree-1-lab.conf.
    entries.sort();
    entries.iter().rev().filter_map(|entry| deployment(phys, entry)).collect()
}

/// Follows the kernel argument `ostree=/ostree/boot.1/lab/CHECKSUM/0` of a boot entry.
fn deployment(phys: &Path, entry: &Path) -> Option<PathBuf> {
    let entry = std::fs::read_to_string(entry).ok()?;
    let options = entry.lines().find_map(|line| line.strip_prefix("options "))?;
    let link = options.split_whitespace().find_map(|option| option.strip_prefix("ostree=/"))?;
    phys.join(link).canonicalize().ok()
}
