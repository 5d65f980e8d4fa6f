// Mixes of float, double, 64-bit and 128-bit arithmetic, with conversions, in loops that call.
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>

// Some builds of the compiler's 128-bit division were made with a stack protector and miss its symbols.
uintptr_t __stack_chk_guard = 1;
void __stack_chk_fail(void) { __builtin_trap(); }

typedef unsigned __int128 u128;
typedef __int128 i128;

__attribute__((noinline)) static u128 multiply(uint64_t a, uint64_t b) { return (u128)a * b; }
__attribute__((noinline)) static u128 power(u128 base, int exponent, uint64_t modulus) {
  u128 result = 1;
  while (exponent > 0) {
    if (exponent & 1) result = result * (base % modulus) % modulus;
    base = (base % modulus) * (base % modulus) % modulus;
    exponent >>= 1;
  }
  return result;
}
__attribute__((noinline)) static i128 divide(i128 a, int64_t b) { return b == 0 ? a : a / b + a % b; }

__attribute__((noinline)) static double series(double x, int terms) {
  double sum = 0, term = 1;
  for (int n = 1; n <= terms; n++) {
    sum += term;
    term *= x / n;
  }
  return sum;
}
__attribute__((noinline)) static float halves(float x) {
  float sum = 0;
  for (int n = 0; n < 12 && x > 0.001f; n++) {
    sum += x;
    x *= 0.5f;
  }
  return sum;
}
static double integral(double (*function)(double), double from, double to, int steps) {
  double sum = 0, width = (to - from) / steps;
  for (int n = 0; n < steps; n++) sum += function(from + (n + 0.5) * width) * width;
  return sum;
}
static double wave(double x) { return sin(x) * exp(-x) + (double)halves((float)x); }

int main(void) {
  u128 wide = 1;
  i128 negative = -1;
  uint64_t seed = 88172645463325252ull;
  double real = 0;
  float single = 1;
  for (int n = 1; n < 40; n++) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    wide = wide * multiply(seed, (uint64_t)n * 0x9e3779b97f4a7c15ull) + power(seed, n, 0xffffffffffffffc5ull);
    negative = negative * divide((i128)wide, -(int64_t)(seed >> 3)) - (i128)(wide >> n);
    real += series((double)(n % 9) / 3, 12) - pow(n, 0.3) + fmod((double)(seed >> 40), 3.7) + (double)(int64_t)seed * 1e-18;
    single = halves(single + (float)real) + (float)(uint32_t)seed * 1e-8f + (float)(int64_t)(seed >> 20) * 1e-12f;
    if (!(real > -1e6 && real < 1e6)) real = n;
    real -= floor(real / 5) * (double)single + (double)(int32_t)(real * 7);
  }
  printf("%016" PRIx64 "%016" PRIx64 "\n", (uint64_t)(wide >> 64), (uint64_t)wide);
  printf("%016" PRIx64 "%016" PRIx64 "\n", (uint64_t)((u128)negative >> 64), (uint64_t)negative);
  printf("%.17g %.9g %.15g\n", real, (double)single, integral(wave, 0, 3, 200));
  printf("%d %u %lld\n", (int)sqrt((double)(seed >> 34)), (unsigned)lround(cbrt((double)seed)), llrint(log2((double)seed) * 1e6));
  return (int)(wide & 63);
}
