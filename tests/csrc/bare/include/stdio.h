/* stdio.h of the bare boards: the four names that the tests of csrc use. See ../board.c. */
#ifndef BARE_STDIO_H
#define BARE_STDIO_H

typedef const struct bare_file FILE;
#define stdout ((FILE *)0)
#define stderr ((FILE *)0)

/* %s %c %d %i %u %x with l, ll, z and a width (zeros in front if it starts with 0); other text
 * as it is. */
__attribute__((format(printf, 1, 2))) int printf(const char *format, ...);
__attribute__((format(printf, 2, 3))) int fprintf(FILE *file, const char *format, ...);

#endif
