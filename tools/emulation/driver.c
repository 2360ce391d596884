/* Calls each panel of the cases and sends its outputs to the printer, which is a file of the host.
 *
 * No library and no vector register: only the panels under test may use those.
 */
typedef unsigned char u8;
typedef unsigned long u64;

struct entry {
    u64 kind, job, out, bytes;
};
struct cases {
    u64 count;
    struct entry entries[];
};

void panel_u8(u64 job);
void panel_s16(u64 job);
void panel_depthwise(u64 job);

/* What LLVM may call. */
void *memset(void *to, int value, u64 count)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(value) : "memory");
    return to;
}

void *memcpy(void *to, const void *from, u64 count)
{
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
    return to;
}

static void out_port(unsigned short port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static u8 in_port(unsigned short port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* The whole first disk, by programmed input: 28-bit sector numbers, one sector at a time. */
static void read_disk(u8 *to, u64 sectors)
{
    for (u64 k = 0; k < sectors; k++) {
        u64 words = 256;
        out_port(0x1F2, 1);
        out_port(0x1F3, (u8)k);
        out_port(0x1F4, (u8)(k >> 8));
        out_port(0x1F5, (u8)(k >> 16));
        out_port(0x1F6, (u8)(0xE0 | k >> 24));
        out_port(0x1F7, 0x20);
        while ((in_port(0x1F7) & 0x88) != 0x08) /* until not busy and with data */
            ;
        __asm__ volatile("rep insw" : "+D"(to), "+c"(words) : "d"(0x1F0) : "memory");
    }
}

static void print(const u8 *bytes, u64 count)
{
    for (u64 i = 0; i < count; i++) {
        out_port(0x378, bytes[i]);
        out_port(0x37A, 0x0D); /* selected, not reset, strobe */
        out_port(0x37A, 0x0C);
    }
}

void run_cases(void)
{
    const struct cases *cases = (const struct cases *)CASES;
    read_disk((u8 *)CASES, SECTORS);
    for (u64 i = 0; i < cases->count; i++) {
        struct entry e = cases->entries[i];
        if (e.kind == 0)
            panel_u8(e.job);
        else if (e.kind == 1)
            panel_s16(e.job);
        else
            panel_depthwise(e.job);
        print((const u8 *)e.out, e.bytes);
    }
    for (const char *c = "Shutdown"; *c; c++) /* bochs ends */
        out_port(0x8900, (u8)*c);
}
