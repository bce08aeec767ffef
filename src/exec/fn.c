/* SPDX-License-Identifier: MIT */
/*
 * The registry of functions, by module and name. A module is a program or a library,
 * told apart by where the loader has put it; its file name is the part of the key that
 * another process knows. Filled by constructors, so it is static and takes no memory.
 */
#include "exec/fn.h"

#include "base/assert.h"
#include "base/lock.h"
#include "exec/executor.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

enum { BUCKETS = 256 };

static hk_fn *registry[BUCKETS]; /* guarded by lock */
static uint32_t lock;

/* FNV-1a (Fowler, Noll and Vo). */
static hk_fn **bucket_of(const char *name)
{
    uint32_t hash = 2166136261u;

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return &registry[hash % BUCKETS];
}

/* The library that `fn` was loaded from; "": the program itself, however it was called
 * this time. */
static const char *module_of(const hk_fn *fn)
{
    struct link_map *map = NULL;
    Dl_info info;

    return dladdr1(fn, &info, (void **)&map, RTLD_DL_LINKMAP) && map && map->l_name
               ? map->l_name
               : "";
}

static hk_fn *find_locked(const char *module, const char *name)
{
    for (hk_fn *fn = *bucket_of(name); fn; fn = fn->hki_next)
        if (strcmp(fn->name, name) == 0 && strcmp(fn->hki_module, module) == 0)
            return fn;
    return NULL;
}

void hk_fn_register(hk_fn *fn)
{
    hk_fn **bucket = bucket_of(fn->name);
    const char *module = module_of(fn);

    hki_lock_acquire(&lock);
    if (find_locked(module, fn->name))
        hki_panic("two functions of HK_FN are called '%s' in %s", fn->name,
                  *module ? module : "the program");
    fn->hki_module = module;
    fn->hki_next = *bucket;
    *bucket = fn;
    hki_lock_release(&lock);
}

void hk_fn_unregister(hk_fn *fn)
{
    hki_lock_acquire(&lock);
    for (hk_fn **link = bucket_of(fn->name); *link; link = &(*link)->hki_next)
        if (*link == fn) {
            *link = fn->hki_next;
            break;
        }
    hki_lock_release(&lock);
}

const hk_fn *hki_fn_find(const char *module, const char *name)
{
    const hk_fn *fn;

    hki_lock_acquire(&lock);
    fn = find_locked(module, name);
    hki_lock_release(&lock);
    return fn;
}

/* ---- typed results ---- */

/* The function of which it is a job; NULL: it is none of HK_FN, and has no type. */
static const hk_fn *fn_of(const hk_future *future)
{
    const struct hki_job *job = hki_future_job(future);

    return job ? job->fn : NULL;
}

static void check_type(const hk_future *future, const hk_fn *fn)
{
    const hk_fn *other = fn_of(future);

    if (HKI_UNLIKELY(other && other != fn))
        hki_panic("%s_await of a future of '%s'", fn->name, other->name);
}

int hki_fn_check_result(const hk_fn *fn, hk_bytes result)
{
    const char *text = (const char *)result.data;
    bool is_one = true;

    if (fn->result.kind == HK_FIELD_PLAIN)
        is_one = result.size == fn->result.size;
    else if (fn->result.kind == HK_FIELD_STR)
        is_one = result.size == 0 || text[result.size - 1] == '\0';
    return is_one ? 0 : -EBADMSG;
}

/* What a worker process sends may be anything; the others are set by the program. */
static int check_result(const hk_future *future, const hk_fn *fn, hk_bytes result)
{
    int rc = hki_fn_check_result(fn, result);

    if (HKI_UNLIKELY(rc < 0 && !fn_of(future)))
        hki_panic("%s_await of a future with %zu bytes that are no result of it",
                  fn->name, result.size);
    return rc;
}

static void copy_out(const hk_fn *fn, hk_bytes result, void *out)
{
    switch ((hk_field_kind)fn->result.kind) {
    case HK_FIELD_BYTES: memcpy(out, &result, sizeof(result)); break;
    case HK_FIELD_STR: memcpy(out, &result.data, sizeof(result.data)); break;
    case HK_FIELD_PLAIN: memcpy(out, result.data, result.size); break;
    case HK_FIELD_VOID:
    case HK_FIELD_RC: break;
    }
}

int hk_fn_await(hk_future *future, const hk_fn *fn, void *out)
{
    hk_bytes result;
    int rc, checked;

    check_type(future, fn);
    rc = hk_future_await(future, &result);
    if (rc < 0 || !out)
        return rc;
    checked = check_result(future, fn, result);
    if (checked < 0)
        return checked;
    copy_out(fn, result, out);
    return rc;
}
