// Function pointers of many signatures, called in argument lists and conditions, and tables of them.
#include <stdint.h>
#include <stdio.h>

static uint32_t calls = 0;

#define STEP() (calls = calls * 1664525u + 1013904223u)

static int i_i(int a) { STEP(); return a * 7 + (int)(calls & 3); }
static int i_ii(int a, int b) { STEP(); return a * 3 - b; }
static int64_t l_li(int64_t a, int b) { STEP(); return a * 1000003 + b; }
static int64_t l_il(int a, int64_t b) { STEP(); return (int64_t)a - b * 5; }
static double d_d(double a) { STEP(); return a * 0.5 + 1.0; }
static double d_di(double a, int b) { STEP(); return a / (b == 0 ? 1 : b); }
static float f_ff(float a, float b) { STEP(); return a - b * 0.125f; }
static void v_p(int *a) { STEP(); *a ^= (int)calls; }
static void v_v(void) { STEP(); }
static uint8_t c_c(uint8_t a) { STEP(); return (uint8_t)(a * 13 + 1); }

static int loop_i(int a) {
  int sum = 0;
  for (int n = 0; n < (a & 15); n++) { STEP(); sum += (int)(calls >> 20) + n; }
  return sum;
}
static int loop_ii(int a, int b) {
  while (b-- > 0 && a < 100000) a += loop_i(b) + 1;
  return a;
}

typedef struct {
  const char *name;
  int (*one)(int);
  int (*two)(int, int);
  double (*real)(double);
} Operations;

static const Operations operations[] = {
    {"plain", i_i, i_ii, d_d},
    {"loops", loop_i, loop_ii, d_d},
    {"mixed", loop_i, i_ii, d_d},
};

typedef int (*Chain)(int, void *);
static int chain_end(int a, void *next) { (void)next; return i_i(a); }
static int chain_step(int a, void *next) {
  if (a > 12) return chain_end(a, next);
  Chain follow = (Chain)next;
  int before = loop_i(a);
  int result = follow(a + 1, next);
  return before + result * 2;
}

int main(void) {
  int (*volatile pi)(int) = i_i;
  int (*volatile pl)(int) = loop_i;
  int (*volatile pii)(int, int) = loop_ii;
  int64_t (*volatile pli)(int64_t, int) = l_li;
  int64_t (*volatile pil)(int, int64_t) = l_il;
  double (*volatile pd)(double) = d_d;
  double (*volatile pdi)(double, int) = d_di;
  float (*volatile pff)(float, float) = f_ff;
  void (*volatile pv)(int *) = v_p;
  void (*volatile pvv)(void) = v_v;
  uint8_t (*volatile pc)(uint8_t) = c_c;
  int64_t sum = 0;
  double real = 3.25;
  float single = 1.5f;
  for (int n = 0; n < 60; n++) {
    // Operands of several types wait under calls.
    sum += pli(pil(n, sum >> 7), pi(n)) + pii(n, pl(n)) * (int64_t)pl(pi(n) & 31);
    real = pd(real) + pdi(pd(real + n), pl(n)) - (double)pff(single, (float)pl(3));
    single = pff(single, (float)(pl(n) % 17)) + (float)pc((uint8_t)n);
    int local = n;
    pv(&local);
    if (pl(local & 7) > 5 && pi(n) % 2 == 0) pvv();
    for (unsigned k = 0; k < sizeof operations / sizeof *operations; k++) {
      const Operations *o = &operations[(k + (unsigned)local) % 3];
      sum ^= o->two(o->one(n), o->one(n + 1) & 7) + (int64_t)o->real((double)o->one(2));
    }
  }
  sum += chain_step(0, (void *)chain_step);
  printf("sum %lld, real %.17g, single %.9g, calls %08x\n", (long long)sum, real, (double)single, calls);
  return (int)(calls & 15);
}
