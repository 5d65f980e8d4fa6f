// Five bodies under gravity, stepped many times: floating point in short inner loops.
#include <math.h>
#include <stdio.h>

typedef struct { double x[3], v[3], mass; } Body;

static void advance(Body *bodies, int count, double step) {
  for (int a = 0; a < count; a++) {
    for (int b = a + 1; b < count; b++) {
      double d[3], square = 0;
      for (int k = 0; k < 3; k++) {
        d[k] = bodies[a].x[k] - bodies[b].x[k];
        square += d[k] * d[k];
      }
      double strength = step / (square * sqrt(square));
      for (int k = 0; k < 3; k++) {
        bodies[a].v[k] -= d[k] * bodies[b].mass * strength;
        bodies[b].v[k] += d[k] * bodies[a].mass * strength;
      }
    }
  }
  for (int a = 0; a < count; a++)
    for (int k = 0; k < 3; k++) bodies[a].x[k] += step * bodies[a].v[k];
}

static double energy(const Body *bodies, int count) {
  double sum = 0;
  for (int a = 0; a < count; a++) {
    for (int k = 0; k < 3; k++) sum += 0.5 * bodies[a].mass * bodies[a].v[k] * bodies[a].v[k];
    for (int b = a + 1; b < count; b++) {
      double square = 0;
      for (int k = 0; k < 3; k++) {
        double d = bodies[a].x[k] - bodies[b].x[k];
        square += d * d;
      }
      sum -= bodies[a].mass * bodies[b].mass / sqrt(square);
    }
  }
  return sum;
}

int main(void) {
  Body bodies[5];
  for (int a = 0; a < 5; a++) {
    bodies[a].mass = a ? 0.04 / a : 39.5;
    for (int k = 0; k < 3; k++) {
      bodies[a].x[k] = a * (4.8 - k) + k * 0.3;
      bodies[a].v[k] = a ? (k == (a % 3) ? 2.5 / a : -0.4) : 0;
    }
  }
  for (int n = 0; n < 3000000; n++) advance(bodies, 5, 0.001);
  printf("%.9f\n", energy(bodies, 5));
  return 0;
}
