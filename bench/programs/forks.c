/*
 * Forks: forks MODE SIZE_KB COUNT. The process has SIZE_KB of memory that is in use. Prints the median time in
 * nanoseconds of
 *   fork     fork, as the parent sees it, with each child collected before the next
 *   kept     the same, with the children collected at the end
 *   borrow   fork without a copy of the memory (vfork) with a child that ends at once, as the parent sees it
 *   whole    fork, end of the child, and waiting for it
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __wasm__
#define WASIX(name) __attribute__((import_module("wasix_32v1"), import_name(name)))
struct option_pid {
  uint8_t tag;
  uint32_t pid;
};
struct join_status {
  uint8_t tag;
  uint16_t code;
  uint8_t signal;
};
WASIX("proc_fork") int proc_fork(int copy_memory, uint32_t *pid);
WASIX("proc_join") int proc_join(struct option_pid *pid, int flags, struct join_status *status);

static int fork_with(int copy_memory) {
  uint32_t pid;
  return proc_fork(copy_memory, &pid) == 0 ? (int)pid : -1;
}
#define FORK() fork_with(1)
#define BORROW() fork_with(0)

static int wait_for_any(void) {
  struct option_pid any = {0};
  struct join_status status;
  return proc_join(&any, 0, &status) == 0;
}
#else
#include <sys/wait.h>
#define FORK() fork()
#define BORROW() vfork()

static int wait_for_any(void) {
  int status;
  return wait(&status) > 0;
}
#endif

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const char *mode = argv[1];
  int borrow = !strcmp(mode, "borrow"), kept = !strcmp(mode, "kept"), whole = !strcmp(mode, "whole");
  size_t size = strtoul(argv[2], NULL, 10) * 1024;
  int count = atoi(argv[3]);
  volatile unsigned *memory = malloc(size);
  int64_t *times = malloc(count * sizeof *times);
  if (memory == NULL || times == NULL) return 3;
  for (size_t i = 0; i < size / sizeof *memory; i++) memory[i] = i + 1;
  for (int i = 0; i < count; i++) {
    int64_t start = now_ns();
    int pid = borrow ? BORROW() : FORK();
    if (pid == 0) _Exit(0);
    if (pid < 0) return 4;
    int64_t forked = now_ns();
    if (!kept && !wait_for_any()) return 5;
    times[i] = (whole ? now_ns() : forked) - start;
  }
  for (int i = 0; kept && i < count; i++) if (!wait_for_any()) return 5;
  qsort(times, count, sizeof *times, compare);
  printf("%lld\n", (long long)times[count / 2]);
  return 0;
}
