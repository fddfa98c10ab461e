/* Numbers on the console of the host. */

#ifndef REPORT_H
#define REPORT_H

#include <stdint.h>

/* Print a line with a name, a colon, and a number. */
void report(const char *name, uint64_t value);

#endif
