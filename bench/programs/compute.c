/*
 * Compute kernels: compute KERNEL CALLS SIZE calls the kernel CALLS times with SIZE units of work and prints the
 * milliseconds that took. CALLS 1 is one long call, which a compiler that does not replace running frames
 * executes in the code it had at first; many calls of small SIZE soon reach optimised code.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KERNEL static __attribute__((noinline)) double

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* Five bodies under gravity; SIZE steps. */
KERNEL nbody(long size) {
  double p[5][3], v[5][3], m[5];
  for (int i = 0; i < 5; i++) {
    m[i] = i ? 0.04 / i : 39.5;
    for (int k = 0; k < 3; k++) {
      p[i][k] = i * (2.0 + k) - i * k * 0.5;
      v[i][k] = i ? 1.0 / (i + k) : 0;
    }
  }
  for (long step = 0; step < size; step++) {
    for (int i = 0; i < 5; i++) {
      for (int j = i + 1; j < 5; j++) {
        double d[3], square = 0;
        for (int k = 0; k < 3; k++) {
          d[k] = p[i][k] - p[j][k];
          square += d[k] * d[k];
        }
        double strength = 0.001 / (square * sqrt(square));
        for (int k = 0; k < 3; k++) {
          v[i][k] -= d[k] * m[j] * strength;
          v[j][k] += d[k] * m[i] * strength;
        }
      }
    }
    for (int i = 0; i < 5; i++) for (int k = 0; k < 3; k++) p[i][k] += 0.001 * v[i][k];
  }
  return p[0][0];
}

/* Most flips of a leading prefix over SIZE permutations of ten, taken in a simple pseudorandom order. */
KERNEL flips(long size) {
  int order[10], work[10], most = 0;
  uint32_t seed = 42;
  for (int i = 0; i < 10; i++) order[i] = i;
  for (long round = 0; round < size; round++) {
    for (int i = 9; i > 0; i--) {
      seed = seed * 1664525 + 1013904223;
      int j = (seed >> 8) % (i + 1), kept = order[i];
      order[i] = order[j];
      order[j] = kept;
    }
    memcpy(work, order, sizeof work);
    int count = 0;
    for (int first = work[0]; first; first = work[0]) {
      for (int low = 0, high = first; low < high; low++, high--) {
        int kept = work[low];
        work[low] = work[high];
        work[high] = kept;
      }
      count++;
    }
    if (count > most) most = count;
  }
  return most;
}

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* The SHA-256 compression function over SIZE blocks; constants from the fractions of roots, as it defines them. */
KERNEL sha256(long size) {
  static uint32_t k[64], initial[8];
  if (!k[0]) {
    for (int n = 2, found = 0; found < 64; n++) {
      int prime = 1;
      for (int d = 2; d * d <= n; d++) if (n % d == 0) prime = 0;
      if (!prime) continue;
      double cube = cbrt(n), square = sqrt(n);
      if (found < 8) initial[found] = (uint32_t)((square - floor(square)) * 4294967296.0);
      k[found++] = (uint32_t)((cube - floor(cube)) * 4294967296.0);
    }
  }
  uint32_t state[8], w[64];
  memcpy(state, initial, sizeof state);
  for (long block = 0; block < size; block++) {
    for (int i = 0; i < 16; i++) w[i] = (uint32_t)block * 2654435761u + i;
    for (int i = 16; i < 64; i++) {
      uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    uint32_t s[8];
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
      uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
      uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      memmove(s + 1, s, 7 * sizeof *s);
      s[4] += t1;
      s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
  }
  return state[0];
}

/* SIZE products of 48 by 48 matrices. */
KERNEL matrix(long size) {
  enum { N = 48 };
  static double a[N][N], b[N][N], c[N][N];
  for (int i = 0; i < N; i++) for (int j = 0; j < N; j++) a[i][j] = i + j, b[i][j] = i - j, c[i][j] = 0;
  for (long round = 0; round < size; round++)
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) {
        double sum = 0;
        for (int n = 0; n < N; n++) sum += a[i][n] * b[n][j];
        c[i][j] += sum;
      }
  return c[3][4];
}

static long comparisons;
static int compare(const void *a, const void *b) {
  comparisons++;
  return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b);
}

/* The C library's sort of SIZE numbers: calls through a function pointer. */
KERNEL sort(long size) {
  uint32_t *numbers = malloc(size * sizeof *numbers), seed = 7;
  for (long i = 0; i < size; i++) numbers[i] = seed = seed * 1664525 + 1013904223;
  qsort(numbers, size, sizeof *numbers, compare);
  double middle = numbers[size / 2];
  free(numbers);
  return middle;
}

static __attribute__((noinline)) long fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

/* Recursion to depth SIZE: calls and nothing else. */
KERNEL calls(long size) { return fibonacci(size); }

static const struct {
  const char *name;
  double (*run)(long);
} kernels[] = {{"nbody", nbody}, {"flips", flips}, {"sha256", sha256}, {"matrix", matrix}, {"sort", sort}, {"calls", calls}};

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  long count = atol(argv[2]), size = atol(argv[3]);
  for (unsigned i = 0; i < sizeof kernels / sizeof *kernels; i++) {
    if (strcmp(argv[1], kernels[i].name)) continue;
    double start = now_ms(), result = 0;
    for (long n = 0; n < count; n++) result += kernels[i].run(size);
    double end = now_ms();
    printf("%.3f %.6g\n", end - start, result);
    return 0;
  }
  fprintf(stderr, "kernel %s?\n", argv[1]);
  return 2;
}
