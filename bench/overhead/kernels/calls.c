// Recursion and nothing else: the price of a call.
#include <stdio.h>

__attribute__((noinline)) static int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

__attribute__((noinline)) static int takeuchi(int x, int y, int z) {
  if (x <= y) return z;
  return takeuchi(takeuchi(x - 1, y, z), takeuchi(y - 1, z, x), takeuchi(z - 1, x, y));
}

int main(void) {
  // Read at run time, or the compiler computes too much itself.
  volatile int n = 41, x = 22;
  printf("%d %d\n", fibonacci(n), takeuchi(x, 13, 5));
  return 0;
}
