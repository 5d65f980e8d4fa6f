/* Times one system call from inside a program: syscalls OPERATION COUNT DIRECTORY; prints nanoseconds per call. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static char block[65536];

static double measure(const char *operation, long count, const char *directory) {
  char name[4096];
  snprintf(name, sizeof name, "%s/bench.tmp", directory);
  double start;
  if (!strcmp(operation, "clock")) {
    struct timespec t;
    start = now_ns();
    for (long i = 0; i < count; i++) clock_gettime(CLOCK_MONOTONIC, &t);
  } else if (!strcmp(operation, "write1")) {
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    if (fd < 0) { perror(name); exit(1); }
    start = now_ns();
    for (long i = 0; i < count; i++) if (write(fd, "x", 1) != 1) { perror("write"); exit(1); }
    double end = now_ns();
    close(fd);
    return end - start;
  } else if (!strcmp(operation, "read4k")) {
    int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0644);
    if (fd < 0) { perror(name); exit(1); }
    for (int i = 0; i < 256; i++) if (write(fd, block, 4096) != 4096) { perror("write"); exit(1); }
    start = now_ns();
    for (long i = 0; i < count; i++) {
      if ((i & 255) == 0) lseek(fd, 0, SEEK_SET);
      if (read(fd, block, 4096) != 4096) { perror("read"); exit(1); }
    }
    double end = now_ns();
    close(fd);
    return end - start;
  } else if (!strcmp(operation, "openclose")) {
    int fd = open(name, O_CREAT | O_WRONLY, 0644);
    close(fd);
    start = now_ns();
    for (long i = 0; i < count; i++) {
      fd = open(name, O_RDONLY);
      if (fd < 0) { perror(name); exit(1); }
      close(fd);
    }
  } else if (!strcmp(operation, "stat")) {
    struct stat status;
    int fd = open(name, O_CREAT | O_WRONLY, 0644);
    close(fd);
    start = now_ns();
    for (long i = 0; i < count; i++) if (stat(name, &status)) { perror(name); exit(1); }
  } else if (!strcmp(operation, "yield")) {
    start = now_ns();
    for (long i = 0; i < count; i++) sched_yield();
  } else if (!strcmp(operation, "write64m") || !strcmp(operation, "read64m")) {
    int fd = open(name, O_CREAT | O_RDWR, 0644);
    if (fd < 0) { perror(name); exit(1); }
    int writing = operation[0] == 'w';
    if (!writing) {
      for (int i = 0; i < 1024; i++) if (write(fd, block, sizeof block) != sizeof block) { perror("write"); exit(1); }
    }
    start = now_ns();
    for (long round = 0; round < count; round++) {
      lseek(fd, 0, SEEK_SET);
      for (int i = 0; i < 1024; i++) {
        ssize_t done = writing ? write(fd, block, sizeof block) : read(fd, block, sizeof block);
        if (done != sizeof block) { perror("transfer"); exit(1); }
      }
    }
    double end = now_ns();
    close(fd);
    return end - start;
  } else {
    fprintf(stderr, "operation %s?\n", operation);
    exit(2);
  }
  return now_ns() - start;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  long count = atol(argv[2]);
  /* The first run lets the compilers settle and fills caches. */
  measure(argv[1], count > 20 ? count / 4 : 1, argv[3]);
  printf("%.3f\n", measure(argv[1], count, argv[3]) / count);
  return 0;
}
