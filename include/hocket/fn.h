/* SPDX-License-Identifier: MIT */
#ifndef HOCKET_FN_H
#define HOCKET_FN_H

#include <hocket/executor.h>

HK_BEGIN_DECLS

typedef enum hk_field_kind {
    HK_FIELD_PLAIN, /* size bytes */
    HK_FIELD_BYTES, /* an hk_bytes */
    HK_FIELD_STR,   /* an hk_str */
    HK_FIELD_VOID,  /* a result that is none */
    HK_FIELD_RC,    /* a result that is an hk_rc: the job's >= 0 or error */
} hk_field_kind;

/* An argument, or the result, of a function of HK_FN. */
typedef struct hk_field {
    uint16_t offset; /* in the struct of the arguments */
    uint16_t kind;   /* hk_field_kind */
    uint32_t size;
} hk_field;

enum { HK_FN_ARGS_MAX = 8 };

/* What HK_FN tells the library about a function. All of it is made by the macros. */
typedef struct hk_fn {
    const char *name;
    /* Calls the function with the arguments of a struct; `result` has room for it. */
    void (*call)(void *args, void *result);
    uint32_t args_size;
    uint16_t field_count;
    uint16_t is_local; /* takes pointers: stays in this process */
    hk_field result;
    hk_field fields[HK_FN_ARGS_MAX];
    struct hk_fn *hki_next; /* in the registry */
    const void *hki_module;
    uint64_t reserved[2];
} hk_fn;

HK_END_DECLS

#endif
