// A native policy in plain C: images may be fetched only from the registry in its setting `registry`.
//
//     cc -std=c11 -Wall -Wextra -O2 -fPIC -shared -fvisibility=hidden -I../../include -o one_registry.so one_registry.c

#include <string.h>

#include "bootc_image_extension.h"

static const bootc_image_host *host;

static bootc_image_text text(const char *of)
{
    return (bootc_image_text){ .data = of, .length = strlen(of) };
}

static int equal(bootc_image_text a, bootc_image_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static void evaluate(void *state, bootc_image_call *call, const bootc_image_operation *operation)
{
    (void)state;
    bootc_image_text registry;
    int32_t found = host->setting(call, text("registry"), &registry);
    // Settings are JSON: a string is enclosed in quotes.
    if (found != BOOTC_IMAGE_OK || registry.length < 2 || registry.data[0] != '"') {
        host->fail(call, text("settings"), text("the setting `registry` is missing or is not a string"),
                   text("set it in the configuration, for example: settings.one-registry.registry = \"quay.io\""));
        return;
    }
    registry.data += 1;
    registry.length -= 2;
    for (size_t i = 0; i < operation->image_count; i++) {
        const bootc_image_image *image = operation->images[i];
        // Only sources with the transport `docker` are fetched. Images in a storage have registry names, too, but are not fetched.
        if (image->name == NULL || !equal(image->role, text("source")) || !equal(image->name->transport, text("docker")))
            continue;
        if (!equal(image->name->registry, registry)) {
            host->detail(call, text("image"), image->name->canonical);
            host->deny(call, text("other-registry"), text("this image is not from the only allowed registry"),
                       text("change the setting registry of one-registry to allow another registry"));
            return;
        }
    }
    host->allow(call, text("every image is from the allowed registry"));
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
