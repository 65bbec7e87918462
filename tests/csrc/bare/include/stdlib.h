/* stdlib.h of the bare boards: exit() alone. A test that wants malloc() does not compile here. */
#ifndef BARE_STDLIB_H
#define BARE_STDLIB_H

_Noreturn void exit(int status);

#endif
