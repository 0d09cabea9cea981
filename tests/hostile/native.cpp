// A native policy that throws across the edge.

#include <stdexcept>

#include "bootc_image_extension.h"

static void evaluate(void *, bootc_image_call *, const bootc_image_operation *)
{
    throw std::runtime_error("nobody catches this");
}

static const bootc_image_extension table = {
    sizeof table, BOOTC_IMAGE_EXTENSION_MAJOR, BOOTC_IMAGE_EXTENSION_MINOR, nullptr, evaluate, nullptr, nullptr,
};

const bootc_image_extension *bootc_image_extension_entry(const bootc_image_host *)
{
    return &table;
}
