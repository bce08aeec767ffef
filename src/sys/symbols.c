/* SPDX-License-Identifier: MIT */
/*
 * Files are mapped when the first of their addresses is looked up and stay mapped until
 * a module is loaded or unloaded. A lookup walks the symbols of one file, which takes
 * tens of microseconds; what it found is remembered by address, since the stacks of a
 * program's tasks have few different ones. All of it is in static memory and mappings:
 * the heap may be what is broken, or locked by who is being looked at.
 */
#include "sys/symbols.h"

#include "base/lock.h"
#include "sys/os.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MODULES_MAX = 256,
    KNOWN_MAX = 1024, /* addresses that are remembered */
    PATH_SIZE = 256,
    NAME_SIZE = sizeof(((struct hki_symbol *)0)->module),
    TRIES_MAX = 1000,
};

typedef ElfW(Sym) elf_symbol;
typedef ElfW(Shdr) elf_section;

/* The symbols of a mapped file; count 0: it has none. */
struct table {
    const elf_symbol *symbols;
    size_t count;
    const char *names;
    size_t names_size;
};

struct module {
    uintptr_t base;       /* what is added to the file's addresses */
    uintptr_t begin, end; /* where it is mapped */
    char path[PATH_SIZE];
    char name[NAME_SIZE]; /* the last part of the path, for people */
    bool was_read;
    struct table table;
    const unsigned char *file;
    size_t file_size;
};

struct known {
    uintptr_t address;
    const struct module *module;
    const elf_symbol *symbol; /* NULL: none */
};

/* Everything below is guarded by it. */
static uint32_t lock;
static struct module modules[MODULES_MAX];
static int module_count;
static unsigned long long changes_seen; /* of the list of loaded modules, plus one */
static struct known known[KNOWN_MAX];

/* ---- the loaded modules ---- */

static unsigned long long changes_of(const struct dl_phdr_info *info)
{
    return info->dlpi_adds + info->dlpi_subs + 1;
}

static int read_changes(struct dl_phdr_info *info, size_t size, void *out)
{
    (void)size;
    *(unsigned long long *)out = changes_of(info);
    return 1; /* the first one is enough */
}

static void name_module(struct module *module, bool is_program)
{
    char target[PATH_SIZE];
    const char *path = module->path, *slash;

    if (is_program) {
        ssize_t len = readlink(path, target, sizeof(target) - 1);

        target[len > 0 ? len : 0] = '\0';
        path = target;
    }
    slash = strrchr(path, '/');
    (void)snprintf(module->name, NAME_SIZE, "%.*s", NAME_SIZE - 1,
                   slash ? slash + 1 : path);
}

static int add_module(struct dl_phdr_info *info, size_t size, void *unused)
{
    bool is_program = !info->dlpi_name || !info->dlpi_name[0];
    struct module *module = &modules[module_count];

    (void)size;
    (void)unused;
    if (module_count == MODULES_MAX)
        return 1;
    *module = (struct module){.base = info->dlpi_addr, .begin = UINTPTR_MAX};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + part->p_vaddr;

        if (part->p_type != PT_LOAD)
            continue;
        if (begin < module->begin)
            module->begin = begin;
        if (begin + part->p_memsz > module->end)
            module->end = begin + part->p_memsz;
    }
    snprintf(module->path, sizeof(module->path), "%s",
             is_program ? "/proc/self/exe" : info->dlpi_name);
    name_module(module, is_program);
    module_count++;
    changes_seen = changes_of(info);
    return 0;
}

static void refresh(void)
{
    unsigned long long changes = 0;

    (void)dl_iterate_phdr(read_changes, &changes);
    if (changes == changes_seen)
        return;
    for (int i = 0; i < module_count; i++)
        if (modules[i].file)
            (void)munmap((void *)(uintptr_t)modules[i].file, modules[i].file_size);
    memset(known, 0, sizeof(known));
    module_count = 0;
    (void)dl_iterate_phdr(add_module, NULL);
}

static struct module *module_at(uintptr_t address)
{
    for (int i = 0; i < module_count; i++)
        if (address >= modules[i].begin && address < modules[i].end)
            return &modules[i];
    return NULL;
}

/* ---- a module's file ---- */

/* Without the memory for it the next lookup tries again. */
static bool map_file(struct module *module)
{
    int fd = open(module->path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    void *file = MAP_FAILED;

    module->was_read = fd < 0; /* no file, or none that we may read: for good */
    if (fd < 0)
        return false;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size > (off_t)sizeof(ElfW(Ehdr)))
        file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (file == MAP_FAILED)
        return false;
    module->file = file;
    module->file_size = (size_t)status.st_size;
    module->was_read = true;
    return true;
}

/* A part of the file, or NULL when it does not lie inside. */
static const void *part_of(const struct module *module, uint64_t offset, uint64_t size)
{
    if (offset > module->file_size || size > module->file_size - offset)
        return NULL;
    return module->file + offset;
}

static const elf_section *sections_of(const struct module *module, size_t *out_count)
{
    const ElfW(Ehdr) *head = part_of(module, 0, sizeof(*head));

    if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_shentsize != sizeof(elf_section) || head->e_shoff % sizeof(void *) != 0)
        return NULL;
    *out_count = head->e_shnum;
    return part_of(module, head->e_shoff,
                   (uint64_t)head->e_shnum * sizeof(elf_section));
}

/* The symbols of one section, if it is of that type and whole. */
static bool read_table(struct module *module, const elf_section *sections, size_t count,
                       const elf_section *section)
{
    struct table *table = &module->table;
    const elf_section *names;

    if (section->sh_link >= count || section->sh_offset % sizeof(void *) != 0)
        return false;
    names = &sections[section->sh_link];
    table->symbols = part_of(module, section->sh_offset, section->sh_size);
    table->names = part_of(module, names->sh_offset, names->sh_size);
    if (!table->symbols || !table->names || !names->sh_size ||
        table->names[names->sh_size - 1] != '\0')
        return false;
    table->names_size = names->sh_size;
    table->count = section->sh_size / sizeof(elf_symbol);
    return true;
}

/* All symbols if the file has them, else the exported ones. */
static void read_module(struct module *module)
{
    static const uint32_t types[] = {SHT_SYMTAB, SHT_DYNSYM};
    const elf_section *sections;
    size_t count = 0;

    if (!map_file(module) || !(sections = sections_of(module, &count)))
        return;
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < count; i++)
            if (sections[i].sh_type == types[t] &&
                read_table(module, sections, count, &sections[i]))
                return;
}

/* ---- lookup ---- */

static bool is_function(const elf_symbol *symbol)
{
    unsigned type = symbol->st_info & 0xf;

    return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF;
}

/* Of several names the one that other files see: "f" rather than "f.localalias". */
static const elf_symbol *symbol_at(const struct table *table, uintptr_t address)
{
    const elf_symbol *found = NULL;

    for (size_t i = 0; i < table->count; i++) {
        const elf_symbol *symbol = &table->symbols[i];

        if (address - symbol->st_value >= symbol->st_size || !is_function(symbol) ||
            symbol->st_name >= table->names_size)
            continue;
        if (symbol->st_info >> 4 != STB_LOCAL)
            return symbol;
        found = symbol;
    }
    return found;
}

static const struct known *find(uintptr_t address)
{
    struct known *place = &known[(address ^ address >> 10) % KNOWN_MAX];
    struct module *module;

    if (place->address == address && place->module)
        return place;
    module = module_at(address);
    if (!module)
        return NULL;
    if (!module->was_read)
        read_module(module);
    *place = (struct known){
        .address = module->was_read ? address : 0,
        .module = module,
        .symbol = symbol_at(&module->table, address - module->base),
    };
    return place;
}

static bool lock_soon(void)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        if (hki_lock_try(&lock))
            return true;
        hki_os_yield();
    }
    return false;
}

/* Without what compilers append to their clones of a function: "f.constprop.0". */
static void copy_name(const char *name, struct hki_symbol *out)
{
    (void)snprintf(out->name, sizeof(out->name), "%.*s", (int)strcspn(name, "."), name);
}

void hki_symbol_find(const void *pc, bool exact, bool patient, struct hki_symbol *out)
{
    uintptr_t address = (uintptr_t)pc;
    const struct known *found;

    *out = (struct hki_symbol){.module = "?", .offset = address};
    if (patient)
        hki_lock_acquire(&lock);
    else if (!lock_soon())
        return;
    refresh();
    found = find(exact ? address : address - 1);
    if (found) {
        out->offset -= found->module->base;
        memcpy(out->module, found->module->name, NAME_SIZE);
    }
    if (found && found->symbol) {
        out->offset -= found->symbol->st_value;
        copy_name(found->module->table.names + found->symbol->st_name, out);
    }
    hki_lock_release(&lock);
}

size_t hki_symbol_text(const struct hki_symbol *symbol, char *text, size_t size)
{
    int len;

    if (symbol->name[0])
        len = snprintf(text, size, "%s+0x%zx (%s)", symbol->name, symbol->offset,
                       symbol->module);
    else
        len = snprintf(text, size, "%s+0x%zx", symbol->module, symbol->offset);
    if (len < 0)
        return 0;
    return (size_t)len < size ? (size_t)len : size - 1;
}
