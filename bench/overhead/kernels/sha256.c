// SHA-256 of many blocks: integer arithmetic, rotations, fixed-length loops.
#include <math.h>
#include <stdint.h>
#include <stdio.h>

static uint32_t constants[64];
static uint32_t state[8];

static uint32_t rotate(uint32_t value, int by) { return value >> by | value << (32 - by); }

// The constants are the fractions of roots of the first primes.
static uint32_t fraction(double root) { return (uint32_t)((root - floor(root)) * 4294967296.0); }

static void prepare(void) {
  int found = 0;
  for (int n = 2; found < 64; n++) {
    int prime = 1;
    for (int d = 2; d * d <= n; d++) prime &= n % d != 0;
    if (!prime) continue;
    if (found < 8) state[found] = fraction(sqrt(n));
    constants[found++] = fraction(cbrt(n));
  }
}

static void block(const uint32_t *words) {
  uint32_t w[64], s[8];
  for (int n = 0; n < 16; n++) w[n] = words[n];
  for (int n = 16; n < 64; n++) {
    uint32_t a = rotate(w[n - 15], 7) ^ rotate(w[n - 15], 18) ^ w[n - 15] >> 3;
    uint32_t b = rotate(w[n - 2], 17) ^ rotate(w[n - 2], 19) ^ w[n - 2] >> 10;
    w[n] = w[n - 16] + a + w[n - 7] + b;
  }
  for (int n = 0; n < 8; n++) s[n] = state[n];
  for (int n = 0; n < 64; n++) {
    uint32_t e = s[4], a = s[0];
    uint32_t one = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + constants[n] + w[n];
    uint32_t two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
    s[7] = s[6]; s[6] = s[5]; s[5] = s[4]; s[4] = s[3] + one;
    s[3] = s[2]; s[2] = s[1]; s[1] = s[0]; s[0] = one + two;
  }
  for (int n = 0; n < 8; n++) state[n] += s[n];
}

int main(void) {
  uint32_t words[16] = {0};
  prepare();
  for (uint32_t n = 0; n < 300000; n++) {
    words[n & 15] = n ^ state[n & 7];
    block(words);
  }
  printf("%08x%08x\n", state[0], state[7]);
  return 0;
}
