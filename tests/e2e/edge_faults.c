/* Faults for a process under test, by LD_PRELOAD: its wall clock is wrong, its disk fails or is full. What is wrong is said in the file that
 * ARCHIPEL_FAULTS names, which is mapped: the test changes it while the process runs (test_edge_attacks_faults.py).
 *
 * Only what the disk tier of the edge uses is in here: reads and writes at an offset, room for a file, appends to its log of purges. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct Faults {
  volatile int64_t clock_ms;   /* added to the wall clock */
  volatile int64_t read_errno; /* 0: reads work */
  volatile int64_t write_errno;
  volatile int64_t torn_bytes; /* a write stops after so many bytes, and fails then; with write_errno */
  volatile int64_t met;        /* how often the disk failed */
};

static struct Faults* faults(void) {
  static struct Faults none;
  static struct Faults* mapped;
  if (mapped != NULL) return mapped;
  const char* name = getenv("ARCHIPEL_FAULTS");
  struct Faults* found = &none;
  if (name != NULL) {
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0);
    void* at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct Faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) found = at;
    if (fd >= 0) syscall(SYS_close, fd);
  }
  return mapped = found;
}

static int fails(int64_t error) {
  if (error == 0) return 0;
  __atomic_fetch_add(&faults()->met, 1, __ATOMIC_RELAXED);
  errno = (int)error;
  return 1;
}

int clock_gettime(clockid_t clock, struct timespec* now) {
  const long done = syscall(SYS_clock_gettime, clock, now);
  if (done == 0 && clock == CLOCK_REALTIME) {
    const int64_t ms = faults()->clock_ms;
    now->tv_sec += ms / 1000;
  }
  return (int)done;
}

ssize_t preadv(int fd, const struct iovec* parts, int count, off_t at) {
  if (fails(faults()->read_errno)) return -1;
  return syscall(SYS_preadv, fd, parts, count, at, 0);
}

ssize_t preadv2(int fd, const struct iovec* parts, int count, off_t at, int flags) {
  if (fails(faults()->read_errno)) return -1;
  return syscall(SYS_preadv2, fd, parts, count, at, 0, flags);
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  const int64_t torn = faults()->torn_bytes;
  if (faults()->write_errno != 0 && torn > 0 && (size_t)torn < size) syscall(SYS_pwrite64, fd, bytes, (size_t)torn, at);
  if (fails(faults()->write_errno)) return -1;
  return syscall(SYS_pwrite64, fd, bytes, size, at);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  struct stat about;
  if (fd > 2 && faults()->write_errno != 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && fails(faults()->write_errno)) return -1;
  return syscall(SYS_write, fd, bytes, size);
}

int posix_fallocate(int fd, off_t at, off_t size) {
  if (fails(faults()->write_errno)) return (int)faults()->write_errno;
  return syscall(SYS_fallocate, fd, 0, at, size) == 0 ? 0 : errno;
}
