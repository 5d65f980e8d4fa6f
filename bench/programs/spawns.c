/* Native only: starts and awaits a program again and again; spawns COUNT PROGRAM prints nanoseconds per start. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  long count = atol(argv[1]);
  char *words[] = {argv[2], NULL}, *variables[] = {NULL};
  double start = now_ns();
  for (long i = 0; i < count; i++) {
    pid_t child;
    int status;
    if (posix_spawn(&child, argv[2], NULL, NULL, words, variables) || waitpid(child, &status, 0) < 0) return 1;
  }
  printf("%.3f\n", (now_ns() - start) / count);
  return 0;
}
