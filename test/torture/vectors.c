// 128-bit vectors that live in locals and on the operand stack across calls. Built with -msimd128.
#include <stdint.h>
#include <stdio.h>
#include <wasm_simd128.h>

static uint32_t state = 7;

__attribute__((noinline)) static int32_t step(int32_t a) {
  for (int n = 0; n < 2; n++) state = state * 69069u + (uint32_t)a;
  return (int32_t)(state >> 16);
}
__attribute__((noinline)) static v128_t spread(int32_t a) {
  return wasm_i32x4_make(step(a), a, step(a + 1), a * 3);
}
__attribute__((noinline)) static v128_t blend(v128_t a, v128_t b, int32_t by) {
  v128_t mask = wasm_i32x4_gt(a, wasm_i32x4_splat(step(by)));
  return wasm_v128_bitselect(wasm_i32x4_add(a, b), wasm_v128_xor(a, wasm_i32x4_splat(by)), mask);
}
__attribute__((noinline)) static v128_t reals(v128_t a, double by) {
  v128_t low = wasm_f64x2_convert_low_i32x4(a);
  return wasm_f64x2_add(wasm_f64x2_mul(low, wasm_f64x2_splat(by)), wasm_f64x2_splat((double)step(3)));
}
__attribute__((noinline)) static uint64_t fold(v128_t a) {
  return (uint64_t)wasm_i64x2_extract_lane(a, 0) * 31 + (uint64_t)wasm_i64x2_extract_lane(a, 1);
}

static void saxpy(float *y, const float *x, float a, int count) {
  for (int n = 0; n + 4 <= count; n += 4) {
    v128_t sum = wasm_f32x4_add(wasm_v128_load(y + n), wasm_f32x4_mul(wasm_v128_load(x + n), wasm_f32x4_splat(a)));
    wasm_v128_store(y + n, sum);
  }
}

int main(void) {
  float x[64], y[64];
  for (int n = 0; n < 64; n++) {
    x[n] = (float)n * 0.5f;
    y[n] = (float)(n % 7);
  }
  v128_t a = wasm_i32x4_make(1, 2, 3, 4), b = wasm_i8x16_splat(5);
  uint64_t hash = 0;
  double total = 0;
  for (int n = 0; n < 80; n++) {
    v128_t kept = wasm_i8x16_shuffle(a, b, 0, 17, 2, 19, 4, 21, 6, 23, 8, 25, 10, 27, 12, 29, 14, 31);
    a = wasm_i32x4_mul(blend(a, spread(n), step(n)), wasm_i32x4_add(spread(step(n)), kept));
    b = wasm_v128_xor(blend(kept, blend(b, a, n), step(n) & 31), wasm_i8x16_swizzle(a, spread(n)));
    v128_t r = wasm_f64x2_sub(reals(a, 0.5), reals(b, (double)(step(n) & 15)));
    total += wasm_f64x2_extract_lane(r, 0) * 1e-6 + wasm_f64x2_extract_lane(r, 1) * 1e-7;
    hash = (hash ^ fold(a)) * 1099511628211ull + fold(wasm_i16x8_add_sat(a, b)) - fold(kept);
    saxpy(y, x, (float)step(n) * 1e-5f, 64);
  }
  float sum = 0;
  for (int n = 0; n < 64; n++) sum += y[n];
  printf("%016llx %.15g %.9g %08x\n", (unsigned long long)hash, total, (double)sum, state);
  return (int)(hash & 63);
}
