# What the demo shows, inside the booted system.

# show EXIT-CODE COMMAND: prints the command and what it prints, and stops unless it ends with the code.
show() {
    printf '# %s\n' "$2"
    code=0
    eval "$2" 2>&1 || code=$?
    echo
    [ $code -eq $1 ] || { echo "demo: expected exit code $1, got $code" >&2; exit 1; }
}

show 0 "bootc-image list"
show 0 "bootc-image list --format json"
show 0 "bootc-image copy-to-storage"
show 0 "bootc-image --quiet copy-to-storage"
show 0 "bootc-image copy-to-storage --source app:stable --target app:1"
show 0 "podman images --format '{{.Repository}}:{{.Tag}}'"
show 0 "bootc-image pull-from-default-storage localhost/mine:1"
show 0 "bootc-image set-unified"
show 0 "bootc-image list --type unified"
show 0 "bootc-image cmd list"
show 0 "bootc-image cmd pull --quiet 127.0.0.1:5000/lab/app:3"
show 0 "bootc-image cmd push --quiet localhost/app:stable 127.0.0.1:5000/backup/app:1"
show 77 "bootc-image cmd list --root /var/tmp/other"
show 77 "bootc-image cmd push localhost/app:stable dir:/var/tmp/other"
show 77 "bootc-image cmd rmi localhost/mine:1"
show 0 "bootc-image remove localhost/mine:1"
show 77 "bootc-image remove 127.0.0.1:5000/lab/app:1"
