/* Native only: the time from sending a signal to a busy thread to the start of its handler; signals COUNT. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static atomic_long taken;
static atomic_int running;

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static void handle(int number) {
  (void)number;
  atomic_fetch_add(&taken, 1);
}

static void *spin(void *unused) {
  (void)unused;
  atomic_store(&running, 1);
  for (volatile unsigned long n = 0;; n++) {}
}

static int compare(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  long count = atol(argv[1]);
  double *times = malloc(count * sizeof *times);
  pthread_t busy;
  signal(SIGUSR1, handle);
  if (pthread_create(&busy, NULL, spin, NULL)) return 1;
  while (!atomic_load(&running)) {}
  for (long i = 0; i < count; i++) {
    double start = now_ns();
    pthread_kill(busy, SIGUSR1);
    while (atomic_load(&taken) == i) {}
    times[i] = now_ns() - start;
    /* Let it run its loop for a moment. */
    for (volatile int n = 0; n < 2000; n++) {}
  }
  qsort(times, count, sizeof *times, compare);
  printf("%.3f\n", times[count / 2]);
  return 0;
}
