// Native policies that misbehave, one a test: each is compiled with the name of its test defined. CONTROL does none of it.

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bootc_image_extension.h"

// The host's end of the socket pair.
enum { HOST = 3 };

static const bootc_image_host *host;

static bootc_image_text text(const char *of)
{
    return (bootc_image_text){ .data = of, .length = strlen(of) };
}

__attribute__((unused)) static void say(const void *bytes, size_t length)
{
    const char *rest = bytes;
    while (length > 0) {
        ssize_t sent = send(HOST, rest, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        rest += sent;
        length -= (size_t)sent;
    }
}

#ifdef NATIVE_STACK_OVERFLOW
static int deep(volatile char *before);
// So that the compiler doesn't see it.
static int (*volatile deeper)(volatile char *) = deep;

static int deep(volatile char *before)
{
    volatile char frame[4096];
    frame[0] = before[0];
    return deeper(frame) + frame[0];
}
#endif

#ifdef ENDS_BETWEEN_QUESTIONS
static void *leave(void *nothing)
{
    usleep(15000);
    _exit(0);
    return nothing;
}
#endif

#ifdef ANSWERS_UNASKED
static int equal(bootc_image_text a, const char *b)
{
    return a.length == strlen(b) && memcmp(a.data, b, a.length) == 0;
}

static int is_resolved(const bootc_image_operation *operation)
{
    for (size_t i = 0; i < operation->attr_count; i++)
        if (equal(operation->attrs[i].key, "resolved"))
            return equal(operation->attrs[i].value, "true");
    return 0;
}

static void *answer_unasked(void *nothing)
{
    static const char verdict[] = "{\"verdict\":{\"reason\":\"\",\"attrs\":[]}}";
    char head[] = { 'm', sizeof verdict - 1, 0, 0, 0 };
    usleep(15000);
    say(head, sizeof head);
    say(verdict, sizeof verdict - 1);
    return nothing;
}
#endif

#ifdef NATIVE_CRASH_WHILE_LOADING
__attribute__((constructor)) static void begin(void)
{
    abort();
}
#endif

__attribute__((unused)) static void evaluate(void *state, bootc_image_call *call, const bootc_image_operation *operation)
{
    (void)state;
    (void)operation;
#if defined NATIVE_SEGFAULT
    *(volatile int *)8 = 1;
#elif defined NATIVE_ABORT
    abort();
#elif defined NATIVE_EXIT
    exit(0);
#elif defined NATIVE_DOUBLE_FREE
    void *volatile block = malloc(100);
    void *volatile again = block;
    free(block);
    free(again);
#elif defined NATIVE_LOOP
    for (volatile int i = 0;; i++)
        ;
#elif defined NATIVE_SLEEP
    for (;;)
        pause();
#elif defined NATIVE_FORK_BOMB
    // As many as don't hurt where they are allowed.
    int started = 0;
    for (int i = 0; i < 50; i++) {
        pid_t child = i % 2 ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            alarm(20);
            pause();
            _exit(0);
        }
        started += child > 0;
    }
    if (started == 0) {
        host->deny(call, text("alone"), text("no process could be started"), text(""));
        return;
    }
#elif defined NATIVE_PROGRAM
    execl("/bin/true", "true", (char *)NULL);
    host->deny(call, text("alone"), text("no program could be started"), text(""));
    return;
#elif defined NATIVE_STACK_OVERFLOW
    char frame = 0;
    host->detail(call, text("never"), text(deep(&frame) ? "a" : "b"));
#elif defined NATIVE_MEMORY
    for (;;) {
        char *block = malloc(1 << 20);
        if (block == NULL)
            abort();
        memset(block, 1, 1 << 20);
    }
#elif defined NATIVE_STDOUT
    for (int i = 0; i < 100000; i++)
        if (write(1, "printed by the library\n", 23) < 0)
            break;
#elif defined NATIVE_CLOSES_DESCRIPTORS
    for (int i = 0; i < 256; i++)
        close(i);
#elif defined FAILS_WITHOUT_A_HINT
    host->fail(call, text("asleep"), text("the module is asleep"), text(""));
    return;
#elif defined NATIVE_INVALID_UTF8
    host->allow(call, text("\xff\xfe"));
    return;
#elif defined DENIES_IN_BYTES
    host->deny(call, text("bad"), text("\xff\xfe"), text(""));
    return;
#elif defined DENIES_WITHOUT_WORDS
    host->deny(call, text("No Code"), text(""), text(""));
    return;
#elif defined DENIES_AT_LENGTH
    // So that nothing is left of what may be said.
    while (host->log(call, BOOTC_IMAGE_LOG_DEBUG, text("all that may be said")) == BOOTC_IMAGE_OK)
        ;
    while (host->detail(call, text(""), text("")) == BOOTC_IMAGE_OK)
        ;
    host->deny(call, text("bad"), (bootc_image_text){ .data = "x", .length = (size_t)1 << 30 }, text(""));
    return;
#elif defined NATIVE_ESCAPES
    host->deny(call, text("bad"), text("\033[2J\033[Hallowed"), text("\xe2\x80\xae"));
    return;
#elif defined NATIVE_GIGABYTE_OF_TEXT
    host->allow(call, (bootc_image_text){ .data = "x", .length = (size_t)1 << 30 });
    return;
#elif defined NATIVE_GIGABYTE_OF_ANSWER
    // 512 MiB of output, in one frame.
    char head[] = { 'o', 0, 0, 0, 0x20 };
    say(head, sizeof head);
    char *block = calloc(1, 1 << 20);
    for (int i = 0; i < 512; i++)
        say(block, 1 << 20);
#elif defined NATIVE_GARBAGE
    say("hello, world", 12);
    sleep(1);
#elif defined NATIVE_ANSWER_TO_ANOTHER_QUESTION
    static const char plan[] = "{\"plan\":{\"argv\":[\"rm\"],\"message\":\"\"}}";
    char head[] = { 'm', sizeof plan - 1, 0, 0, 0 };
    say(head, sizeof head);
    say(plan, sizeof plan - 1);
    sleep(1);
#elif defined GIVES_UP_ITS_PRIVILEGES
    if (setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0)
        for (;;)
            pause();
#elif defined ENDS_BETWEEN_QUESTIONS
    pthread_t thread;
    if (pthread_create(&thread, NULL, leave, NULL) != 0)
        abort();
#elif defined ENDS_WHEN_ASKED_AGAIN
    static int asked;
    if (asked++ > 0)
        _exit(0);
#elif defined ANSWERS_UNASKED
    if (is_resolved(operation)) {
        host->deny(call, text("no"), text("what was asked is denied"), text(""));
        return;
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer_unasked, NULL) != 0)
        abort();
#elif defined NATIVE_SILENCE
    return;
#elif defined NATIVE_SECOND_THOUGHT
    host->deny(call, text("first"), text("the first answer counts"), text(""));
#elif defined NATIVE_FORGED_CALL
    if (host->allow((bootc_image_call *)((char *)call + 16), text("")) == BOOTC_IMAGE_OK)
        return;
    host->deny(NULL, text("x"), text("x"), text("x"));
    host->deny(call, text("forged"), text("a forged call leads to nothing"), text(""));
    return;
#elif defined NATIVE_CHANGED_BEFORE
    host->deny(call, text("no"), text("as it was approved, it denies"), text(""));
    return;
#endif
    host->allow(call, text(""));
}

static const bootc_image_extension table = {
#ifdef NATIVE_WRONG_SIZE
    .size = 3,
#else
    .size = sizeof table,
#endif
#ifdef NATIVE_WRONG_MAJOR
    .major = BOOTC_IMAGE_EXTENSION_MAJOR + 1,
#else
    .major = BOOTC_IMAGE_EXTENSION_MAJOR,
#endif
    .minor = BOOTC_IMAGE_EXTENSION_MINOR,
#ifdef NATIVE_NULL_CALLBACK
    .evaluate = NULL,
#else
    .evaluate = evaluate,
#endif
};

#ifdef NATIVE_MISSING_SYMBOL
#define bootc_image_extension_entry another_entry
BOOTC_IMAGE_EXTENSION_EXPORT const bootc_image_extension *another_entry(const bootc_image_host *offered);
#endif

const bootc_image_extension *bootc_image_extension_entry(const bootc_image_host *offered)
{
    host = offered;
#ifdef NATIVE_NULL_TABLE
    return NULL;
#else
    return &table;
#endif
}
