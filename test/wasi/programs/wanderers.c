/* A program that moves itself from kernel to kernel and looks whether anything has changed. */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include "processes.h"

__attribute__((import_module("archipelago_1"), import_name("proc_migrate"))) int proc_migrate(int kernel);

static int moves;

static void move(void) {
  int error = proc_migrate(++moves & 1);
  if (error != 0) {
    fprintf(stderr, "move %d: error %d\n", moves, error);
    exit(1);
  }
}

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                 \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

/* Each frame has values of every type that live across the call. */
static double descend(int depth, long long wide, float narrow, double sum) {
  char text[32];
  snprintf(text, sizeof text, "%d", depth);
  if (depth == 0) {
    move();
    return sum;
  }
  double result = descend(depth - 1, wide * 3 + depth, narrow + 0.5f, sum + depth);
  CHECK(atoi(text) == depth);
  CHECK(narrow >= 0.5f && (wide & 1) == ((wide * 3) & 1));
  return result + narrow + (double)(wide % 7);
}

static double expected(int depth, long long wide, float narrow, double sum) {
  if (depth == 0) return sum;
  double result = expected(depth - 1, (long long)((unsigned long long)wide * 3 + depth), narrow + 0.5f, sum + depth);
  return result + narrow + (double)(wide % 7);
}

static void stacks(void) {
  for (int depth = 1; depth <= 24; depth += 5)
    CHECK(descend(depth, depth, 0.5f, 0.25) == expected(depth, depth, 0.5f, 0.25));
}

static void files(void) {
  int file = open("wandering.txt", O_CREAT | O_TRUNC | O_RDWR, 0644);
  CHECK(file >= 0);
  for (int line = 0; line < 40; line++) {
    char text[16];
    int length = snprintf(text, sizeof text, "line %04d\n", line);
    CHECK(write(file, text, length) == length);
    move();
  }
  CHECK(lseek(file, 0, SEEK_SET) == 0);
  for (int line = 0; line < 40; line++) {
    char text[16] = "", wanted[16];
    CHECK(read(file, text, 10) == 10);
    snprintf(wanted, sizeof wanted, "line %04d\n", line);
    CHECK(strcmp(text, wanted) == 0);
    CHECK(lseek(file, 0, SEEK_CUR) == 10 * (line + 1));
    move();
  }
  struct stat before, after;
  CHECK(fstat(file, &before) == 0);
  move();
  CHECK(fstat(file, &after) == 0);
  CHECK(before.st_ino == after.st_ino && after.st_size == 400);
  close(file);
  CHECK(unlink("wandering.txt") == 0);
}

/* Memory grows between moves, on both kernels. */
static void memory(void) {
  unsigned char *blocks[16];
  for (int n = 0; n < 16; n++) {
    blocks[n] = malloc(300000);
    CHECK(blocks[n] != NULL);
    memset(blocks[n], n + 1, 300000);
    move();
  }
  for (int n = 0; n < 16; n++) {
    CHECK(blocks[n][0] == n + 1 && blocks[n][299999] == n + 1);
    free(blocks[n]);
  }
}

static void sleeping(void) {
  for (int n = 0; n < 10; n++) {
    struct timespec length = {0, 2000000}, from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    CHECK(nanosleep(&length, NULL) == 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    CHECK((to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec >= 2000000);
    move();
  }
}

/* Parent and children move independently, and talk through pipes. */
static void children(void) {
  uint32_t pids[4];
  uint32_t self;
  CHECK(proc_id(&self) == 0);
  for (int child = 0; child < 4; child++) {
    move();
    CHECK(proc_fork(1, &pids[child]) == 0);
    if (pids[child] == 0) {
      uint32_t pid, parent;
      CHECK(proc_id(&pid) == 0 && pid != self);
      moves += child;
      for (int n = 0; n < 30; n++) {
        move();
        CHECK(proc_parent(pid, &parent) == 0 && parent == self);
      }
      exit(50 + child);
    }
  }
  for (int child = 0; child < 4; child++) {
    struct option_pid wanted = {1, pids[child]};
    struct join_status status;
    move();
    CHECK(proc_join(&wanted, 0, &status) == 0);
    CHECK(status.tag == EXITED && status.code == 50 + child);
    uint32_t still;
    CHECK(proc_id(&still) == 0 && still == self);
  }
}

/* Is replaced by itself a number of times. */
static void again(int times) {
  char arguments[64];
  if (times == 0) {
    printf("no more\n");
    exit(0);
  }
  int length = snprintf(arguments, sizeof arguments, "wanderers.wasm\nagain\n%d", times - 1);
  proc_exec("wanderers.wasm", 14, arguments, length);
}

int main(int count, char **arguments) {
  if (count == 3 && strcmp(arguments[1], "again") == 0) again(atoi(arguments[2]));
  CHECK(count == 3 && strcmp(arguments[1], "argument") == 0);
  stacks();
  files();
  memory();
  sleeping();
  children();
  move();
  CHECK(strcmp(arguments[2], "two words") == 0);
  CHECK(getenv("COLOUR") != NULL && strcmp(getenv("COLOUR"), "blue") == 0);
  printf("%d moves\n", moves);
  return 0;
}
