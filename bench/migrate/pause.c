/*
 * pause HEAP_MB DEPTH: fills a heap, goes DEPTH calls deep, and then looks at the clock all the time. Whenever it was
 * kept from doing so it prints when that ended and for how long it was, in nanoseconds; and now and then a line that
 * says that it is alive, with 0. Built by ../programs/build.sh.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { page_bytes = 4096, noticed_ns = 25000, beat_ns = 5000000 };

static uint8_t *heap;
static size_t pages;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void say(uint64_t end_ns, uint64_t pause_ns) {
  char line[64];
  int length = snprintf(line, sizeof line, "%llu %llu\n", (unsigned long long)end_ns, (unsigned long long)pause_ns);
  write(1, line, (size_t)length);
}

__attribute__((noinline)) static int watch(void) {
  size_t page = 0;
  uint64_t last = now_ns();
  uint64_t beat = last;
  for (;;) {
    uint64_t now = now_ns();
    int noticed = now - last > noticed_ns;
    if (noticed || now - beat > beat_ns) {
      say(now, noticed ? now - last : 0);
      beat = now = now_ns();
    }
    last = now;
    // Walks through the heap, slowly.
    heap[page * page_bytes] += 1;
    page = (page + 1) % pages;
  }
}

static int deep(int depth, int64_t a, double b) {
  if (depth <= 1) return watch();
  // Frames hold values that are needed afterwards.
  int result = deep(depth - 1, a * 3 + depth, b * 0.5);
  return result + (int)a + (int)b;
}

int main(int count, char **words) {
  size_t heap_mb = count > 1 ? (size_t)atoi(words[1]) : 1;
  pages = heap_mb * 256;
  heap = malloc(pages * page_bytes);
  if (heap == NULL) return 1;
  // Every page is another one, or copies of it would be kept once.
  for (size_t n = 0; n < pages * page_bytes; n += 64) *(uint64_t *)(heap + n) = n * 0x9e3779b97f4a7c15u + 1;
  say(0, 0);
  return deep(count > 2 ? atoi(words[2]) : 1, 1, 1.5);
}
