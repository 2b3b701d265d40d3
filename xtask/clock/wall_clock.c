// A wall clock that a test can set, for a process that it starts (the real Envoy): built by `cc` into
// wall_clock.so and loaded with LD_PRELOAD. Debian's libfaketime cannot do it: under Envoy 1.40 it deadlocks in
// its own start, before Envoy's first log line.
//
// COUNTERSIGN_CLOCK_FILE names a file of at least eight bytes: milliseconds since 1970 UTC, a signed 64-bit
// number in the machine's byte order. It is mapped, so a write into the file (in place, not by renaming another
// over it) moves the clock at once, without a system call in the reader. Zero means the real time. Only the
// wall clock is replaced: timers run on the monotonic clock, so time-outs keep their real length.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t real_time = 0;
static const volatile int64_t *clock_ms = &real_time;

// A test that asked for a fixed clock must never run on the real one: a file that cannot be mapped ends the process.
__attribute__((constructor)) static void map_clock(void) {
    const char *path = getenv("COUNTERSIGN_CLOCK_FILE");
    if (path == NULL) return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || lseek(file, 0, SEEK_END) < (off_t)sizeof(int64_t)) {
        fprintf(stderr, "wall_clock: COUNTERSIGN_CLOCK_FILE=%s is not a readable file of eight bytes\n", path);
        _exit(97);
    }
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page == MAP_FAILED) {
        perror("wall_clock: mmap");
        _exit(97);
    }
    clock_ms = page;
}

// The system call itself, not glibc's function: this file stands in that function's place.
int clock_gettime(clockid_t id, struct timespec *out) {
    int64_t ms = (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) ? *clock_ms : 0;
    if (ms == 0) return (int)syscall(SYS_clock_gettime, id, out);
    out->tv_sec = (time_t)(ms / 1000);
    out->tv_nsec = (long)(ms % 1000) * 1000000;
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
    if (out != NULL) *out = now.tv_sec;
    return now.tv_sec;
}
