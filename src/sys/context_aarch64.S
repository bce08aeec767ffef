/* SPDX-License-Identifier: MIT */
/*
 * The switch for aarch64 (AAPCS64). A parked stack, 160 bytes from sp upward:
 *
 *     x19..x28 (0..72)   x29 x30 (80, 88)   d8..d15 (96..152)
 */
#if defined(__aarch64__)

        .text

        .macro restore
        ldp x19, x20, [sp, #0]
        ldp x21, x22, [sp, #16]
        ldp x23, x24, [sp, #32]
        ldp x25, x26, [sp, #48]
        ldp x27, x28, [sp, #64]
        ldp x29, x30, [sp, #80]
        ldp d8, d9, [sp, #96]
        ldp d10, d11, [sp, #112]
        ldp d12, d13, [sp, #128]
        ldp d14, d15, [sp, #144]
        add sp, sp, #160
        mov w0, #0
        .endm

        /* Both leave by a return here: nothing was measured that asks for more. */
        .globl hki_switch
        .hidden hki_switch
        .type hki_switch, %function
        .globl hki_switch_by_return
        .hidden hki_switch_by_return
        .type hki_switch_by_return, %function
        .p2align 4
hki_switch_by_return:
hki_switch:
        .cfi_startproc
        hint #34                /* bti c */
        sub sp, sp, #160
        .cfi_adjust_cfa_offset 160
        stp x19, x20, [sp, #0]
        stp x21, x22, [sp, #16]
        stp x23, x24, [sp, #32]
        stp x25, x26, [sp, #48]
        stp x27, x28, [sp, #64]
        stp x29, x30, [sp, #80]
        .cfi_offset x29, -80
        .cfi_offset x30, -72
        stp d8, d9, [sp, #96]
        stp d10, d11, [sp, #112]
        stp d12, d13, [sp, #128]
        stp d14, d15, [sp, #144]
        mov x9, sp
        str x9, [x0]
        mov sp, x1
        restore
        .cfi_adjust_cfa_offset -160
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size hki_switch, .-hki_switch

        .globl hki_switch_for_good
        .hidden hki_switch_for_good
        .type hki_switch_for_good, %function
        .p2align 4
hki_switch_for_good:
        .cfi_startproc
        .cfi_undefined x30
        hint #34
        mov sp, x0
        restore
        ret
        .cfi_endproc
        .size hki_switch_for_good, .-hki_switch_for_good

        /* The first frame of every task: entry is in x19, and nobody called us. */
        .globl hki_entry_thunk
        .hidden hki_entry_thunk
        .type hki_entry_thunk, %function
        .p2align 4
hki_entry_thunk:
        .cfi_startproc
        .cfi_undefined x30
        hint #36                /* bti j */
        mov x29, #0
        mov x30, #0
        blr x19
        brk #1
        .cfi_endproc
        .size hki_entry_thunk, .-hki_entry_thunk

        /* hki_call_as_first(fn, arg): see context_x86_64.S. */
        .globl hki_call_as_first
        .hidden hki_call_as_first
        .type hki_call_as_first, %function
        .p2align 4
hki_call_as_first:
        .cfi_startproc
        .cfi_undefined x30
        hint #34
        stp x29, x30, [sp, #-16]!
        .cfi_adjust_cfa_offset 16
        mov x29, sp
        mov x9, x0
        mov x0, x1
        blr x9
        ldp x29, x30, [sp], #16
        .cfi_adjust_cfa_offset -16
        ret
        .cfi_endproc
        .size hki_call_as_first, .-hki_call_as_first

        /* hki_call_from(parked, fn, arg): see context_x86_64.S. */
        .globl hki_call_from
        .hidden hki_call_from
        .type hki_call_from, %function
        .p2align 4
hki_call_from:
        .cfi_startproc
        hint #34
        stp x29, x30, [sp, #-32]!
        .cfi_adjust_cfa_offset 32
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        str x19, [sp, #16]
        .cfi_rel_offset x19, 16
        mov x19, x0             /* callee-saved: fn keeps it for us */
        mov x0, x2
        .cfi_remember_state
        .cfi_def_cfa x19, 160
        .cfi_offset x19, -160
        .cfi_offset x20, -152
        .cfi_offset x21, -144
        .cfi_offset x22, -136
        .cfi_offset x23, -128
        .cfi_offset x24, -120
        .cfi_offset x25, -112
        .cfi_offset x26, -104
        .cfi_offset x27, -96
        .cfi_offset x28, -88
        .cfi_offset x29, -80
        .cfi_offset x30, -72
        blr x1
        .cfi_restore_state
        ldr x19, [sp, #16]
        ldp x29, x30, [sp], #32
        .cfi_adjust_cfa_offset -32
        .cfi_restore x19
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size hki_call_from, .-hki_call_from

        /* void *hki_context_make(void *top, void (*entry)(void)) */
        .globl hki_context_make
        .hidden hki_context_make
        .type hki_context_make, %function
        .p2align 4
hki_context_make:
        .cfi_startproc
        hint #34
        and x0, x0, #-16
        sub x0, x0, #160
        stp xzr, xzr, [x0, #16]
        stp xzr, xzr, [x0, #32]
        stp xzr, xzr, [x0, #48]
        stp xzr, xzr, [x0, #64]
        stp xzr, xzr, [x0, #96]
        stp xzr, xzr, [x0, #112]
        stp xzr, xzr, [x0, #128]
        stp xzr, xzr, [x0, #144]
        stp x1, xzr, [x0, #0]   /* x19: entry */
        adrp x9, hki_entry_thunk
        add x9, x9, :lo12:hki_entry_thunk
        stp xzr, x9, [x0, #80]
        ret
        .cfi_endproc
        .size hki_context_make, .-hki_context_make

#endif

        .section .note.GNU-stack, "", %progbits
