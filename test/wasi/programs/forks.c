/* Forking, joining and exec as Unix programs know them. The first argument names the test. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>

#include "processes.h"

static int counter = 5;

/* Both go on from the same place, with the same memory, and then each with its own. */
static void memory(void) {
  int local = 7;
  int *heap = malloc(200000);
  for (int i = 0; i < 50000; i++) heap[i] = i;
  int there[2], back[2];
  CHECK(fd_pipe(&there[0], &there[1]) == 0 && fd_pipe(&back[0], &back[1]) == 0);
  int pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK(counter == 5 && local == 7 && heap[49999] == 49999);
    counter = 100;
    local = 101;
    for (int i = 0; i < 50000; i++) heap[i] = -1;
    CHECK(write(back[1], "c", 1) == 1);
    char from_parent;
    CHECK(read(there[0], &from_parent, 1) == 1);
    CHECK(counter == 100 && local == 101 && heap[1] == -1);
    /* Memory that only the child has. */
    char *own = malloc(3 << 20);
    memset(own, 1, 3 << 20);
    _Exit(3);
  }
  char from_child;
  CHECK(read(back[0], &from_child, 1) == 1);
  CHECK(counter == 5 && local == 7 && heap[0] == 0 && heap[49999] == 49999);
  counter = 6;
  heap[1] = 1234;
  CHECK(write(there[1], "p", 1) == 1);
  CHECK(exit_code_of(pid) == 3);
  CHECK(counter == 6 && heap[1] == 1234 && heap[2] == 2);
}

static void codes(void) {
  struct join_status status;
  CHECK(join(0, 0, &status) == -ECHILD);
  CHECK(join(0, 1, &status) == -ECHILD);
  for (int code = 0; code < 256; code += 15) {
    int pid = fork();
    if (pid == 0) _Exit(code);
    CHECK(exit_code_of(pid) == code);
    CHECK(join(pid, 0, &status) == -ECHILD);
  }
  int pid = fork();
  if (pid == 0) abort();
  CHECK(join(pid, 0, &status) == pid && status.tag == SIGNALLED);
  CHECK(status.signal == 4 || status.signal == 6);
  struct option_pid bad = {.tag = 2};
  CHECK(proc_join(&bad, 0, &status) == EINVAL);
  CHECK(proc_join((struct option_pid *)0xfffffff8, 0, &status) == EFAULT);
  CHECK(proc_fork(1, (uint32_t *)0xfffffffe) == EFAULT);
  CHECK(join(own_pid(), 0, &status) == -ECHILD);
}

/* Waiting: for any child, for a certain one, without blocking. */
static void joins(void) {
  struct join_status status;
  int gate[2], children[8];
  CHECK(fd_pipe(&gate[0], &gate[1]) == 0);
  for (int i = 0; i < 8; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      char number;
      close(gate[1]);
      CHECK(read(gate[0], &number, 1) >= 0);
      _Exit(i);
    }
  }
  CHECK(join(0, 1, &status) == 0 && join(children[3], 1, &status) == 0);
  close(gate[1]);
  CHECK(exit_code_of(children[5]) == 5);
  unsigned seen = 1 << 5;
  for (int i = 0; i < 7; i++) {
    int pid = join(0, 0, &status);
    int which = -1;
    for (int k = 0; k < 8; k++) if (children[k] == pid) which = k;
    CHECK(which >= 0 && status.tag == EXITED && status.code == which);
    CHECK((seen & (1u << which)) == 0);
    seen |= 1u << which;
  }
  CHECK(seen == 0xff && join(0, 0, &status) == -ECHILD);
}

/* As many children as there is room for; then one more when they are gone. */
static void bomb(void) {
  struct join_status status;
  int count = 0, gate[2];
  CHECK(fd_pipe(&gate[0], &gate[1]) == 0);
  for (;; count++) {
    CHECK(count < 5000);
    int pid = fork();
    if (pid == 0) {
      char end;
      close(gate[1]);
      read(gate[0], &end, 1);
      _Exit(1);
    }
    if (pid < 0) {
      CHECK(pid == -EAGAIN);
      break;
    }
  }
  CHECK(count > 100);
  printf("%d\n", count);
  CHECK(fork() == -EAGAIN);
  close(gate[1]);
  for (int i = 0; i < count; i++) CHECK(join(0, 0, &status) > 0 && status.code == 1);
  CHECK(join(0, 0, &status) == -ECHILD);
  int pid = fork();
  if (pid == 0) _Exit(8);
  CHECK(exit_code_of(pid) == 8);
}

/* Every child forks too: a line of processes, each waiting for the next. */
static int chain(int depth) {
  if (depth == 0) return 1;
  int pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) _Exit(chain(depth - 1));
  return exit_code_of(pid) + 1;
}

__attribute__((noinline)) static int descend(int depth, volatile int *deepest) {
  volatile int here[4] = {depth, depth + 1, depth + 2, depth + 3};
  int result;
  if (depth == 0) {
    int pid = fork();
    if (pid == 0) {
      *deepest = 1;
      result = 1000;
    } else {
      result = exit_code_of(pid) == 42 ? 2000 : 0;
    }
  } else {
    result = descend(depth - 1, deepest);
  }
  for (int i = 0; i < 4; i++) CHECK(here[i] == depth + i);
  return result + (depth & 1);
}

/* A child that comes back through all the calls of its parent. */
static void recursion(void) {
  volatile int deepest = 0;
  int result = descend(600, &deepest);
  if (deepest) {
    CHECK(result == 1300);
    _Exit(42);
  }
  CHECK(result == 2300);
}

static void repeated(int times) {
  for (int i = 0; i < times; i++) {
    int pid = fork();
    if (pid == 0) _Exit(i & 127);
    CHECK(exit_code_of(pid) == (i & 127));
  }
}

/* Writes of several processes to one open file share its position. */
static void files(void) {
  int fd = open("/tmp/shared", O_CREAT | O_TRUNC | O_RDWR, 0644);
  CHECK(fd >= 0 && write(fd, "begin\n", 6) == 6);
  for (int i = 0; i < 4; i++) {
    if (fork() == 0) {
      for (int k = 0; k < 25; k++) {
        char line[16];
        CHECK(write(fd, line, sprintf(line, "%d %02d\n", i, k)) == 5);
        if (k % 5 == 0) sched_yield();
      }
      close(fd);
      _Exit(0);
    }
  }
  struct join_status status;
  for (int i = 0; i < 4; i++) CHECK(join(0, 0, &status) > 0 && status.code == 0);
  CHECK(lseek(fd, 0, SEEK_CUR) == 6 + 4 * 25 * 5);
  char text[1024];
  CHECK(lseek(fd, 6, SEEK_SET) == 6 && read(fd, text, sizeof text) == 500);
  int next[4] = {0};
  for (int at = 0; at < 500; at += 5) {
    int who = text[at] - '0', number = (text[at + 2] - '0') * 10 + text[at + 3] - '0';
    CHECK(who >= 0 && who < 4 && text[at + 4] == '\n' && number == next[who]++);
  }
  /* A descriptor that the child closes is not closed here. */
  int pid = fork();
  if (pid == 0) {
    close(fd);
    _Exit(0);
  }
  CHECK(exit_code_of(pid) == 0 && write(fd, "x", 1) == 1);
  CHECK(unlink("/tmp/shared") == 0);
}

/* What a child writes to a pipe comes out whole; its end is seen when the last writer is gone. */
static void pipes(void) {
  int ends[2];
  CHECK(fd_pipe(&ends[0], &ends[1]) == 0);
  int pid = fork();
  if (pid == 0) {
    close(ends[0]);
    for (int i = 0; i < 100000; i++) CHECK(write(ends[1], &i, sizeof i) == sizeof i);
    _Exit(0);
  }
  close(ends[1]);
  int expected = 0, buffer[512];
  size_t have = 0;
  for (ssize_t got; (got = read(ends[0], (char *)buffer + have, sizeof buffer - have)) != 0;) {
    CHECK(got > 0);
    have += got;
    size_t whole = have / sizeof(int);
    for (size_t i = 0; i < whole; i++) CHECK(buffer[i] == expected++);
    memmove(buffer, buffer + whole, have % sizeof(int));
    have %= sizeof(int);
  }
  CHECK(expected == 100000 && exit_code_of(pid) == 0);
}

static void execs(void) {
  int ends[2];
  CHECK(fd_pipe(&ends[0], &ends[1]) == 0);
  int pid = fork();
  if (pid == 0) {
    /* Standard output of the new program. */
    CHECK(ends[1] > 1);
    close(ends[0]);
    CHECK(__wasi_fd_renumber(ends[1], 1) == 0);
    exec("/tmp/forks.wasm", "forks\nreport\ntwo words");
  }
  close(ends[1]);
  char text[256];
  size_t length = 0;
  for (ssize_t got; (got = read(ends[0], text + length, sizeof text - length)) > 0;) length += got;
  text[length] = 0;
  char expected[256];
  sprintf(expected, "%d %u two words %s", pid, own_pid(), getenv("COLOUR"));
  CHECK(strcmp(text, expected) == 0);
  CHECK(exit_code_of(pid) == 21);
  pid = fork();
  if (pid == 0) exec("/tmp/there-is-no-such-program", "x");
  CHECK(exit_code_of(pid) == 127);
}

/* What a shell does for "echo hello world | tr a-z A-Z | cat". */
static void pipeline(void) {
  static const char *const commands[3][2] = {
      {"/bin/echo", "echo\nhello\nworld"},
      {"/bin/tr", "tr\na-z\nA-Z"},
      {"/bin/cat", "cat"},
  };
  int children[3], input = -1, ends[2];
  for (int i = 0; i < 3; i++) {
    CHECK(fd_pipe(&ends[0], &ends[1]) == 0);
    children[i] = fork_with(i & 1);
    CHECK(children[i] >= 0);
    if (children[i] == 0) {
      if (input >= 0) CHECK(__wasi_fd_renumber(input, 0) == 0);
      CHECK(__wasi_fd_renumber(ends[1], 1) == 0);
      CHECK(close(ends[0]) == 0);
      exec(commands[i][0], commands[i][1]);
    }
    close(ends[1]);
    if (input >= 0) close(input);
    input = ends[0];
  }
  char text[64];
  ssize_t length = 0;
  for (ssize_t got; (got = read(input, text + length, sizeof text - length)) > 0;) length += got;
  CHECK(length == 12 && memcmp(text, "HELLO WORLD\n", 12) == 0);
  for (int i = 0; i < 3; i++) CHECK(exit_code_of(children[i]) == 0);
}

static _Noreturn void report(const char *word) {
  uint32_t parent = 0;
  CHECK(proc_parent(own_pid(), &parent) == 0);
  printf("%u %u %s %s", own_pid(), parent, word, getenv("COLOUR"));
  fflush(stdout);
  _Exit(21);
}

/* The child runs in the parent's memory, and the parent waits. */
static void lending(void) {
  volatile int shared = 1;
  int pid = fork_with(0);
  CHECK(pid >= 0);
  if (pid == 0) {
    for (int i = 0; i < 20; i++) {
      shared = shared + 1;
      sched_yield();
    }
    _Exit(9);
  }
  CHECK(shared == 21);
  CHECK(exit_code_of(pid) == 9);
  pid = fork_with(0);
  if (pid == 0) exec("/tmp/forks.wasm", "forks\nslow");
  /* Back at once, although the other program takes its time. */
  struct join_status status;
  CHECK(pid > 0 && join(pid, 1, &status) == 0);
  CHECK(exit_code_of(pid) == 4);
  pid = fork_with(0);
  if (pid == 0) {
    /* A child of the borrower has a memory of its own. */
    int inner = fork_with(0);
    if (inner == 0) {
      shared = 1000;
      _Exit(shared == 1000 ? 6 : 0);
    }
    CHECK(shared == 21);
    /* Memory that grows is the parent's too. */
    char *more = malloc(5 << 20);
    memset(more, 'x', 5 << 20);
    *(char *volatile *)&more = more;
    CHECK(exit_code_of(inner) == 6);
    shared = (int)(intptr_t)more;
    _Exit(0);
  }
  CHECK(exit_code_of(pid) == 0);
  char *more = (char *)(intptr_t)shared;
  CHECK(more[0] == 'x' && more[(5 << 20) - 1] == 'x');
  void *own = malloc(4 << 20);
  CHECK(own != NULL);
  memset(own, 'y', 4 << 20);
  CHECK(more[5000000] == 'x');
}

static void kills(void) {
  struct join_status status;
  int ends[2], news[2];
  CHECK(fd_pipe(&ends[0], &ends[1]) == 0 && fd_pipe(&news[0], &news[1]) == 0);
  /* In a loop, in a call that waits, and before it has run at all. */
  for (int how = 0; how < 3; how++) {
    int pid = fork();
    if (pid == 0) {
      char byte;
      if (how < 2) write(news[1], "r", 1);
      if (how == 0) for (volatile int i = 0;; i++) {}
      read(ends[0], &byte, 1);
      for (;;) sched_yield();
    }
    char ready;
    if (how < 2) CHECK(read(news[0], &ready, 1) == 1);
    if (how == 1) sched_yield();
    CHECK(proc_signal(pid, 9) == 0);
    CHECK(join(pid, 0, &status) == pid && status.tag == SIGNALLED && status.signal == 9);
  }
  /* A child that waits for its own child, which then has no parent any more. */
  int middle = fork();
  if (middle == 0) {
    int inner = fork();
    if (inner == 0) {
      char byte;
      close(ends[1]);
      CHECK(read(ends[0], &byte, 1) == 1 && byte == 'g');
      uint32_t parent = 1;
      CHECK(proc_parent(own_pid(), &parent) == 0);
      CHECK(parent == 0);
      int fd = open("/tmp/orphan", O_CREAT | O_WRONLY, 0644);
      CHECK(fd >= 0 && write(fd, "alive", 5) == 5);
      _Exit(0);
    }
    for (;;) join(inner, 0, &status);
  }
  sched_yield();
  CHECK(proc_signal(middle, 15) == 0);
  CHECK(join(middle, 0, &status) == middle && status.signal == 15);
  CHECK(write(ends[1], "g", 1) == 1);
}

__attribute__((import_module("archipelago_1"), import_name("proc_migrate"))) int proc_migrate(int kernel);

/* Parents and children on different kernels. */
static void apart(void) {
  struct join_status status;
  CHECK(proc_migrate(0) == 0);
  int ends[2];
  CHECK(fd_pipe(&ends[0], &ends[1]) == 0);
  for (int i = 0; i < 6; i++) {
    int pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      CHECK(proc_migrate(i & 1) == 0);
      /* A grandchild is made where its parent is. */
      int inner = fork();
      if (inner == 0) {
        CHECK(proc_migrate(0) == 0 && write(ends[1], &i, sizeof i) == sizeof i);
        _Exit(i + 10);
      }
      CHECK(exit_code_of(inner) == i + 10);
      _Exit(i);
    }
  }
  int sum = 0;
  for (int i = 0; i < 6; i++) {
    int who;
    CHECK(read(ends[0], &who, sizeof who) == sizeof who);
    sum += who;
  }
  for (int i = 0; i < 6; i++) CHECK(join(0, 0, &status) > 0 && status.tag == EXITED);
  CHECK(sum == 15 && join(0, 0, &status) == -ECHILD);
  int pid = fork();
  if (pid == 0) {
    CHECK(proc_migrate(1) == 0);
    for (;;) {}
  }
  while (proc_signal(pid, 0) != 0) sched_yield();
  usleep(2000);
  CHECK(proc_signal(pid, 9) == 0 && join(pid, 0, &status) == pid && status.signal == 9);
  /* A borrower that goes away with the memory. */
  volatile int shared = 3;
  pid = fork_with(0);
  if (pid == 0) {
    CHECK(proc_migrate(1) == 0);
    shared = 4;
    _Exit(0);
  }
  CHECK(shared == 4 && exit_code_of(pid) == 0);
}

/* Waits for a child that waits for input. */
static int family(int copy) {
  int pid = fork_with(copy);
  if (pid == 0) {
    char byte;
    ssize_t got = read(0, &byte, 1);
    return got == 1 ? byte - '0' : 0;
  }
  struct join_status status;
  int joined = join(pid, 0, &status);
  CHECK(joined == pid);
  return status.tag == EXITED ? 10 + status.code : 100 + status.signal;
}

static uint32_t seed;

static uint32_t any(uint32_t limit) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed % limit;
}

/* To either kernel, unless somebody is moving this process already. */
static void wander(void) {
  int error = proc_migrate(any(2));
  CHECK(error == 0 || error == EBUSY);
}

/* Random things that families do; each process checks that its memory stays its own. */
static void grind(int steps, int depth) {
  enum { STAMPS = 20000, MOST = 12 };
  static uint32_t stamps[STAMPS];
  struct join_status status;
  int children[MOST], count = 0, ends[2];
  uint32_t me = own_pid();
  for (int i = 0; i < STAMPS; i++) stamps[i] = me + i;
  CHECK(fd_pipe(&ends[0], &ends[1]) == 0);
  for (int step = 0; step < steps; step++) {
    int flags = 1;
    switch (any(11)) {
      case 0:
      case 1: {
        if (count == MOST || depth == 0) break;
        uint32_t next = any(1u << 30) + 1;
        int pid = fork();
        CHECK(pid >= 0 || pid == -EAGAIN);
        if (pid == 0) {
          seed = next;
          close(ends[0]);
          close(ends[1]);
          grind(steps / 2, depth - 1);
          _Exit(33);
        }
        if (pid > 0) children[count++] = pid;
        break;
      }
      case 2:
        flags = 0;
        /* falls through */
      case 3: {
        uint32_t which = any(count + 1);
        int pid = join(which < (uint32_t)count ? children[which] : 0, flags, &status);
        CHECK(count == 0 ? pid == -ECHILD : pid >= 0);
        if (pid <= 0 || status.tag == NOTHING) break;
        CHECK(status.tag == EXITED ? status.code == 33 : status.signal == 9);
        int at = 0;
        while (at < count && children[at] != pid) at++;
        CHECK(at < count);
        children[at] = children[--count];
        break;
      }
      case 4:
        if (count > 0 && any(3) == 0) CHECK(proc_signal(children[any(count)], 9) == 0);
        break;
      case 5:
        wander();
        break;
      case 6: {
        uint32_t size = 1 + any(1 << 18), mark = any(256);
        unsigned char *more = malloc(size);
        if (more == NULL) break;
        memset(more, mark, size);
        if (any(2)) sched_yield();
        CHECK(more[0] == mark && more[size - 1] == mark);
        free(more);
        break;
      }
      case 7: {
        uint32_t sent = any(1u << 30), got = 0;
        CHECK(write(ends[1], &sent, 4) == 4 && read(ends[0], &got, 4) == 4 && sent == got);
        break;
      }
      case 8: {
        volatile uint32_t shared = 1;
        int rounds = any(5);
        int pid = fork_with(0);
        CHECK(pid >= 0 || pid == -EAGAIN);
        if (pid == 0) {
          for (int i = 0; i < rounds; i++) {
            shared = shared * 3;
            if (any(2)) wander();
          }
          if (any(2)) exec("/tmp/forks.wasm", "forks\nquick");
          _Exit(5);
        }
        if (pid < 0) break;
        uint32_t power = 1;
        for (int i = 0; i < rounds; i++) power *= 3;
        CHECK(shared == power);
        CHECK(exit_code_of(pid) == 5);
        break;
      }
      case 9:
        if (any(4) == 0) usleep(any(300));
        else sched_yield();
        break;
      case 10:
        for (volatile int i = any(20000); i > 0; i--) {}
        break;
    }
    for (int i = 0; i < 16; i++) {
      uint32_t at = any(STAMPS);
      CHECK(stamps[at] == me + at);
    }
  }
  close(ends[0]);
  close(ends[1]);
  if (depth == 0 || any(4) != 0) while (count-- > 0) CHECK(join(0, 0, &status) > 0);
  for (int i = 0; i < STAMPS; i++) CHECK(stamps[i] == me + i);
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "memory") == 0) memory();
  else if (strcmp(name, "codes") == 0) codes();
  else if (strcmp(name, "joins") == 0) joins();
  else if (strcmp(name, "bomb") == 0) bomb();
  else if (strcmp(name, "chain") == 0) return chain(argc > 2 ? atoi(argv[2]) : 20);
  else if (strcmp(name, "recursion") == 0) recursion();
  else if (strcmp(name, "repeated") == 0) repeated(argc > 2 ? atoi(argv[2]) : 100);
  else if (strcmp(name, "files") == 0) files();
  else if (strcmp(name, "pipes") == 0) pipes();
  else if (strcmp(name, "execs") == 0) execs();
  else if (strcmp(name, "pipeline") == 0) pipeline();
  else if (strcmp(name, "report") == 0) report(argv[2]);
  else if (strcmp(name, "lending") == 0) lending();
  else if (strcmp(name, "kills") == 0) kills();
  else if (strcmp(name, "apart") == 0) apart();
  else if (strcmp(name, "grind") == 0) {
    seed = strtoul(argv[2], NULL, 10) * 2654435761u | 1;
    grind(atoi(argv[3]), argc > 4 ? atoi(argv[4]) : 3);
    return 33;
  } else if (strcmp(name, "quick") == 0) return 5;
  else if (strcmp(name, "family") == 0) return family(argc < 3);
  else if (strcmp(name, "endless") == 0) for (;;) fork();
  else if (strcmp(name, "slow") == 0) {
    usleep(30000);
    return 4;
  } else return 98;
  return 0;
}
