// Values that live on the operand stack across calls: calls in arguments, conditions, indices and arithmetic.
#include <stdint.h>
#include <stdio.h>

static uint32_t state = 1;
static int32_t table[64];

__attribute__((noinline)) static int32_t f(int32_t a) {
  for (int n = 0; n < 3; n++) state = state * 69069u + (uint32_t)a + 1;
  return (int32_t)(state >> 24) + a;
}
__attribute__((noinline)) static int32_t g(int32_t a) {
  int32_t sum = a;
  do sum += f(sum & 15); while ((sum & 3) == 1);
  return sum;
}
__attribute__((noinline)) static int64_t h(int64_t a, int32_t b) { return a * 31 + f(b); }
__attribute__((noinline)) static double k(double a, int32_t b) { return a * 1.5 - f(b); }
__attribute__((noinline)) static float s(float a) { return a + (float)f(2) * 0.25f; }
__attribute__((noinline)) static int32_t many(int32_t a, int64_t b, double c, float d, int32_t e, int64_t i) {
  return f(a) + (int32_t)b + (int32_t)c - (int32_t)d + e + (int32_t)(i >> 3);
}

int main(void) {
  int64_t wide = 1;
  double real = 0.5;
  float single = 2.0f;
  for (int n = 0; n < 40; n++) {
    table[f(n) & 63] += f(n) + g(n) * (int32_t)h(f(n), (int32_t)k(f(2), g(3)));
    wide = wide * h(wide, f(n)) + (h(1, f(1)) ^ h(2, g(f(2)))) - (int64_t)k((double)f(3), f(4));
    real = k(k(k(real, f(1)), g(2)), f(g(3))) / (1.0 + (double)(f(5) & 255));
    single = s(s(single) * 0.5f) - s((float)f(6)) * s(0.125f);
    if (f(n) > g(n) ? h(n, f(n)) > 99 : k(n, g(n)) < 7.0 || (f(1) & g(2)) != 0)
      table[(f(1) + g(2)) & 63] ^= many(f(1), h(2, f(3)), k(4.0, g(5)), s(6.0f), g(f(7)), h(f(8), g(9)));
    for (int m = f(0) & 3; m < (g(1) & 7); m += (f(2) & 1) + 1) table[m] += m * f(m);
    while ((f(n) & 7) + (g(n) & 7) > 9) table[f(1) & 7]--;
    switch ((f(1) + g(2)) & 3) {
      case 0: wide += f(1) << (g(2) & 7); break;
      case 1: real += (double)f(1) * (double)g(2); // falls through
      case 2: single -= s((float)g(1)); break;
      default: table[g(1) & 63] = f(table[g(2) & 63]);
    }
  }
  uint32_t hash = state;
  for (int n = 0; n < 64; n++) hash = (hash ^ (uint32_t)table[n]) * 16777619u;
  printf("%08x %016llx %.17g %.9g\n", hash, (unsigned long long)wide, real, (double)single);
  return (int)(hash % 50);
}
