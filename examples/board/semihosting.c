#include "semihosting.h"

#include <stdint.h>
#include <string.h>

/* Operations, by the numbers that ARM has given them. */
enum operation {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20
};

/* How a file is opened: as fopen() does with "rb" and "wb". */
enum { READ_BINARY = 1, WRITE_BINARY = 5 };

/* The reason that a program which has come to its end gives to the host. */
#define APPLICATION_EXIT 0x20026u

static uint32_t word(const void *address)
{
    return (uint32_t)(uintptr_t)address;
}

/* Let the host do something: its number is in register 0, where its arguments are in register 1. */
static int32_t ask_host(enum operation operation, const void *arguments)
{
    register uint32_t r0 __asm__("r0") = (uint32_t)operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

int semihosting_command_line(char *text, uint32_t size)
{
    uint32_t arguments[2];
    arguments[0] = word(text);
    arguments[1] = size;
    return ask_host(SYS_GET_CMDLINE, arguments) == 0 ? 0 : -1;
}

static int open_as(const char *name, uint32_t mode)
{
    uint32_t arguments[3];
    arguments[0] = word(name);
    arguments[1] = mode;
    arguments[2] = (uint32_t)strlen(name);
    return ask_host(SYS_OPEN, arguments);
}

int semihosting_open_to_read(const char *name)
{
    return open_as(name, READ_BINARY);
}

int semihosting_open_to_write(const char *name)
{
    return open_as(name, WRITE_BINARY);
}

/* The host returns how many bytes it has not read or written. */
static int move(enum operation operation, int file, const void *bytes, uint32_t n)
{
    uint32_t arguments[3];
    arguments[0] = (uint32_t)file;
    arguments[1] = word(bytes);
    arguments[2] = n;
    return ask_host(operation, arguments) == 0 ? 0 : -1;
}

int semihosting_read(int file, void *bytes, uint32_t n)
{
    return move(SYS_READ, file, bytes, n);
}

int semihosting_write(int file, const void *bytes, uint32_t n)
{
    return move(SYS_WRITE, file, bytes, n);
}

int semihosting_close(int file)
{
    uint32_t argument = (uint32_t)file;
    return ask_host(SYS_CLOSE, &argument) == 0 ? 0 : -1;
}

void semihosting_print(const char *text)
{
    (void)ask_host(SYS_WRITE0, text);
}

void semihosting_exit(int code)
{
    uint32_t arguments[2];
    arguments[0] = APPLICATION_EXIT;
    arguments[1] = (uint32_t)code;
    (void)ask_host(SYS_EXIT_EXTENDED, arguments);
    for (;;)
        ;
}
