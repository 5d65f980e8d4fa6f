/* Waiting through a C library: input with a time limit, sleeping, clocks. */
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static long milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(void) {
  char line[64];
  struct pollfd input = {.fd = 0, .events = POLLIN};
  printf("terminal %d\n", isatty(0));
  long start = milliseconds();
  printf("nothing yet: %d\n", poll(&input, 1, 50));
  printf("waited %d\n", milliseconds() - start >= 50 && milliseconds() - start < 5000);
  puts("ready");
  fflush(stdout);
  printf("input: %d\n", poll(&input, 1, 10000));
  long count = read(0, line, sizeof line);
  printf("read %ld: %.*s", count, (int)count, line);
  start = milliseconds();
  struct timespec pause = {.tv_nsec = 30000000};
  printf("slept %d\n", nanosleep(&pause, NULL));
  printf("waited %d\n", milliseconds() - start >= 30 && milliseconds() - start < 5000);
  puts("done");
  fflush(stdout);
  printf("end of input: %d, %ld\n", poll(&input, 1, 10000), (long)read(0, line, sizeof line));
  return 0;
}
