// Tail calls, direct and through pointers: a state machine in continuation-passing style. Built with -mtail-call.
#include <stdint.h>
#include <stdio.h>

#ifdef __wasm_tail_call__
#define TAIL __attribute__((musttail)) return
#else
#define TAIL return
#endif

typedef struct Machine { const char *input; uint32_t hash; int depth; int steps; } Machine;
typedef int (*State)(Machine *, int, uint64_t);

static int start(Machine *m, int value, uint64_t carry);
static int digits(Machine *m, int value, uint64_t carry);
static int letters(Machine *m, int value, uint64_t carry);
static int finish(Machine *m, int value, uint64_t carry);
static State const states[4] = {start, digits, letters, finish};

// Not a tail call: the frames of those who call it stay.
__attribute__((noinline)) static uint32_t work(uint32_t seed, int rounds) {
  for (int n = 0; n < rounds; n++) seed = seed * 69069u + (uint32_t)n;
  return seed;
}
static State choose(char c) { return states[c == 0 ? 3 : c >= '0' && c <= '9' ? 1 : c >= 'a' && c <= 'z' ? 2 : 0]; }

static int start(Machine *m, int value, uint64_t carry) {
  m->steps++;
  char c = *m->input ? *m->input++ : 0;
  m->hash = work(m->hash ^ (uint8_t)c, 3);
  TAIL choose(*m->input)(m, value + 1, carry * 3 + (uint8_t)c);
}
static int digits(Machine *m, int value, uint64_t carry) {
  m->steps++;
  int digit = *m->input++ - '0';
  carry = carry * 10 + (uint64_t)digit;
  if (m->depth < 4 && digit == 7) {
    // A whole machine runs inside this one.
    Machine inner = {m->input, m->hash, m->depth + 1, 0};
    int result = start(&inner, value, carry);
    m->hash ^= inner.hash;
    m->steps += inner.steps;
    TAIL choose(*m->input)(m, value ^ result, carry);
  }
  TAIL choose(*m->input)(m, value * 3 + digit, carry);
}
static int letters(Machine *m, int value, uint64_t carry) {
  m->steps++;
  m->hash = work(m->hash + (uint8_t)*m->input++, 2);
  TAIL choose(*m->input)(m, value + (int)(m->hash >> 28), carry ^ m->hash);
}
static int finish(Machine *m, int value, uint64_t carry) {
  m->hash = work(m->hash ^ (uint32_t)carry ^ (uint32_t)(carry >> 32), 5);
  return value;
}

static uint64_t count_down(uint64_t n, uint64_t sum) {
  if (n == 0) return sum;
  TAIL count_down(n - 1, sum + work((uint32_t)n, 1));
}

int main(void) {
  Machine m = {"abc 123 x7y 70 zz 4711 hello 7 end 99", 1, 0, 0};
  int value = start(&m, 0, 0);
  uint64_t sum = count_down(3000, 0);
  printf("value %d, steps %d, hash %08x, sum %llu\n", value, m.steps, m.hash, (unsigned long long)sum);
  return (int)(m.hash & 31);
}
