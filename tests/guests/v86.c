/* SPDX-License-Identifier: MIT */
/*
 * Virtual-8086 mode: entered by iret, segments as paragraphs, 16-bit stack and
 * IP, exceptions and interrupts with the nine-word frame that clears ds..gs,
 * IOPL-sensitive instructions, I/O by the bitmap, and a monitor that reflects
 * an interrupt to the real-mode vector.
 */
#include "runtime/guest.h"

enum { CODE_SEG = 0x2000, STACK_SEG = 0x3000, DATA_SEG = 0x4000 };
enum { CODE = CODE_SEG << 4, DATA = DATA_SEG << 4 };
static u8 kernel_stack[4096] __attribute__((aligned(16)));

struct v86_frame {
    u32 gs, fs, es, ds;
    u32 edi, esi, ebp, esp_at_entry, ebx, edx, ecx, eax;
    u32 vector, error;
    u32 eip, cs, eflags, esp, ss, v_es, v_ds, v_fs, v_gs;
};
static struct v86_frame last;
static u32 reflect, resumed;
__attribute__((noreturn)) void run_abort(u32 vector);

/* void v86_enter(u32 iopl, u32 flags): iret to CODE_SEG:0, via run_user_as */
__asm__(".text\n .globl v86_enter\n"
        "v86_enter: push %ebp\n push %ebx\n push %esi\n push %edi\n pushf\n"
        "movl 24(%esp), %eax\n movl %esp, run_esp\n"
        "pushl $0x4003\n pushl $0x4002\n pushl $0x4001\n pushl $0x4000\n"
        "pushl $0x3000\n pushl $0x1000\n pushl %eax\n pushl $0x2000\n"
        "pushl $0\n"
        "movl $0x11111111, %eax\n movl $0x22220005, %ecx\n"
        "movl $0x33330010, %ebx\n movl $0x44440020, %esi\n"
        "movl $0x55550100, %edi\n movl $0x66660ff0, %ebp\n iret\n");
u32 v86_enter(u32 flags);

static void leave_v86(struct frame *frame)
{
    struct v86_frame *f = (struct v86_frame *)frame;

    last = *f;
    if (reflect && f->vector == EXC_GP && PEEK8(CODE + f->eip) == 0xcd) {
        /* the monitor's work: push flags, cs, ip; go to the IVT's address */
        u32 n = PEEK8(CODE + f->eip + 1);
        u32 sp = (f->ss << 4) + ((f->esp - 6) & 0xffff);

        f->esp -= 6;
        PEEK16(sp) = (u16)(f->eip + 2);
        PEEK16(sp + 2) = (u16)f->cs;
        PEEK16(sp + 4) = (u16)f->eflags;
        f->eip = PEEK16(n * 4);
        f->cs = PEEK16(n * 4 + 2);
        resumed++;
        return;
    }
    if (f->eflags & F_VM)
        run_abort(f->vector);
    put_string("FAIL not_from_v86\n");
    guest_exit(4);
}

static u32 run_code(const u8 *code, u32 length, u32 flags)
{
    memory_copy((void *)CODE, code, length);
    return v86_enter(flags | F_VM | F_ONE);
}
#define RUN(flags, ...)                          \
    ({                                           \
        static const u8 code_[] = {__VA_ARGS__}; \
        run_code(code_, sizeof(code_), flags);   \
    })

static void basics(void)
{
    /* mov ax,cs; mov dx,ss; mov bx,sp; int3 */
    check_eq("int3_leaves_v86_with_iopl_3",
             RUN(F_IOPL, 0x8c, 0xc8, 0x8c, 0xd2, 0x89, 0xe3, 0xcc), EXC_BP);
    check_eq("cs_is_the_paragraph", last.eax, 0x11112000);
    check_eq("ss_is_the_paragraph", last.edx & 0xffff, STACK_SEG);
    check_eq("sp", last.ebx, 0x33331000);
    check_eq("the_frame_has_vm_set", last.eflags & F_VM, F_VM);
    check_eq("the_frame_has_cs", last.cs & 0xffff, CODE_SEG);
    check_eq("the_frame_has_ip", last.eip, 7);
    check_eq("the_frame_has_ss", last.ss & 0xffff, STACK_SEG);
    check("the_frame_has_es_ds_fs_gs",
          (last.v_es & 0xffff) == 0x4000 && (last.v_ds & 0xffff) == 0x4001 &&
              (last.v_fs & 0xffff) == 0x4002 && (last.v_gs & 0xffff) == 0x4003);
    check("the_data_segments_are_null_in_the_handler",
          last.ds == 0 && last.es == 0 && last.fs == 0 && last.gs == 0);
    PEEK16(0x40010 + 0x10) = 0xbeef;
    /* mov ax,[bx]; mov es:[bx],ax; push ax; pop cx; mov dx,[bp-2]; int3 */
    RUN(F_IOPL, 0x8b, 0x07, 0x26, 0x89, 0x07, 0x50, 0x59, 0x8b, 0x56, 0xfe,
        0xcc);
    check_eq("ds_addresses_paragraph_times_16", last.eax & 0xffff, 0xbeef);
    check_eq("es_addresses_paragraph_times_16", PEEK16(DATA + 0x10), 0xbeef);
    check_eq("push_and_pop_16_bits", last.ecx, 0x2222beef);
    check_eq("the_stack_is_at_ss", PEEK16((STACK_SEG << 4) + 0xffe), 0xbeef);
    check_eq("esp_is_back", last.esp, 0x1000);
    /* call +2; int3; nop; mov ax,1234h; ret */
    RUN(F_IOPL, 0xe8, 0x02, 0x00, 0xcc, 0x90, 0xb8, 0x34, 0x12, 0xc3);
    check_eq("near_call_and_ret", last.eax, 0x11111234);
    /* mov ax,5000h; mov ds,ax; mov ax,ds; jmp 2001:0 (=20010h) */
    PEEK8(0x20010) = 0xcc;
    RUN(F_IOPL, 0xb8, 0x00, 0x50, 0x8e, 0xd8, 0xea, 0x00, 0x00, 0x01, 0x20);
    check_eq("a_far_jump_loads_cs", last.cs & 0xffff, 0x2001);
    check_eq("mov_ds_loads_any_value", last.v_ds & 0xffff, 0x5000);
    /* mov cx,5 is set; rep stosb with es:di; int3 */
    RUN(F_IOPL, 0xf3, 0xaa, 0x67, 0x66, 0x89, 0x05, 0x00, 0x02, 0x00, 0x00,
        0xcc);
    check_eq("rep_stosb", PEEK8(DATA + 0x104), 0x11);
    check_eq("  counts_cx_only", last.ecx, 0x22220000);
    check_eq("  advances_di_only", last.edi, 0x55550105);
    check_eq("32_bit_operands_and_addresses_by_prefix", PEEK32(0x40010 + 0x200),
             0x11111111);
}

static void sensitive(void)
{
    check_eq("cli_with_iopl_0_faults", RUN(0, 0x90, 0xfa), EXC_GP);
    check("  with_its_ip_and_error_0", last.eip == 1 && last.error == 0);
    check_eq("sti_with_iopl_0_faults", RUN(0, 0xfb), EXC_GP);
    check_eq("pushf_with_iopl_0_faults", RUN(0, 0x9c), EXC_GP);
    check_eq("popf_with_iopl_0_faults", RUN(0, 0x9d), EXC_GP);
    check_eq("int_n_with_iopl_0_faults", RUN(0, 0xcd, 0x21), EXC_GP);
    check_eq("iret_with_iopl_0_faults", RUN(0, 0xcf), EXC_GP);
    check_eq("int3_with_iopl_0_does_not", RUN(0, 0xcc), EXC_BP);
    check_eq("hlt_faults_always", RUN(F_IOPL, 0xf4), EXC_GP);
    check_eq("mov_from_cr0_faults_always", RUN(F_IOPL, 0x0f, 0x20, 0xc0),
             EXC_GP);
    check_eq("lldt_is_undefined", RUN(F_IOPL, 0x0f, 0x00, 0xd0), EXC_UD);
    check_eq("arpl_is_undefined", RUN(F_IOPL, 0x63, 0xc0), EXC_UD);
    /* cli; pushf; pop ax; sti; pushf; pop dx; int3 */
    RUN(F_IOPL, 0xfa, 0x9c, 0x58, 0xfb, 0x9c, 0x5a, 0xfa, 0xcc);
    check_eq("with_iopl_3_cli_works", last.eax & F_IF, 0);
    check_eq("with_iopl_3_sti_works", last.edx & F_IF, F_IF);
    tss.io_base = 104;
    memory_set(tss.io_map, 0xff, sizeof(tss.io_map));
    check_eq("in_obeys_the_map_even_with_iopl_3", RUN(F_IOPL, 0xe4, 0x80),
             EXC_GP);
    tss.io_map[16] = 0;
    check_eq("and_is_open_where_the_map_is", RUN(0, 0xe4, 0x80, 0xcc), EXC_BP);
    check_eq("int_n_with_iopl_3_goes_through_the_idt", RUN(F_IOPL, 0xcd, 0x77),
             0x77);
    check_eq("div_by_zero", RUN(0, 0x31, 0xc9, 0xf7, 0xf1), EXC_DE);
    check_eq("  ip", last.eip, 2);
}

static void reflection(void)
{
    /* the handler at 2000:0100: add ax,1; iret -> emulated by popping here */
    PEEK16(0x21 * 4) = 0x0100;
    PEEK16(0x21 * 4 + 2) = CODE_SEG;
    PEEK8(CODE + 0x100) = 0x40; /* inc ax */
    PEEK8(CODE + 0x101) = 0xca; /* retf 2 */
    PEEK8(CODE + 0x102) = 2;
    PEEK8(CODE + 0x103) = 0;
    reflect = 1;
    /* int 21h; int 21h; int3 */
    RUN(0, 0xcd, 0x21, 0xcd, 0x21, 0xcc);
    check_eq("a_monitor_reflects_interrupts_to_real_mode_vectors", resumed, 2);
    check_eq("  the_handler_ran_each_time", last.eax, 0x11111113);
    check_eq("  and_the_stack_is_level", last.esp, 0x1000);
    check_eq("  the_program_ended_behind_them", last.eip, 5);
}

void guest_main(void)
{
    tss.esp0 = (u32)kernel_stack + sizeof(kernel_stack);
    for (u32 v = 0; v < 32; v++)
        trap_handlers[v] = leave_v86;
    trap_handlers[0x77] = leave_v86;
    idt_set_default(0x77, 0xee);
    idt_set_default(EXC_BP, 0xee);
    basics();
    sensitive();
    reflection();
}
