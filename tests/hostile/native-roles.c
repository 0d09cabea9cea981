// Native formatters and commands that misbehave: compiled with the name of what they do defined.

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bootc_image_extension.h"

static const bootc_image_host *host;

__attribute__((unused)) static bootc_image_text text(const char *of)
{
    return (bootc_image_text){ .data = of, .length = strlen(of) };
}

static void format(void *state, bootc_image_call *call, const bootc_image_list *list)
{
    (void)state;
    (void)list;
    const bootc_image_text *cells;
#if defined CRASHES_FIRST
    abort();
#elif defined CRASHES_WITHIN
    host->write(call, "begun\n", 6);
    host->next_row(call, &cells);
    abort();
#elif defined FAILS_WITHIN
    host->write(call, "begun\n", 6);
    host->fail(call, text("vendor"), text("the module is asleep"), text("wake it"));
    return;
#elif defined WRITES_WITHOUT_END
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    while (host->write(call, block, sizeof block) == BOOTC_IMAGE_OK)
        ;
#elif defined HANGS_UP_WITHIN
    host->write(call, "begun\n", 6);
    host->next_row(call, &cells);
    shutdown(3, SHUT_RDWR);
#elif defined LOOPS
    for (volatile int i = 0;; i++)
        ;
#elif defined ESCAPES
    host->write(call, "\033[2J\033[31mred\n", 13);
#endif
    while (host->next_row(call, &cells) == BOOTC_IMAGE_OK)
        host->write(call, "row\n", 4);
}

static void plan(void *state, bootc_image_call *call, const bootc_image_command *command)
{
    (void)state;
    (void)call;
    (void)command;
#if defined CRASHES_FIRST
    abort();
#elif defined DENIES
    host->deny(call, text("not-now"), text("images stay as they are until Monday"), text("ask the release team"));
#elif defined PLANS_ANOTHER
    bootc_image_text argv[] = { text("list"), command->name };
    host->plan(call, argv, 1, text(""));
#elif defined PLANS
    bootc_image_text argv[2] = { command->name, text("--sort=created") };
    host->plan(call, argv, 2, text("The newest comes last."));
#endif
}

static const bootc_image_extension table = {
    .size = sizeof table,
    .major = BOOTC_IMAGE_EXTENSION_MAJOR,
    .minor = BOOTC_IMAGE_EXTENSION_MINOR,
    .format = format,
    .plan = plan,
};

const bootc_image_extension *bootc_image_extension_entry(const bootc_image_host *offered)
{
    host = offered;
    return &table;
}
