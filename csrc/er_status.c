/* er_status.c - words for statuses, the FPU check, and the small tools every file uses. */
#include "er_internal.h"

const char *er_status_text(er_status status)
{
    switch (status) {
    case ER_OK: return "ok";
    case ER_AGAIN: return "no window complete yet";
    case ER_SCORES: return "features wait for scores";
    case ER_EFPU: return "the process flushes denormals to zero (FTZ/DAZ)";
    case ER_EINVAL: return "argument outside its documented range";
    case ER_ENOSPC: return "buffer too small";
    case ER_ERATE: return "the rates of channels do not fit";
    case ER_EOP: return "operator not in this build";
    case ER_EMISMATCH: return "the states do not have one shape";
    case ER_EFORMAT: return "the bytes break their format";
    default: return "unknown status";
    }
}

/* volatile: the compiler must not do this arithmetic at build time, under its own rules. */
er_status er_fpu_check(void)
{
    volatile float least = FLT_MIN, denormal = FLT_MIN / 8.0f, up = 8.0f;
    volatile double least_d = DBL_MIN;
    const int float_out = least / up == 0.0f, double_out = least_d / (double)up == 0.0;
    const int float_in = denormal * up != least;
    return float_out | double_out | float_in ? ER_EFPU : ER_OK;
}

void *er_carve_both(er_arena *a, size_t bytes, size_t small)
{
    unsigned char *piece = a->base ? a->base + a->used : NULL;
    a->used += (bytes + 7) & ~(size_t)7;
    a->small += (small + 7) & ~(size_t)7;
    return piece;
}

void *er_carve(er_arena *a, size_t bytes) { return er_carve_both(a, bytes, bytes); }

/* Xor, rotate, multiply by an odd number: each step is a bijection of h, so one changed word always
 * shows. Not a defence against a forger: bundles and states are protected by their owners. */
uint64_t er_hash(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, b + i, n - i < 8 ? n - i : 8);
        h ^= word;
        h = (h << 23 | h >> 41) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return (h ^ n) * UINT64_C(0x9e3779b97f4a7c15);
}
