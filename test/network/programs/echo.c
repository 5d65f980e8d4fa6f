/* A server that echoes datagrams, and clients of it. WASIX calls are declared by hand, as Debian's libc has none. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WASIX(name) __attribute__((import_module("wasix_32v1"), import_name(#name))) name

struct address {
  uint8_t tag;
  uint16_t port;
  uint8_t octets[4];
};
struct vector {
  void *buffer;
  size_t length;
};

int WASIX(sock_open)(int family, int type, int protocol, int *fd);
int WASIX(sock_bind)(int fd, const struct address *address);
int WASIX(sock_connect)(int fd, const struct address *address);
int WASIX(sock_send_to)(int fd, const struct vector *vectors, size_t count, int flags, const struct address *address,
                        size_t *sent);
int WASIX(sock_recv_from)(int fd, const struct vector *vectors, size_t count, int flags, size_t *received,
                          uint16_t *out_flags, struct address *sender);
int WASIX(sock_send)(int fd, const struct vector *vectors, size_t count, int flags, size_t *sent);
int WASIX(sock_recv)(int fd, const struct vector *vectors, size_t count, int flags, size_t *received,
                     uint16_t *out_flags);

static void check(int error, const char *what) {
  if (error == 0) return;
  fprintf(stderr, "%s: %d\n", what, error);
  exit(1);
}

static struct address loopback(const char *port) {
  struct address address = {1, (uint16_t)atoi(port), {127, 0, 0, 1}};
  return address;
}

static int open_socket(void) {
  int fd;
  check(sock_open(1, 2, 17, &fd), "sock_open");
  return fd;
}

static int serve(const char *port) {
  int fd = open_socket();
  int requests = 0;
  struct address self = loopback(port);
  check(sock_bind(fd, &self), "sock_bind");
  for (;;) {
    char data[2000];
    struct vector into = {data, sizeof data};
    struct address client;
    size_t length;
    uint16_t flags;
    check(sock_recv_from(fd, &into, 1, 0, &length, &flags, &client), "sock_recv_from");
    if (length == 0) break;
    struct vector from = {data, length};
    check(sock_send_to(fd, &from, 1, 0, &client, &length), "sock_send_to");
    requests++;
  }
  printf("%d requests\n", requests);
  return 0;
}

static int ask(const char *port, int client, int count) {
  int fd = open_socket();
  struct address server = loopback(port);
  check(sock_connect(fd, &server), "sock_connect");
  int answers = 0;
  for (int n = 0; n < count; n++) {
    char question[2000], answer[2000];
    size_t length = 1 + (size_t)(n * 37 + client * 501) % sizeof question;
    for (size_t at = 0; at < length; at++) question[at] = (char)(at * 7 + n + client);
    /* In two pieces, which are one datagram. */
    struct vector pieces[2] = {{question, length / 2}, {question + length / 2, length - length / 2}};
    size_t moved;
    check(sock_send(fd, pieces, 2, 0, &moved), "sock_send");
    struct vector into = {answer, sizeof answer};
    uint16_t flags;
    check(sock_recv(fd, &into, 1, 0, &moved, &flags), "sock_recv");
    if (moved == length && memcmp(question, answer, length) == 0) answers++;
  }
  printf("%d answers\n", answers);
  return answers == count ? 0 : 2;
}

static int stop(const char *port) {
  int fd = open_socket();
  struct address server = loopback(port);
  struct vector nothing = {"", 0};
  size_t sent;
  check(sock_send_to(fd, &nothing, 1, 0, &server, &sent), "sock_send_to");
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(argv[2]);
  if (argc == 5 && strcmp(argv[1], "ask") == 0) return ask(argv[2], atoi(argv[3]), atoi(argv[4]));
  if (argc == 3 && strcmp(argv[1], "stop") == 0) return stop(argv[2]);
  return 0;
}
