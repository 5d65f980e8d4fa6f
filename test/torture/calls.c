// System calls at every depth: output in the middle of recursion, loops and callbacks, then an exit from below.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint32_t state = 3;
static int printed;

static uint32_t next(void) { return state = state * 1103515245u + 12345u; }

static void say(const char *text, int number) {
  char line[64];
  int length = snprintf(line, sizeof line, "%s %d;", text, number);
  printed += (int)write(1, line, (size_t)length);
}

static int descend(int depth) {
  int before = (int)(next() >> 28);
  if (depth % 5 == 0) say("down", depth);
  int result = depth > 0 ? descend(depth - 1) : 0;
  if (depth % 3 == 0) say("up", result & 255);
  return result + before * depth;
}

static int loud(const void *a, const void *b) {
  int x = *(const int *)a, y = *(const int *)b;
  if (next() % 11 == 0) say("compare", x - y);
  return x - y;
}

static void at_exit(void) { say("exit", (int)(state >> 24)); }

static int leave(int depth) {
  for (int n = 0; n < 3 && depth < 8; n++) {
    if (depth == 6 && n == 2) exit((int)(next() >> 27) + 1);
    say("leave", leave(depth + 1) + n);
  }
  return 0;
}

int main(void) {
  atexit(at_exit);
  setvbuf(stdout, NULL, _IOLBF, 128);
  for (int n = 0; n < 6; n++) say("result", descend(20 + n));
  int values[40];
  for (int n = 0; n < 40; n++) values[n] = (int)(next() >> 20);
  qsort(values, 40, sizeof *values, loud);
  for (int n = 0; n < 40; n += 4) printf("%d%c", values[n], n % 8 ? ' ' : '\n');
  printf("%d printed\n", printed);
  leave(0);
  return 0;
}
