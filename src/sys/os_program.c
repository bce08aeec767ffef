/* SPDX-License-Identifier: MIT */
/* errno is read here; see os.h. */
#include "sys/os_program.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static bool workers_call;

int hki_os_program_path(char *path, size_t size)
{
    static const char deleted[] = " (deleted)";
    ssize_t len = readlink("/proc/self/exe", path, size);

    if (len < 0)
        return -errno;
    if ((size_t)len >= size)
        return -ENAMETOOLONG;
    path[len] = '\0';
    if ((size_t)len >= sizeof(deleted) &&
        strcmp(path + len - (sizeof(deleted) - 1), deleted) == 0)
        return -ENOENT;
    return 0;
}

struct build_id {
    unsigned char *bytes;
    size_t size;
};

static size_t padded(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

static void search_notes(const unsigned char *note, size_t size, struct build_id *id)
{
    const unsigned char *end = note + size;

    while (note + sizeof(ElfW(Nhdr)) <= end) {
        const ElfW(Nhdr) *head = (const void *)note;
        const unsigned char *name = note + sizeof(*head);
        const unsigned char *bytes = name + padded(head->n_namesz);

        if (head->n_type == NT_GNU_BUILD_ID && head->n_namesz == sizeof(ELF_NOTE_GNU) &&
            memcmp(name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0 &&
            head->n_descsz <= HKI_BUILD_ID_MAX) {
            memcpy(id->bytes, bytes, head->n_descsz);
            id->size = head->n_descsz;
            return;
        }
        note = bytes + padded(head->n_descsz);
    }
}

/* The first object that is visited is the program. */
static int visit_program(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_NOTE)
            search_notes((const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
                         info->dlpi_phdr[i].p_memsz, ctx);
    return 1;
}

size_t hki_os_program_build_id(unsigned char *bytes)
{
    struct build_id id = {.bytes = bytes};

    dl_iterate_phdr(visit_program, &id);
    return id.size;
}

bool hki_os_take_worker_variable(void)
{
    bool is_there = getenv(HKI_WORKER_VARIABLE) != NULL;

    unsetenv(HKI_WORKER_VARIABLE);
    return is_there;
}

bool hki_os_has_rights_of_its_file(void)
{
    return getauxval(AT_SECURE) != 0;
}

void hki_os_workers_will_call(void)
{
    __atomic_store_n(&workers_call, true, __ATOMIC_RELAXED);
}

bool hki_os_workers_take_over(void)
{
    return __atomic_load_n(&workers_call, __ATOMIC_RELAXED);
}
