// Structs by value, small and large, nested calls that return structs, unions and bit fields.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct { double x, y, z; } Vector;
typedef struct { int32_t a; int64_t b; float c; uint8_t d[5]; } Mixed;
typedef struct { Vector position, speed; Mixed mixed; int32_t kind; } Large;
typedef struct { int32_t only; } Single;
typedef struct { int32_t a, b; } Pair;
typedef union { uint64_t bits; double real; struct { uint32_t low, high; } halves; } Bits;
typedef struct { unsigned a : 3, b : 7, c : 13; signed d : 9; } Fields;

__attribute__((noinline)) static Vector add(Vector a, Vector b) { return (Vector){a.x + b.x, a.y + b.y, a.z + b.z}; }
__attribute__((noinline)) static Vector scale(Vector a, double by) { return (Vector){a.x * by, a.y * by, a.z * by}; }
__attribute__((noinline)) static Vector cross(Vector a, Vector b) {
  return (Vector){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
__attribute__((noinline)) static Single bump(Single s) {
  for (int n = 0; n < 3; n++) s.only = s.only * 5 + 1;
  return s;
}
__attribute__((noinline)) static Pair swap(Pair p) { return (Pair){bump((Single){p.b}).only, p.a}; }
__attribute__((noinline)) static Mixed turn(Mixed m, int by) {
  for (int n = 0; n < by; n++) {
    memmove(m.d, m.d + 1, 4);
    m.d[4] = (uint8_t)(m.a ^ n);
    m.a = bump((Single){m.a}).only ^ (int32_t)m.b;
    m.b = m.b * 3 + m.d[0];
    m.c = m.c * 0.5f + (float)m.d[1];
  }
  return m;
}
__attribute__((noinline)) static Large step(Large l, Pair (*change)(Pair)) {
  l.position = add(l.position, scale(cross(l.speed, l.position), 0.01));
  l.speed = add(scale(l.speed, 0.99), cross(l.position, (Vector){0.1, 0.2, 0.3}));
  l.mixed = turn(l.mixed, 2);
  l.kind = change(swap((Pair){l.kind, l.mixed.a})).a;
  return l;
}

static Large recurse(Large l, int depth) {
  if (depth == 0) return l;
  Large before = l;
  Large after = recurse(step(l, swap), depth - 1);
  after.position = add(after.position, scale(before.speed, 0.001));
  after.mixed.b ^= before.mixed.b;
  return after;
}

int main(void) {
  Large l = {{1, 2, 3}, {0.5, -0.25, 0.125}, {1, 2, 3.0f, {1, 2, 3, 4, 5}}, 9};
  Bits bits = {0};
  Fields fields = {0};
  uint64_t hash = 14695981039346656037ull;
  for (int n = 0; n < 20; n++) {
    l = recurse(step(l, swap), 5);
    bits.real += l.position.x + (double)n;
    bits.halves.low ^= (uint32_t)l.kind;
    fields.a += 1;
    fields.b += fields.a + (unsigned)n;
    fields.c ^= (unsigned)bits.halves.high;
    fields.d -= (signed)fields.b;
    hash = (hash ^ bits.bits ^ (uint64_t)l.mixed.b) * 1099511628211ull + fields.c + (uint64_t)fields.d;
    if (!(bits.real > -1e300 && bits.real < 1e300)) bits.real = 1;
  }
  printf("%.17g %.17g %.17g %d\n", l.position.x, l.position.y, l.speed.z, l.kind);
  printf("%d %lld %.9g %d %u\n", l.mixed.a, (long long)l.mixed.b, (double)l.mixed.c, l.mixed.d[2], fields.b);
  printf("%016llx\n", (unsigned long long)hash);
  return (int)(hash & 63);
}
