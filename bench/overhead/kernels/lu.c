// LU decomposition of a dense matrix with pivoting, then a solution: streams through memory.
#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { size = 500 };
static double matrix[size][size], right[size];

static void fill(void) {
  uint32_t seed = 1;
  for (int row = 0; row < size; row++) {
    for (int column = 0; column < size; column++) {
      seed = seed * 1664525u + 1013904223u;
      matrix[row][column] = (double)(seed >> 8) / (1 << 24) - 0.5;
    }
    right[row] = row % 7;
  }
}

static void decompose(void) {
  for (int k = 0; k < size; k++) {
    int pivot = k;
    for (int row = k + 1; row < size; row++)
      if (fabs(matrix[row][k]) > fabs(matrix[pivot][k])) pivot = row;
    for (int column = 0; pivot != k && column < size; column++) {
      double kept = matrix[k][column];
      matrix[k][column] = matrix[pivot][column];
      matrix[pivot][column] = kept;
    }
    double kept = right[k];
    right[k] = right[pivot];
    right[pivot] = kept;
    for (int row = k + 1; row < size; row++) {
      double by = matrix[row][k] /= matrix[k][k];
      for (int column = k + 1; column < size; column++) matrix[row][column] -= by * matrix[k][column];
      right[row] -= by * right[k];
    }
  }
}

int main(void) {
  double sum = 0;
  for (int round = 0; round < 6; round++) {
    fill();
    decompose();
    for (int row = size - 1; row >= 0; row--) {
      for (int column = row + 1; column < size; column++) right[row] -= matrix[row][column] * right[column];
      right[row] /= matrix[row][row];
    }
    for (int row = 0; row < size; row++) sum += right[row];
  }
  printf("%.6f\n", sum);
  return 0;
}
