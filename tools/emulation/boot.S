# A BIOS that does one thing: from the reset of the processor to 64 bits with every vector register
# the processor has, then to the driver, whose RAM image the emulator has loaded.
#
# 64 KiB at 0xF0000, which the emulator also shows below 4 GiB, where a processor starts.

    .equ BASE, 0xF0000
    .equ TABLES, 0x1000             # page tables: three pages
    .equ STACK, 0x90000

    .text
    .code16
reset:
    cli
    lgdtl %cs:(descriptors - reset)
    movl $1, %eax                   # protected mode
    movl %eax, %cr0
    ljmpl $0x08, $protected

    .code32
protected:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss

    movl $TABLES, %edi              # the first GiB as itself, in 512 pages of 2 MiB
    xorl %eax, %eax
    movl $(2 * 1024), %ecx
    rep stosl
    movl $(TABLES + 0x1003), TABLES
    movl $(TABLES + 0x2003), TABLES + 0x1000
    movl $(TABLES + 0x2000), %edi
    movl $0x83, %eax
    movl $512, %ecx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b

    movl $TABLES, %eax
    movl %eax, %cr3
    movl $0x40620, %eax             # PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
    movl %eax, %cr4
    movl $0xC0000080, %ecx          # EFER: long mode
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl $0x80000001, %eax          # paging
    movl %eax, %cr0
    ljmpl $0x18, $long

    .code64
long:
    movl $0x0D, %eax                # the state that the processor can hold:
    xorl %ecx, %ecx
    cpuid
    andl $0xE7, %eax                # x87, SSE, AVX, AVX-512
    xorl %edx, %edx
    xorl %ecx, %ecx                 # XCR0
    xsetbv
    movl $STACK, %esp
    movl $run_cases, %eax
    call *%rax
2:  hlt
    jmp 2b

    .align 8
table:
    .quad 0
    .quad 0x00CF9A000000FFFF        # 0x08: code, 32 bits
    .quad 0x00CF92000000FFFF        # 0x10: data
    .quad 0x00AF9A000000FFFF        # 0x18: code, 64 bits
descriptors:
    .word . - table - 1
    .long table

    .org 0xFFF0
    .code16
    ljmp $(BASE >> 4), $0           # reset
    .org 0x10000
