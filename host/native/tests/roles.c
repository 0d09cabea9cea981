// An extension with all roles that calls every function of the host, correctly and incorrectly. If a result differs from the header's
// description, the line is reported.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootc_image_extension.h"

static const bootc_image_host *host;

static bootc_image_text text(const char *of)
{
    return (bootc_image_text){ .data = of, .length = strlen(of) };
}

static int equal(bootc_image_text a, const char *b)
{
    return a.length == strlen(b) && memcmp(a.data, b, a.length) == 0;
}

#define MUST(condition)                                                                                                \
    if (!(condition)) {                                                                                                \
        char line[32];                                                                                                 \
        snprintf(line, sizeof line, "line %d", __LINE__);                                                              \
        host->fail(call, text("wrong"), text(line), text(""));                                                         \
        return;                                                                                                        \
    }

static void *on_another_thread(void *call)
{
    static int32_t said;
    said = host->allow(call, text(""));
    return &said;
}

static void try_everything(void *state, bootc_image_call *call, const bootc_image_operation *operation)
{
    static bootc_image_call *earlier;
    MUST(strcmp(state, "state") == 0);
    MUST(host->size == sizeof *host && host->major == 1);
    MUST(operation->size == sizeof *operation);
    MUST(equal(operation->kind, "cmd pull") && equal(operation->digest, "sha256:0"));
    MUST(operation->argv_count == 2 && equal(operation->argv[1], "b c"));
    MUST(operation->attr_count == 1 && equal(operation->attrs[0].key, "pinned"));
    MUST(operation->image_count == 2);
    const bootc_image_image *named = operation->images[0], *by_id = operation->images[1];
    MUST(equal(named->role, "source") && equal(named->name->registry, "quay.io") && equal(named->name->tag, ""));
    MUST(named->attr_count == 1 && equal(named->attrs[0].value, "1234"));
    MUST(by_id->name == NULL && by_id->digest.length == 0);

    bootc_image_text json;
    MUST(host->setting(call, text("known"), &json) == BOOTC_IMAGE_OK && equal(json, "[1, \"\xc3\xa4\"]"));
    MUST(host->setting(call, text("unknown"), &json) == BOOTC_IMAGE_ABSENT);
    MUST(host->setting(call, text("known"), NULL) == BOOTC_IMAGE_INVALID);
    MUST(host->log(call, BOOTC_IMAGE_LOG_INFO, text("a line")) == BOOTC_IMAGE_OK);
    MUST(host->log(call, BOOTC_IMAGE_LOG_INFO, text("\xff")) == BOOTC_IMAGE_INVALID);
    MUST(host->log(call, 0, (bootc_image_text){ .data = NULL, .length = 1 }) == BOOTC_IMAGE_INVALID);
    MUST(host->log(NULL, 0, text("x")) == BOOTC_IMAGE_INVALID);
    MUST(earlier == NULL || host->log(earlier, 0, text("x")) == BOOTC_IMAGE_INVALID);
    const bootc_image_text *cells;
    MUST(host->next_row(call, &cells) == BOOTC_IMAGE_INVALID);
    MUST(host->write(call, "x", 1) == BOOTC_IMAGE_INVALID);
    MUST(host->plan(call, NULL, 0, text("")) == BOOTC_IMAGE_INVALID);
    pthread_t thread;
    void *said;
    MUST(pthread_create(&thread, NULL, on_another_thread, call) == 0 && pthread_join(thread, &said) == 0);
    MUST(*(int32_t *)said == BOOTC_IMAGE_INVALID);
    earlier = call;
}

// Denies with texts that the host cannot accept, if that was requested.
static int denies(bootc_image_call *call, bootc_image_text kind, bootc_image_text much)
{
    int32_t taken;
    if (equal(kind, "denied with odd words"))
        taken = host->deny(call, text("Not A Code"), text(""), text(""));
    else if (equal(kind, "denied with bytes"))
        taken = host->deny(call, text("code"), text("\xff"), text(""));
    else if (equal(kind, "denied with too much"))
        taken = host->deny(call, text("code"), much, much);
    else if (equal(kind, "denied with nothing there"))
        taken = host->deny(call, (bootc_image_text){ .data = NULL, .length = 1 }, text("message"), text(""));
    else if (equal(kind, "denied at last")) {
        while (host->log(call, BOOTC_IMAGE_LOG_DEBUG, much) == BOOTC_IMAGE_OK)
            ;
        while (host->detail(call, text(""), text("x")) == BOOTC_IMAGE_OK)
            ;
        taken = host->deny(call, text("code"), much, text(""));
    } else
        return 0;
    if (taken != BOOTC_IMAGE_OK)
        abort();
    return 1;
}

static void evaluate(void *state, bootc_image_call *call, const bootc_image_operation *operation)
{
    static char half[600 << 10];
    memset(half, 'x', sizeof half);
    bootc_image_text much = { .data = half, .length = sizeof half };
    if (denies(call, operation->kind, much))
        return;
    try_everything(state, call, operation);
    // Nothing was answered above, unless something was wrong.
    host->detail(call, text("a"), text("b"));
    // What fails leaves the call as it was, whatever was read of it.
    if (host->detail(call, much, much) != BOOTC_IMAGE_TOO_LARGE)
        abort();
    if (host->log(call, BOOTC_IMAGE_LOG_DEBUG, much) != BOOTC_IMAGE_OK)
        abort();
    host->allow(call, text("all is well"));
    if (host->deny(call, text("x"), text("x"), text("x")) != BOOTC_IMAGE_INVALID)
        abort();
    // What is too large isn't looked at.
    bootc_image_text large = { .data = "x", .length = (size_t)-1 };
    if (host->log(call, 0, large) != BOOTC_IMAGE_TOO_LARGE)
        abort();
}

static void format(void *state, bootc_image_call *call, const bootc_image_list *list)
{
    (void)state;
    if (equal(list->format, "fails")) {
        host->fail(call, text(""), text("\xff"), text(""));
        return;
    }
    MUST(equal(list->format, "lines") && list->column_count == 2 && equal(list->columns[1], "image"));
    MUST(list->option_count == 1 && equal(list->options[0].value, "false"));
    MUST(host->allow(call, text("")) == BOOTC_IMAGE_INVALID && host->write(call, NULL, 1) == BOOTC_IMAGE_INVALID);
    MUST(host->write(call, NULL, 0) == BOOTC_IMAGE_OK && host->next_row(call, NULL) == BOOTC_IMAGE_INVALID);
    const bootc_image_text *cells;
    int32_t found;
    while ((found = host->next_row(call, &cells)) == BOOTC_IMAGE_OK) {
        MUST(host->write(call, cells[0].data, cells[0].length) == BOOTC_IMAGE_OK);
        MUST(host->write(call, "\t", 1) == BOOTC_IMAGE_OK);
        MUST(host->write(call, cells[1].data, cells[1].length) == BOOTC_IMAGE_OK);
        MUST(host->write(call, "\n", 1) == BOOTC_IMAGE_OK);
    }
    MUST(found == BOOTC_IMAGE_ABSENT && host->next_row(call, &cells) == BOOTC_IMAGE_ABSENT);
    char *large = malloc(3 << 20);
    memset(large, 'x', 3 << 20);
    MUST(host->write(call, large, 3 << 20) == BOOTC_IMAGE_OK);
    free(large);
}

static void plan(void *state, bootc_image_call *call, const bootc_image_command *command)
{
    (void)state;
    MUST(equal(command->name, "newest") && command->arg_count == 1 && equal(command->args[0], "-a"));
    MUST(host->plan(call, NULL, 1, text("")) == BOOTC_IMAGE_INVALID);
    bootc_image_text argv[] = { text("list"), text("--all") };
    MUST(host->plan(call, argv, (size_t)-1, text("")) == BOOTC_IMAGE_TOO_LARGE);
    MUST(host->plan(call, argv, 2, text("all of them")) == BOOTC_IMAGE_OK);
}

static char state[] = "state";

#ifdef NEWER
// As a later version might have it: more at the end.
static const struct {
    bootc_image_extension known;
    void (*later)(void);
} table = { { sizeof table, BOOTC_IMAGE_EXTENSION_MAJOR, 7, state, evaluate, format, plan }, abort };
#elif defined OLDER
// As an earlier version might have had it: less at the end.
static const struct {
    size_t size;
    uint32_t major, minor;
    void *state;
    void (*evaluate)(void *, bootc_image_call *, const bootc_image_operation *);
    void (*beyond)(void);
} table = { offsetof(bootc_image_extension, format), BOOTC_IMAGE_EXTENSION_MAJOR, 0, state, evaluate, abort };
#else
#ifndef MAJOR
#define MAJOR BOOTC_IMAGE_EXTENSION_MAJOR
#endif
#ifndef MORE
#define MORE 0
#endif
static const bootc_image_extension table = {
    sizeof table + MORE, MAJOR, BOOTC_IMAGE_EXTENSION_MINOR, state, evaluate, format, plan,
};
#endif

#ifdef MISSING
void missing(void);
#else
static void missing(void) {}
#endif

const bootc_image_extension *bootc_image_extension_entry(const bootc_image_host *offered)
{
    host = offered;
    missing();
    (void)format;
    (void)plan;
    return (const void *)&table;
}
