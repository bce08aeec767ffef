/* SPDX-License-Identifier: MIT */
/*
 * Names for addresses, for people: "function+0x12 (module)". Static functions have
 * names, too: they are looked up in the symbol table of the module's file.
 */
#ifndef HKI_SYS_SYMBOLS_H
#define HKI_SYS_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>

struct hki_symbol {
    char name[96];   /* of the function; "" when it is not known */
    char module[48]; /* the file's last part; "?" when it is not known */
    size_t offset;   /* from the function, else from where the module begins */
};

/*
 * Looks `pc` up; a return address unless `exact`: then the call before it is looked up,
 * which may be the last instruction of its function. Takes no memory from the heap. In
 * a handler that may have interrupted a lookup, `patient` is false: rather than wait
 * for ever it then answers that nothing is known. Any thread.
 */
void hki_symbol_find(const void *pc, bool exact, bool patient, struct hki_symbol *out);

/* Writes "function+0x12 (module)", and returns its length, which is below `size`. */
size_t hki_symbol_text(const struct hki_symbol *symbol, char *text, size_t size);

#endif
