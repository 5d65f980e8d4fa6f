// Functions that return several values, and blocks with parameters. Built with -mmultivalue and the ABI for it.
#include <stdint.h>
#include <stdio.h>

typedef struct { int64_t quotient, remainder; } Division;
typedef struct { double real, imaginary; } Complex;
typedef struct { uint32_t hash; float weight; } Weighted;

static uint32_t state = 11;

__attribute__((noinline)) static uint32_t turn(uint32_t a) {
  for (int n = 0; n < 2; n++) state = state * 22695477u + a;
  return state >> 8;
}
__attribute__((noinline)) static Division divide(int64_t a, int64_t b) {
  turn((uint32_t)b);
  return (Division){a / b, a % b};
}
__attribute__((noinline)) static Complex multiply(Complex a, Complex b) {
  double bias = (double)(turn(1) & 3);
  return (Complex){a.real * b.real - a.imaginary * b.imaginary + bias, a.real * b.imaginary + a.imaginary * b.real};
}
__attribute__((noinline)) static Weighted weigh(uint32_t a, float b) {
  return (Weighted){a ^ turn(a), b * 0.5f + (float)(turn(2) & 7)};
}
static Division euclid(int64_t a, int64_t b) {
  if (b == 0) return (Division){a, 1};
  Division here = divide(a, b);
  Division below = euclid(b, here.remainder);
  return (Division){below.quotient, below.remainder * 3 + here.quotient};
}

int main(void) {
  Complex z = {0.3, 0.5};
  Weighted w = {1, 1};
  int64_t sum = 0;
  for (int n = 1; n < 50; n++) {
    Division d = euclid((int64_t)turn(3) * 9 + 1, (int64_t)(turn(4) >> 4) * 3 + 1);
    sum = sum * 5 + d.quotient + d.remainder + divide(sum, n).remainder;
    z = multiply(multiply(z, (Complex){0.5, -0.25}), (Complex){(double)(n & 3), 1.0 / n});
    w = weigh(weigh(w.hash, w.weight).hash + (uint32_t)n, weigh(turn(5), w.weight).weight);
  }
  printf("%lld %.15g %.15g %08x %.9g\n", (long long)sum, z.real, z.imaginary, w.hash, (double)w.weight);
  return (int)(w.hash & 31);
}
