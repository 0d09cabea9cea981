// A native policy that tells what it finds in its process.

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bootc_image_extension.h"

extern char **environ;
static const bootc_image_host *host;

static bootc_image_text text(const char *of)
{
    return (bootc_image_text){ .data = of, .length = strlen(of) };
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void evaluate(void *state, bootc_image_call *call, const bootc_image_operation *operation)
{
    (void)state;
    (void)operation;
    char found[1024] = "descriptors";
    for (int number = 0; number < 256; number++) {
        char path[64], target[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", number);
        if (readlink(path, target, sizeof target) > 0)
            snprintf(found + strlen(found), sizeof found - strlen(found), " %d", number);
    }
    char directory[256];
    if (getcwd(directory, sizeof directory) == NULL)
        abort();
    snprintf(found + strlen(found), sizeof found - strlen(found), ", directory %s, environment", directory);
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    qsort(environ, count, sizeof *environ, by_name);
    for (char **variable = environ; *variable != NULL; variable++) {
        size_t length = strcspn(*variable, "=");
        snprintf(found + strlen(found), sizeof found - strlen(found), " %.*s", (int)length, *variable);
    }
    host->deny(call, text("looked"), text(found), text(""));
}

static const bootc_image_extension table = {
    .size = sizeof table,
    .major = BOOTC_IMAGE_EXTENSION_MAJOR,
    .minor = BOOTC_IMAGE_EXTENSION_MINOR,
    .evaluate = evaluate,
};

const bootc_image_extension *bootc_image_extension_entry(const bootc_image_host *offered)
{
    host = offered;
    return &table;
}
