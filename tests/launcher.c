/* As little as it takes to run podman on bootc's store: bootc's mount, roots and environment, and nothing else. What
 * `bootc-image cmd` costs beyond podman is measured against this. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALIAS "/run/bootc/storage"

int main(int argc, char **argv) {
    char *environment[] = {"PATH=/usr/bin:/usr/sbin", "HOME=/run", "LANG=C.UTF-8", "TMPDIR=/var/tmp", NULL};
    char *words[64] = {"podman", "--root", ALIAS, "--runroot", "/proc/self/fd/3", "image"};
    for (int i = 1; i < argc && i < 50; i++) words[5 + i] = argv[i];
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
            mount("/sysroot/ostree/bootc/storage", ALIAS, NULL, MS_BIND, NULL))
            _exit(126);
        int run = open(ALIAS, O_RDONLY | O_DIRECTORY);
        if (run < 0 || (run != 3 && dup2(run, 3) < 0)) _exit(126);
        execve("/usr/bin/podman", words, environment);
        _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
