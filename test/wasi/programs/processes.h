/* The process calls of WASIX, declared for programs that are built with plain wasi-libc. */
#ifndef PROCESSES_H
#define PROCESSES_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WASIX(name) __attribute__((import_module("wasix_32v1"), import_name(name)))

struct option_pid {
  uint8_t tag;
  uint32_t pid;
};

struct join_status {
  uint8_t tag; /* 0 nothing, 1 exited, 2 ended by a signal */
  uint16_t code;
  uint8_t signal;
};

enum { NOTHING, EXITED, SIGNALLED };

WASIX("proc_fork") int proc_fork(int copy_memory, uint32_t *pid);
WASIX("proc_join") int proc_join(struct option_pid *pid, int flags, struct join_status *status);
WASIX("proc_exec") _Noreturn void proc_exec(const char *name, size_t length, const char *args, size_t args_length);
WASIX("proc_id") int proc_id(uint32_t *pid);
WASIX("proc_parent") int proc_parent(uint32_t pid, uint32_t *parent);
WASIX("proc_signal") int proc_signal(uint32_t pid, int signal);
WASIX("fd_pipe") int fd_pipe(int *reader, int *writer);

/* Ends the program with a message when something is not as it should be. */
#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      dprintf(2, "line %d: %s\n", __LINE__, #condition);                                  \
      _Exit(99);                                                                          \
    }                                                                                     \
  } while (0)

/* The pid, 0 in the child, or a negated errno. */
static inline int fork_with(int copy_memory) {
  uint32_t pid = 77;
  int error = proc_fork(copy_memory, &pid);
  return error != 0 ? -error : (int)pid;
}

static inline int fork(void) { return fork_with(1); }

/* Waits for a child, any for 0: its pid, 0 when none has ended and `flags` is 1, or a negated errno. */
static inline int join(uint32_t pid, int flags, struct join_status *status) {
  struct option_pid option = {.tag = pid != 0, .pid = pid};
  int error = proc_join(&option, flags, status);
  if (error != 0) return -error;
  CHECK(option.tag == 1);
  return status->tag == NOTHING ? 0 : (int)option.pid;
}

/* Waits for a child that must exit: its exit code. */
static inline int exit_code_of(int pid) {
  struct join_status status;
  CHECK(pid > 0);
  CHECK(join(pid, 0, &status) == pid);
  CHECK(status.tag == EXITED);
  return status.code;
}

static inline uint32_t own_pid(void) {
  uint32_t pid = 0;
  CHECK(proc_id(&pid) == 0);
  return pid;
}

static inline _Noreturn void exec(const char *name, const char *args) {
  proc_exec(name, strlen(name), args, strlen(args));
}

#endif
