/* Runs an engine for another process, which `shared.c` describes.
 *
 * Usage: serve LIBRARY. Each byte that comes in asks for the call that is at the begin of the
 * shared memory, and a byte goes back when the function has returned. */
#include "shared.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t function(int64_t, int64_t, int64_t);

#ifdef _WIN32
#include <io.h>
#include <windows.h>

/* Map the file that is shared to its place; return whether that worked. */
static int has_memory(const char *path)
{
    HANDLE file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    HANDLE mapping = CreateFileMappingA(file, NULL, PAGE_READWRITE, 0, 0, NULL);
    void *at = (void *)SHARED_AT;
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
    return MapViewOfFileEx(mapping, FILE_MAP_ALL_ACCESS, 0, 0, SHARED_SIZE, at) == at;
}

static void *loaded(const char *path) { return LoadLibraryA(path); }
static function *found(void *library, const char *name)
{
    return (function *)(void *)GetProcAddress(library, name);
}
#else
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

static int has_memory(const char *path)
{
    const int file = open(path, O_RDWR);
    void *at = (void *)SHARED_AT;
    return mmap(at, SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == at;
}

static void *loaded(const char *path) { return dlopen(path, RTLD_NOW); }
static function *found(void *library, const char *name)
{
    return (function *)dlsym(library, name);
}
#endif

int main(int count, char **given)
{
    struct call *shared = (struct call *)SHARED_AT;
    char byte;
    void *library = count == 2 ? loaded(given[1]) : NULL;
    if (!library || !has_memory(getenv("SPIKEBP_MEMORY"))) {
        fprintf(stderr, library ? "the memory is not there\n" : "the library cannot be loaded\n");
        return 1;
    }
    while (read(0, &byte, 1) == 1) {
        function *called = found(library, shared->name);
        if (!called) {
            fprintf(stderr, "the library has no %s\n", shared->name);
            return 1;
        }
        shared->result = called(shared->given[0], shared->given[1], shared->given[2]);
        if (strcmp(shared->name, "sources") == 0) {
            strncpy(shared->text, (const char *)(uintptr_t)shared->result, sizeof shared->text - 1);
            shared->result = (int64_t)(uintptr_t)shared->text;
        }
        if (write(1, &byte, 1) != 1)
            return 1;
    }
    return 0;
}
