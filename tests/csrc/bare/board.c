/* board.c - what a Cortex-M needs around main(): vectors, reset, and text and exit by semihosting.
 *
 * No C library, no heap: what the linker places is all the memory there is. Semihosting calls: Arm,
 * "Semihosting for AArch32 and AArch64", 2.0 (SYS_WRITE0 0x04, SYS_EXIT_EXTENDED 0x20). A fault
 * ends the run with status 99, as the simulator would otherwise spin.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern uint32_t stack_top, data_from, data_start, data_end, bss_start, bss_end; /* board.ld */
int main(void);
void reset(void);

static uintptr_t host(uintptr_t call, const void *block)
{
    register uintptr_t r0 __asm__("r0") = call;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

_Noreturn void exit(int status)
{
    const uint32_t block[2] = {0x20026 /* ADP_Stopped_ApplicationExit */, (uint32_t)status};
    host(0x20, block);
    for (;;) {
    }
}

static void fault(void) { exit(99); }

typedef union vector {
    const void *stack;
    void (*run)(void);
} vector;
__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = &stack_top}, {.run = reset}, {.run = fault}, {.run = fault},
    {.run = fault},        {.run = fault}, {.run = fault}, {.run = fault}};

void reset(void)
{
    for (uint32_t *to = &data_start, *from = &data_from; to < &data_end;) *to++ = *from++;
    for (uint32_t *to = &bss_start; to < &bss_end;) *to++ = 0;
    *(volatile uint32_t *)0xE000ED88u |= 0xFu
                                         << 20; /* CPACR: the FPU on; round to nearest, no FTZ */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    exit(main());
}

/* ---- text ---- */

typedef struct line {
    char text[128];
    uint32_t n;
} line;

static void flush(line *out)
{
    out->text[out->n] = 0;
    host(0x04, out->text);
    out->n = 0;
}

static void put(line *out, char c)
{
    if (out->n == sizeof out->text - 1) flush(out);
    out->text[out->n++] = c;
}

static void put_number(line *out, uint64_t value, unsigned base, int width, char pad)
{
    char digits[24];
    int n = 0;
    do digits[n++] = "0123456789abcdef"[value % base];
    while (value /= base);
    for (int i = n; i < width; i++) put(out, pad);
    while (n) put(out, digits[--n]);
}

/* One conversion after its '%'; returns the character behind it. */
static const char *convert(line *out, const char *f, va_list *args)
{
    const char pad = *f == '0' ? '0' : ' ';
    int width = 0, longs = 0;
    while (*f >= '0' && *f <= '9') width = width * 10 + (*f++ - '0');
    while (*f == 'l' || *f == 'z') longs += *f++ == 'l';
    if (*f == 's') {
        for (const char *s = va_arg(*args, const char *); *s; s++) put(out, *s);
    } else if (*f == 'c') {
        put(out, (char)va_arg(*args, int));
    } else if (*f == 'd' || *f == 'i') {
        const int64_t value = longs > 1 ? va_arg(*args, long long) : va_arg(*args, int);
        if (value < 0) put(out, '-');
        put_number(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, width, pad);
    } else if (*f == 'u' || *f == 'x') {
        const uint64_t value =
            longs > 1 ? va_arg(*args, unsigned long long) : va_arg(*args, unsigned);
        put_number(out, value, *f == 'x' ? 16 : 10, width, pad);
    } else {
        put(out, *f);
    }
    return f + 1;
}

static void print(const char *f, va_list *args)
{
    line out = {.n = 0};
    while (*f)
        if (*f == '%')
            f = convert(&out, f + 1, args);
        else
            put(&out, *f++);
    flush(&out);
}

int printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print(format, &args);
    va_end(args);
    return 0;
}

int fprintf(FILE *file, const char *format, ...)
{
    va_list args;
    (void)file;
    va_start(args, format);
    print(format, &args);
    va_end(args);
    return 0;
}
