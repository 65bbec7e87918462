/* What a window of the standard program costs. A caller counts the instructions of this program
 * with WINDOWS 1 and 2 and takes the difference; a board (BOARD) counts by its SysTick, which the
 * simulator moves by a fixed time an instruction, and paints its stack. STATE_BYTES is known when
 * it is built, so all memory is. */
#include "standard.h"

#ifndef WINDOWS
#define WINDOWS 2
#endif

static uint64_t memory[STATE_BYTES / 8];
static er_feature features[STANDARD_FEATURES];

#ifdef BOARD
extern uint32_t bss_end; /* board.ld; the stack grows down to it */
enum { PAINT = 0x5a5a5a5a };
static volatile uint32_t *const systick = (volatile uint32_t *)0xE000E010u;

static uint32_t *here(void) { return __builtin_frame_address(0); }

static uint32_t ticks(void) { return 0xffffffu - systick[2]; }

static void start(void)
{
    for (uint32_t *at = &bss_end, *end = here() - 64; at < end; at++) *at = PAINT;
    systick[1] = 0xffffffu;
    systick[2] = 0;
    systick[0] = 5; /* on, processor clock, no interrupt */
    while (systick[2] == 0) {
    }
}

static void stop(uint32_t began, uint32_t *top)
{
    const uint32_t took = ticks() - began;
    const uint32_t *at = &bss_end;
    CHECK(!(systick[0] & 0x10000u)); /* it did not wrap */
    while (*at == PAINT) at++;
    printf("ticks %u\nstack_used %u\n", took, (unsigned)((uintptr_t)top - (uintptr_t)at));
}
#else
static uint32_t *here(void) { return NULL; }
static uint32_t ticks(void) { return 0; }
static void start(void) {}
static void stop(uint32_t began, uint32_t *top) { (void)began, (void)top; }
#endif

int main(void)
{
    enum { BLOCK = 64 };
    const er_program p = standard_program(features);
    const er_policy policy = {1, 1, 1, 0, {0}};
    const er_config c = {.program = &p, .policy = &policy};
    const double score = 1.0;
    static float x[BLOCK * STANDARD_CHANNELS];
    uint64_t rng = 1;
    er_stream *s;
    er_decision d;
    for (uint32_t i = 0; i < BLOCK * STANDARD_CHANNELS; i++) x[i] = rng_unit(&rng);
    printf("state_bytes %u\n", (unsigned)er_stream_size(&c));
    CHECK(er_stream_init(&s, &c, memory, sizeof memory) == ER_OK);
    start();
    const uint32_t began = ticks();
    for (uint32_t n = 0; n < WINDOWS;) {
        uint32_t taken;
        const er_status status = er_step(s, x, BLOCK, &taken, &d);
        CHECK(taken == BLOCK && status >= 0);
        if (status == ER_SCORES) {
            CHECK(er_decide(s, &score, &d) == ER_OK);
            n++;
        }
    }
    stop(began, here());
    return 0;
}
