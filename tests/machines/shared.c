/* An engine that runs in another process, behind the functions of the library of one.
 *
 * This library stands in two places in a process that tests the engine. It is preloaded, so that
 * all memory of the process that is asked for lies in one file, at a fixed address. And it is
 * loaded where the library of the engine would be: it has the same functions, each of which only
 * hands its arguments to a second process and waits. That process, `serve.c`, is made for another
 * machine, and emulated. It has the library of the engine, and the same file at the same address:
 * so what a pointer names is there as well, and nothing has to be copied or described.
 *
 * Memory is cut into blocks of sizes that are powers of two. A free block is in the list of its
 * size. Before the bytes that a caller gets lies a header, which tells where the block begins.
 */
#define _GNU_SOURCE
#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct header {
    uint64_t bits, offset; /* the size of the block is 2^bits; the header ends at this offset */
};
struct block {
    struct block *next;
};

static pthread_mutex_t memory_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t call_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *free_blocks[64];
static char *fresh; /* where memory begins that no block has had yet */
static int file;

/* End the process: there is nobody to whom an error could be returned. */
static void end(const char *message)
{
    if (write(2, message, strlen(message)) >= 0)
        abort();
    _exit(1);
}

static void open_memory(void)
{
    void *at = (void *)SHARED_AT;
    file = memfd_create("shared", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, SHARED_SIZE) != 0
        || mmap(at, SHARED_SIZE, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, file, 0) != at)
        end("there is no memory to share\n");
    fresh = (char *)SHARED_AT + sizeof(struct call);
}

static struct header *header_of(void *given) { return (struct header *)given - 1; }

/* Return memory that begins at a multiple of a power of two, or NULL. */
static void *allocate(size_t n, size_t alignment)
{
    const size_t least = n + alignment + 2 * sizeof(struct header);
    uint64_t bits = 5;
    if (n > SHARED_SIZE || alignment > SHARED_SIZE) {
        errno = ENOMEM;
        return NULL;
    }
    while ((size_t)1 << bits < least)
        bits++;
    pthread_mutex_lock(&memory_lock);
    if (!fresh)
        open_memory();
    char *block = (char *)free_blocks[bits];
    if (block) {
        free_blocks[bits] = free_blocks[bits]->next;
    } else if ((size_t)1 << bits <= SHARED_AT + SHARED_SIZE - (uintptr_t)fresh) {
        block = fresh;
        fresh += (size_t)1 << bits;
    }
    pthread_mutex_unlock(&memory_lock);
    if (!block) {
        errno = ENOMEM;
        return NULL;
    }
    if (alignment < alignof(max_align_t))
        alignment = alignof(max_align_t);
    const uintptr_t first = (uintptr_t)block + sizeof(struct header);
    char *given = (char *)((first + alignment - 1) / alignment * alignment);
    *header_of(given) = (struct header){bits, (uint64_t)(given - block)};
    return given;
}

void *malloc(size_t n) { return allocate(n, 1); }
void *memalign(size_t alignment, size_t n) { return allocate(n, alignment); }
void *aligned_alloc(size_t alignment, size_t n) { return allocate(n, alignment); }

int posix_memalign(void **to, size_t alignment, size_t n)
{
    *to = allocate(n, alignment);
    return *to ? 0 : ENOMEM;
}

void *calloc(size_t n, size_t size)
{
    if (size && n > SHARED_SIZE / size) {
        errno = ENOMEM;
        return NULL;
    }
    void *given = allocate(n * size, 1);
    return given ? memset(given, 0, n * size) : NULL;
}

void free(void *given)
{
    if (!given)
        return;
    const struct header header = *header_of(given);
    struct block *block = (struct block *)((char *)given - header.offset);
    pthread_mutex_lock(&memory_lock);
    block->next = free_blocks[header.bits];
    free_blocks[header.bits] = block;
    pthread_mutex_unlock(&memory_lock);
}

size_t malloc_usable_size(void *given)
{
    return given ? ((size_t)1 << header_of(given)->bits) - header_of(given)->offset : 0;
}

void *realloc(void *given, size_t n)
{
    const size_t has = malloc_usable_size(given);
    if (given && n <= has && n >= has / 4)
        return given;
    void *moved = allocate(n, 1);
    if (moved && given) {
        memcpy(moved, given, n < has ? n : has);
        free(given);
    }
    return moved;
}

/* Start the process that $SPIKEBP_SERVER names, as a line of the shell; set the ends of its pipes.
 * It ends with this process, when the pipe from which it reads is closed. */
static void start(int *to, int *from)
{
    int out[2], in[2];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), file);
    const char *command = getenv("SPIKEBP_SERVER");
    setenv("SPIKEBP_MEMORY", path, 1);
    unsetenv("LD_PRELOAD"); /* it is made for this machine */
    if (!command || pipe2(out, O_CLOEXEC) != 0 || pipe2(in, O_CLOEXEC) != 0)
        end("there is no process to share memory with\n");
    const pid_t child = vfork();
    if (child == 0) {
        dup2(out[0], 0);
        dup2(in[1], 1);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    *to = out[1];
    *from = in[0];
    close(out[0]);
    close(in[1]);
}

/* Call a function of the engine in the other process. */
int64_t call(const char *name, int64_t a, int64_t b, int64_t c)
{
    static int to, from;
    struct call *shared = (struct call *)SHARED_AT;
    char byte = 0;
    pthread_mutex_lock(&call_lock);
    if (!to)
        start(&to, &from);
    *shared = (struct call){.given = {a, b, c}};
    strncpy(shared->name, name, sizeof shared->name - 1);
    if (write(to, &byte, 1) != 1 || read(from, &byte, 1) != 1)
        end("the process that runs the engine has ended\n");
    const int64_t result = shared->result;
    pthread_mutex_unlock(&call_lock);
    return result;
}
