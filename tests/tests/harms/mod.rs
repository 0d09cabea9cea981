//! What a caller attains whom one of the host's checks doesn't keep from it. The tests of mutants read this, too.

/// The check that is switched off, the command, and how the shell sees the harm.
pub const HARMS: &[(&str, &str, &str)] = &[
    ("table", "cmd list --cpu-profile=/var/tmp/x", "[ -e /var/tmp/x ]"),
    ("table", "cmd list --root=/var/tmp/x --runroot=/var/tmp/r", "[ -d /var/tmp/x ]"),
    (
        "path-write",
        "cmd push --digestfile=/var/tmp/x localhost/app:stable 127.0.0.1:5000/pushed/a",
        "[ -e /var/tmp/x ]",
    ),
    ("path-write", "cmd build --iidfile=/var/tmp/x /tmp/context", "[ -e /var/tmp/x ]"),
    ("path-read", "cmd pull --authfile=/etc/passwd IMAGE", "grep -q passwd /run/err"),
    (
        "filter",
        "cmd list --filter since=containers-storage:[vfs@/var/tmp/x+/var/tmp/r]localhost/a",
        "[ -d /var/tmp/x ]",
    ),
    ("secret", "cmd pull --creds=a:b IMAGE", "[ $code = 0 ]"),
    ("machine", "cmd build --add-host=a:127.0.0.1 /tmp/context", "[ $code = 0 ]"),
    ("reference", "cmd push localhost/app:stable dir:/var/tmp/x", "[ -e /var/tmp/x/manifest.json ]"),
    ("reference", "cmd pull containers-storage:localhost/nothing", "grep -qv denied: /run/err"),
    ("source", "cmd build -f /tmp/context/Containerfile,Other /tmp/context", "grep -qi nonsense /run/err"),
    (
        "pinning",
        "cmd pull --all-tags 127.0.0.1:5000/lab/app",
        "bootc-image cmd list | grep -q '^127.0.0.1:5000/lab/app  *2 '",
    ),
    ("claims", "cmd list", "[ $code != 77 ]"),
    ("delegation", "cmd build -t localhost/built:1 /tmp/context", "[ $code = 0 ]"),
    ("delegation", "--sysroot /sysroot cmd list", "[ $code = 0 ]"),
    ("text", "cmd list --format \"$(printf 'a\\tb')\"", "[ $code = 0 ]"),
    ("environment", "cmd list", "grep -q vfs /run/err"),
    ("search", "cmd list", "[ -e /var/mark ]"),
    ("descriptors", "cmd list", "[ -s /run/descriptors ]"),
    ("directory", "cmd list", "grep -q /tmp/context /run/directory"),
];
