// Points of the Mandelbrot set: one tight floating-point loop without memory.
#include <stdio.h>

static int iterations(double x, double y, int limit) {
  double a = 0, b = 0;
  for (int n = 0; n < limit; n++) {
    double aa = a * a, bb = b * b;
    if (aa + bb > 4) return n;
    b = 2 * a * b + y;
    a = aa - bb + x;
  }
  return limit;
}

int main(void) {
  enum { size = 700 };
  long sum = 0;
  for (int row = 0; row < size; row++)
    for (int column = 0; column < size; column++)
      sum += iterations(3.0 * column / size - 2.2, 3.0 * row / size - 1.5, 800);
  printf("%ld\n", sum);
  return 0;
}
