/* One side of a ping-pong over standard input and output: pingpong ping COUNT | pingpong pong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
  char byte = 'x';
  if (argc > 2 && !strcmp(argv[1], "ping")) {
    long count = atol(argv[2]), warm = count / 4;
    double start = 0;
    for (long i = -warm; i < count; i++) {
      if (i == 0) start = now_ns();
      if (write(1, &byte, 1) != 1 || read(0, &byte, 1) != 1) return 1;
    }
    fprintf(stderr, "%.3f\n", (now_ns() - start) / count);
    return 0;
  }
  while (read(0, &byte, 1) == 1) if (write(1, &byte, 1) != 1) return 1;
  return 0;
}
