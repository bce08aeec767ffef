/* SPDX-License-Identifier: MIT */
/* Packing and unpacking of arguments; the form is in exec/pack.h. */
#include "exec/pack.h"

#include <string.h>

/* Bytes of a payload with what makes the next one begin aligned; SIZE_MAX: too many. */
static size_t padded(size_t size)
{
    return size > SIZE_MAX - HKI_IMAGE_ALIGN
               ? SIZE_MAX
               : (size + HKI_IMAGE_ALIGN - 1) / HKI_IMAGE_ALIGN * HKI_IMAGE_ALIGN;
}

static size_t sum(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

/* What the field points at; empty for a plain one. */
static hk_bytes payload_of(const hk_field *field, const void *args)
{
    const char *place = (const char *)args + field->offset;
    hk_bytes bytes = {NULL, 0};
    hk_str text;

    if (field->kind == HK_FIELD_BYTES) {
        memcpy(&bytes, place, sizeof(bytes));
    } else if (field->kind == HK_FIELD_STR) {
        memcpy(&text, place, sizeof(text));
        if (text)
            bytes = (hk_bytes){text, strlen(text) + 1};
    }
    return bytes;
}

/* Writes the offset where the pointer was: 0 for none. A payload never begins at 0. */
static void put_offset(const hk_field *field, unsigned char *image, size_t offset)
{
    if (field->kind == HK_FIELD_BYTES)
        memcpy(image + field->offset + offsetof(hk_bytes, data), &offset,
               sizeof(offset));
    else
        memcpy(image + field->offset, &offset, sizeof(offset));
}

size_t hki_pack_size(const hk_fn *fn, const void *args)
{
    size_t size = padded(fn->args_size);

    for (uint32_t i = 0; i < fn->field_count; i++)
        size = sum(size, padded(payload_of(&fn->fields[i], args).size));
    return size;
}

void hki_pack(const hk_fn *fn, const void *args, unsigned char *image)
{
    size_t used = padded(fn->args_size);

    memcpy(image, args, fn->args_size);
    for (uint32_t i = 0; i < fn->field_count; i++) {
        const hk_field *field = &fn->fields[i];
        hk_bytes payload;

        if (field->kind == HK_FIELD_PLAIN)
            continue;
        payload = payload_of(field, args);
        put_offset(field, image, payload.size ? used : 0);
        if (payload.size)
            memcpy(image + used, payload.data, payload.size);
        used += padded(payload.size);
    }
}

/* Turns one offset into a pointer. False: it leads out of the image. */
static bool relocate(const hk_field *field, unsigned char *image, size_t size)
{
    unsigned char *place = image + field->offset;
    hk_bytes bytes;
    uintptr_t offset;
    hk_str text;

    if (field->kind == HK_FIELD_STR) {
        memcpy(&offset, place, sizeof(offset));
        if (offset && (offset >= size || !memchr(image + offset, '\0', size - offset)))
            return false;
        text = offset ? (hk_str)(image + offset) : NULL;
        memcpy(place, &text, sizeof(text));
    } else if (field->kind == HK_FIELD_BYTES) {
        memcpy(&bytes, place, sizeof(bytes));
        offset = (uintptr_t)bytes.data;
        if (bytes.size && (offset >= size || bytes.size > size - offset))
            return false;
        bytes.data = bytes.size ? image + offset : NULL;
        memcpy(place, &bytes, sizeof(bytes));
    }
    return true;
}

int hki_unpack(const hk_fn *fn, unsigned char *image, size_t size)
{
    if (size < fn->args_size)
        return -EBADMSG;
    for (uint32_t i = 0; i < fn->field_count; i++)
        if (!relocate(&fn->fields[i], image, size))
            return -EBADMSG;
    return 0;
}
