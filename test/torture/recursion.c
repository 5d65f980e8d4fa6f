// Deep and mutual recursion: many frames, each with locals that are needed on the way back.
#include <stdint.h>
#include <stdio.h>

static uint32_t hash = 2166136261u;

static void mix(uint32_t value) { hash = (hash ^ value) * 16777619u; }

__attribute__((noinline)) static int ackermann(int m, int n) {
  if (m == 0) return n + 1;
  if (n == 0) return ackermann(m - 1, 1);
  return ackermann(m - 1, ackermann(m, n - 1));
}

static int is_odd(uint32_t n, uint32_t *visits);

__attribute__((noinline)) static int is_even(uint32_t n, uint32_t *visits) {
  volatile uint32_t mine = n * 3;
  *visits += mine;
  int result = n == 0 ? 1 : is_odd(n - 1, visits);
  mix(mine);
  return result;
}

__attribute__((noinline)) static int is_odd(uint32_t n, uint32_t *visits) {
  volatile uint32_t mine = n * 5;
  *visits ^= mine;
  int result = n == 0 ? 0 : is_even(n - 1, visits);
  mix(mine);
  return result;
}

// Every level keeps an integer, a double and a 64-bit value across two calls.
__attribute__((noinline)) static double tree(int depth, uint64_t path, double weight) {
  if (depth == 0) {
    mix((uint32_t)(path ^ (path >> 32)));
    return weight;
  }
  double left = tree(depth - 1, path * 2 + 1, weight * 0.5);
  double right = tree(depth - 1, path * 3 + 2, weight * 0.25);
  return left - right + (double)depth + (double)(path % 97);
}

static int queens(int row, int n, uint32_t columns, uint32_t down, uint32_t up) {
  if (row == n) return 1;
  int count = 0;
  for (int column = 0; column < n; column++) {
    uint32_t c = 1u << column, d = 1u << (row + column), u = 1u << (row - column + n);
    if ((columns & c) || (down & d) || (up & u)) continue;
    count += queens(row + 1, n, columns | c, down | d, up | u);
  }
  return count;
}

static void hanoi(int n, int from, int to, int by, uint32_t *moves) {
  if (n == 0) return;
  hanoi(n - 1, from, by, to, moves);
  mix((uint32_t)(n * 100 + from * 10 + to));
  ++*moves;
  hanoi(n - 1, by, to, from, moves);
}

int main(void) {
  uint32_t visits = 0, moves = 0;
  printf("ackermann %d %d\n", ackermann(2, 9), ackermann(3, 3));
  printf("parity %d %d", is_even(500, &visits), is_odd(701, &visits));
  printf(" %u\n", visits);
  printf("tree %.17g\n", tree(9, 1, 1.0));
  printf("queens %d\n", queens(0, 6, 0, 0, 0));
  hanoi(8, 1, 3, 2, &moves);
  printf("hanoi %u, hash %08x\n", moves, hash);
  return (int)(hash & 31);
}
