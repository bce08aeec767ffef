/* SPDX-License-Identifier: MIT */
#include "sys/os_module.h"

#include "base/alloc.h"
#include "base/lock.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

/* Filled from the front, nothing is ever taken out; the program's own is not there. */
static struct {
    struct {
        char *path;     /* in the process that asks */
        uintptr_t bias; /* in the other: what its addresses begin at; 0: not loaded */
    } libraries[HKI_MODULES_MAX];
    uint32_t count; /* atomic: written with the lock */
    uint32_t lock;
} modules;

/* Where the program's own addresses begin and end. */
struct extent {
    uintptr_t bias, first, end;
};

/* The first object that is visited is the program. */
static int measure_program(struct dl_phdr_info *info, size_t size, void *ctx)
{
    struct extent *program = ctx;

    (void)size;
    *program = (struct extent){.bias = info->dlpi_addr, .first = UINTPTR_MAX};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t first = info->dlpi_addr + segment->p_vaddr;

        if (segment->p_type != PT_LOAD)
            continue;
        if (first < program->first)
            program->first = first;
        if (first + segment->p_memsz > program->end)
            program->end = first + segment->p_memsz;
    }
    return 1;
}

/* The same whenever it is asked, so it does not matter who writes it first. */
static struct extent program_extent(void)
{
    static struct extent known;
    static uint32_t is_known; /* atomic */
    struct extent program;

    if (__atomic_load_n(&is_known, __ATOMIC_ACQUIRE))
        return known;
    dl_iterate_phdr(measure_program, &program);
    hki_lock_acquire(&modules.lock);
    known = program;
    __atomic_store_n(&is_known, 1, __ATOMIC_RELEASE);
    hki_lock_release(&modules.lock);
    return program;
}

/* With the lock. */
static int number_of(const char *path, uint32_t *out)
{
    uint32_t i;

    for (i = 0; i < modules.count; i++)
        if (strcmp(modules.libraries[i].path, path) == 0)
            break;
    if (i == modules.count) {
        if (i == HKI_MODULES_MAX - 1)
            return -ENOSPC;
        modules.libraries[i].path = hki_strdup(path);
        if (!modules.libraries[i].path)
            return -ENOMEM;
        __atomic_store_n(&modules.count, i + 1, __ATOMIC_RELEASE);
    }
    *out = i + 1;
    return 0;
}

static bool is_in_program(uintptr_t at, uint32_t *out_module, uint64_t *out_offset)
{
    struct extent program = program_extent();

    if (at < program.first || at >= program.end)
        return false;
    *out_module = HKI_MODULE_PROGRAM;
    *out_offset = at - program.bias;
    return true;
}

int hki_os_module_of(const void *address, uint32_t *out_module, uint64_t *out_offset)
{
    uintptr_t at = (uintptr_t)address;
    struct link_map *map;
    Dl_info info;
    int rc;

    if (is_in_program(at, out_module, out_offset))
        return 0;
    if (!dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) || !map->l_name[0])
        return -ENOENT;
    hki_lock_acquire(&modules.lock);
    rc = number_of(map->l_name, out_module);
    hki_lock_release(&modules.lock);
    if (rc == 0)
        *out_offset = at - map->l_addr;
    return rc;
}

const char *hki_os_module_path(uint32_t module)
{
    if (module == 0 || module > __atomic_load_n(&modules.count, __ATOMIC_ACQUIRE))
        return NULL;
    return modules.libraries[module - 1].path;
}

void hki_os_module_load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    struct link_map *map;

    if (library && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0)
        modules.libraries[modules.count].bias = map->l_addr;
    modules.count++;
}

void hki_os_module_forget(void)
{
    modules.count = 0; /* their paths stay; nobody asks */
}

int hki_os_module_of_loaded(const void *address, uint32_t *out_module,
                            uint64_t *out_offset)
{
    uintptr_t at = (uintptr_t)address;
    struct link_map *map;
    Dl_info info;

    if (is_in_program(at, out_module, out_offset))
        return 0;
    if (!dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP))
        return -ENOENT;
    for (uint32_t i = 0; i < modules.count; i++)
        if (modules.libraries[i].bias == map->l_addr) {
            *out_module = i + 1;
            *out_offset = at - map->l_addr;
            return 0;
        }
    return -ENOENT;
}

void *hki_os_module_address(uint32_t module, uint64_t offset)
{
    if (module == HKI_MODULE_PROGRAM)
        return (void *)(program_extent().bias + (uintptr_t)offset);
    if (module > modules.count || !modules.libraries[module - 1].bias)
        return NULL;
    return (void *)(modules.libraries[module - 1].bias + (uintptr_t)offset);
}
