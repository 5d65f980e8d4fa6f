/* A NightWatch thread in C: it brings its own stack, and both threads use the C library in turns. */
#include <stdio.h>
#include <string.h>

#define IMPORT(name) __attribute__((import_module("archipelago_1"), import_name(name)))

/* Starts a thread whose stack ends at an address; its id, or a negated errno. */
IMPORT("nightwatch_spawn") int nightwatch_spawn(char *stack_end);
IMPORT("nightwatch_join") int nightwatch_join(int thread);

static char stack[65536] __attribute__((aligned(16)));
static int total;

static __attribute__((noinline)) void run(int thread) {
  char text[200];
  for (int n = 0; n < 1000; n++) {
    snprintf(text, sizeof text, "%d", n);
    total += strlen(text);
  }
  printf("thread %d: %d\n", thread, total);
  fflush(stdout);
}

/* A new instance of the program has the stack pointer of a new program: nothing may be on the stack before it is set. */
__attribute__((export_name("wasi_thread_start"))) void thread_start(int thread, char *stack_end) {
  __asm__ volatile(".globaltype __stack_pointer, i32\n"
                   "local.get %0\n"
                   "global.set __stack_pointer" ::"r"(stack_end));
  run(thread);
}

int main(void) {
  char mine[300];
  memset(mine, 'x', sizeof mine);
  int thread = nightwatch_spawn(stack + sizeof stack);
  if (thread < 0) return -thread;
  int status = nightwatch_join(thread);
  for (unsigned n = 0; n < sizeof mine; n++) {
    if (mine[n] != 'x') return 100;
  }
  printf("joined: %d, total %d\n", status, total);
  return 0;
}
