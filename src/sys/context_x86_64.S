/* SPDX-License-Identifier: MIT */
/*
 * The switch for x86-64 System V. A parked stack looks like this:
 *
 *     sp  -> r15 r14 r13 r12 rbx rbp  return address
 *
 * The jumps to return addresses are `notrack`: with IBT they need no endbr64 at the
 * landing place. Shadow stacks (SHSTK) are not supported, and not claimed.
 */
#if defined(__x86_64__)

        .text

        /* Saves on the stack that is left, loads from the other; the return address of
         * the latter is on top at the end. */
        .macro change_stacks
        pushq %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        movq %rsp, (%rdi)
        movq %rsi, %rsp
        popq %r15
        .cfi_adjust_cfa_offset -8
        popq %r14
        .cfi_adjust_cfa_offset -8
        popq %r13
        .cfi_adjust_cfa_offset -8
        popq %r12
        .cfi_adjust_cfa_offset -8
        popq %rbx
        .cfi_adjust_cfa_offset -8
        popq %rbp
        .cfi_adjust_cfa_offset -8
        xorl %eax, %eax
        .endm

        .globl hki_switch
        .hidden hki_switch
        .type hki_switch, @function
        .p2align 4
hki_switch:
        .cfi_startproc
        endbr64
        change_stacks
        popq %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rcx
        notrack jmp *%rcx
        .cfi_endproc
        .size hki_switch, .-hki_switch

        .globl hki_switch_by_return
        .hidden hki_switch_by_return
        .type hki_switch_by_return, @function
        .p2align 4
hki_switch_by_return:
        .cfi_startproc
        endbr64
        change_stacks
        ret
        .cfi_endproc
        .size hki_switch_by_return, .-hki_switch_by_return

        .globl hki_switch_for_good
        .hidden hki_switch_for_good
        .type hki_switch_for_good, @function
        .p2align 4
hki_switch_for_good:
        .cfi_startproc
        .cfi_undefined %rip
        endbr64
        movq %rdi, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %rbx
        popq %rbp
        xorl %eax, %eax
        popq %rcx
        notrack jmp *%rcx
        .cfi_endproc
        .size hki_switch_for_good, .-hki_switch_for_good

        /* The first frame of every task: entry is in rbx, and nobody called us. */
        .globl hki_entry_thunk
        .hidden hki_entry_thunk
        .type hki_entry_thunk, @function
        .p2align 4
hki_entry_thunk:
        .cfi_startproc
        .cfi_undefined %rip
        endbr64
        xorl %ebp, %ebp
        call *%rbx
        ud2
        .cfi_endproc
        .size hki_entry_thunk, .-hki_entry_thunk

        /* hki_call_as_first(fn, arg): for the unwinder, nobody called fn. */
        .globl hki_call_as_first
        .hidden hki_call_as_first
        .type hki_call_as_first, @function
        .p2align 4
hki_call_as_first:
        .cfi_startproc
        .cfi_undefined %rip
        endbr64
        subq $8, %rsp
        .cfi_adjust_cfa_offset 8
        movq %rdi, %rax
        movq %rsi, %rdi
        call *%rax
        addq $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size hki_call_as_first, .-hki_call_as_first

        /*
         * hki_call_from(parked, fn, arg). The unwinder is told that our caller is who
         * called hki_switch there; fn itself runs on this very stack.
         */
        .globl hki_call_from
        .hidden hki_call_from
        .type hki_call_from, @function
        .p2align 4
hki_call_from:
        .cfi_startproc
        endbr64
        pushq %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        movq %rdi, %rbx         /* callee-saved: fn keeps it for us */
        movq %rdx, %rdi
        .cfi_remember_state
        .cfi_def_cfa %rbx, 56
        .cfi_offset %r15, -56
        .cfi_offset %r14, -48
        .cfi_offset %r13, -40
        .cfi_offset %r12, -32
        .cfi_offset %rbx, -24
        .cfi_offset %rbp, -16
        .cfi_offset %rip, -8
        call *%rsi
        .cfi_restore_state
        popq %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        ret
        .cfi_endproc
        .size hki_call_from, .-hki_call_from

        /* void *hki_context_make(void *top, void (*entry)(void)) */
        .globl hki_context_make
        .hidden hki_context_make
        .type hki_context_make, @function
        .p2align 4
hki_context_make:
        .cfi_startproc
        endbr64
        movq %rdi, %rax
        andq $-16, %rax
        subq $56, %rax
        xorl %ecx, %ecx
        movq %rcx, 0(%rax)
        movq %rcx, 8(%rax)
        movq %rcx, 16(%rax)
        movq %rcx, 24(%rax)
        movq %rsi, 32(%rax)     /* rbx: entry */
        movq %rcx, 40(%rax)
        leaq hki_entry_thunk(%rip), %rcx
        movq %rcx, 48(%rax)
        ret
        .cfi_endproc
        .size hki_context_make, .-hki_context_make

        /* IBT yes, SHSTK no. */
        .section .note.gnu.property, "a"
        .p2align 3
        .long 4
        .long 16
        .long 5
        .asciz "GNU"
        .long 0xc0000002
        .long 4
        .long 1
        .long 0

#endif

        .section .note.GNU-stack, "", %progbits
