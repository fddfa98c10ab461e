#include "report.h"

#include "semihosting.h"

void report(const char *name, uint64_t value)
{
    char digits[21], *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    semihosting_print(name);
    semihosting_print(": ");
    semihosting_print(at);
    semihosting_print("\n");
}
