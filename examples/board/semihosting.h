/* Files of the computer that a board hangs on, or that emulates it.
 *
 * Semihosting is ARM's convention for programs under a debugger or an emulator: the program stops
 * at a breakpoint, and the host does what two registers ask for. Without a host the breakpoint is
 * a fault, so that a program for the field has another file in the place of this one. */

#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdint.h>

/* The words that the host has started the program with, separated by spaces. Returns 0, or -1 if
 * they do not fit. */
int semihosting_command_line(char *text, uint32_t size);

/* Open a file of the host, and return its handle, or -1. */
int semihosting_open_to_read(const char *name);
int semihosting_open_to_write(const char *name);

/* Read or write n bytes. Return 0, or -1 if it was not all of them. */
int semihosting_read(int file, void *bytes, uint32_t n);
int semihosting_write(int file, const void *bytes, uint32_t n);

/* Close a file. Returns 0, or -1 if what was written is not all there. */
int semihosting_close(int file);

/* Print on the console of the host. */
void semihosting_print(const char *text);

/* End the program. The emulator ends with this code. */
void semihosting_exit(int code);

#endif
