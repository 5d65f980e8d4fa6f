// The largest singular value of an infinite matrix, by the power method: divisions, and a function in the innermost loop.
#include <math.h>
#include <stdio.h>

enum { size = 900 };

static double entry(int row, int column) { return 1.0 / ((row + column) * (row + column + 1) / 2 + row + 1); }

static void multiply(const double *vector, double *result, int transposed) {
  for (int row = 0; row < size; row++) {
    double sum = 0;
    for (int column = 0; column < size; column++)
      sum += (transposed ? entry(column, row) : entry(row, column)) * vector[column];
    result[row] = sum;
  }
}

int main(void) {
  static double u[size], v[size], between[size];
  for (int n = 0; n < size; n++) u[n] = 1;
  for (int n = 0; n < 24; n++) {
    multiply(u, between, 0);
    multiply(between, v, 1);
    multiply(v, between, 0);
    multiply(between, u, 1);
  }
  double uv = 0, vv = 0;
  for (int n = 0; n < size; n++) {
    uv += u[n] * v[n];
    vv += v[n] * v[n];
  }
  printf("%.9f\n", sqrt(uv / vv));
  return 0;
}
