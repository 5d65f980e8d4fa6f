// The C library's qsort with a callback: an indirect call in the innermost loop.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { size = 400000 };
static uint32_t values[size];

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

int main(void) {
  uint32_t seed = 1, sum = 0;
  for (int round = 0; round < 3; round++) {
    for (int n = 0; n < size; n++) values[n] = seed = seed * 1664525u + 1013904223u;
    qsort(values, size, sizeof *values, compare);
    for (int n = 0; n < size; n += 1000) sum = sum * 31 + values[n];
  }
  printf("%08x\n", sum);
  return 0;
}
