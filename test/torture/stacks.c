// alloca, variable-length arrays, and coroutines by hand over an explicit stack.
#include <alloca.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t hash = 1;
static void mix(uint32_t value) { hash = hash * 16777619u ^ value; }

__attribute__((noinline)) static uint32_t variable(int n, int depth) {
  uint32_t first[n + 1];
  uint8_t *second = alloca((size_t)(n * depth + 1));
  for (int k = 0; k <= n; k++) first[k] = hash + (uint32_t)(k * depth);
  memset(second, depth, (size_t)(n * depth + 1));
  uint32_t below = depth > 0 ? variable((n * 7 + depth) % 23, depth - 1) : 1;
  for (int k = 0; k <= n; k++) mix(first[k] + second[k * (depth > 0 ? 1 : 0) % (n * depth + 1)] + below);
  return below + first[n] * 3;
}

__attribute__((noinline)) static double matrix(int rows, int columns) {
  double cells[rows][columns];
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++) cells[r][c] = (double)((r * 31 + c * 17) % 13) - (double)(hash & 7);
  double determinant = 1;
  for (int p = 0; p < rows && p < columns; p++) {
    if (cells[p][p] == 0) cells[p][p] = 0.5;
    determinant *= cells[p][p];
    for (int r = p + 1; r < rows; r++) {
      double by = cells[r][p] / cells[p][p];
      for (int c = p; c < columns; c++) cells[r][c] -= by * cells[p][c];
    }
    mix((uint32_t)(int64_t)determinant);
  }
  return determinant;
}

// A coroutine keeps its place and locals in a record; the scheduler below switches between many.
typedef struct Coroutine {
  int place;
  uint32_t a, b, n;
  uint32_t (*body)(struct Coroutine *);
} Coroutine;
#define BEGIN switch (c->place) { case 0:
#define YIELD(value) do { c->place = __LINE__; return value; case __LINE__:; } while (0)
#define END } c->place = -1; return 0

static uint32_t fibonacci(Coroutine *c) {
  BEGIN
  for (c->n = 0; c->n < 40; c->n++) {
    YIELD(c->a);
    uint32_t next = c->a + c->b;
    c->a = c->b;
    c->b = next;
    if (next % 5 == 0) YIELD(next / 5);
  }
  END;
}
static uint32_t collatz(Coroutine *c) {
  BEGIN
  while (c->a != 1) {
    if (c->a % 2) {
      c->a = c->a * 3 + 1;
      YIELD(c->a);
    } else {
      while (c->a % 2 == 0) c->a /= 2;
      YIELD(c->a * 1000);
    }
  }
  END;
}

int main(void) {
  uint32_t sum = 0;
  for (int n = 0; n < 12; n++) sum += variable(n + 3, 6);
  double determinants = 0;
  for (int n = 2; n < 12; n++) determinants += matrix(n, n + (n & 1));
  Coroutine all[10];
  for (int n = 0; n < 10; n++)
    all[n] = (Coroutine){0, n % 2 ? (uint32_t)(n * 7 + 3) : 0, 1, 0, n % 2 ? collatz : fibonacci};
  int alive = 10;
  for (uint32_t turn = 0; alive > 0; turn++) {
    Coroutine *c = &all[(turn * 7 + hash % 3) % 10];
    if (c->place == -1) { if (turn > 5000) break; continue; }
    mix(c->body(c));
    if (c->place == -1) alive--;
  }
  printf("sum %u, determinants %.12g, alive %d, hash %08x\n", sum, determinants, alive, hash);
  return (int)(hash & 31);
}
