/*
 * K2's light tasks (ASPLOS 2014, section 9.2) as one program: moves bytes by DMA, writes small files, or sends
 * datagrams to itself.
 *
 *     light rounds dma|files|udp BATCH TOTAL ROUNDS FIRST PERIOD
 *         does the work at FIRST, FIRST + PERIOD, … (milliseconds since the machine was switched on) and sleeps in
 *         between; prints the nanoseconds of each round. `files` removes its files again half a period later.
 *     light drive BATCH BEGIN END
 *         transfers by DMA at full speed until END; prints how many transfers began after BEGIN.
 *     light names COUNT
 *         makes and removes so many empty files, so that this kernel has used every inode.
 *
 * WASIX calls are declared by hand, as Debian's libc has none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
int WASIX(sock_send)(int fd, const struct vector *vectors, size_t count, int flags, size_t *sent);
int WASIX(sock_recv)(int fd, const struct vector *vectors, size_t count, int flags, size_t *received, uint16_t *out);
__attribute__((import_module("archipelago_1"), import_name("dma_transfer"))) int dma_transfer(int fd, int length);

enum { port = 4711, datagram_max = 8192, files = 8, block_max = 1 << 20 };

static char block[block_max];

static void require(int condition, const char *what) {
  if (condition) return;
  fprintf(stderr, "light: %s failed (%d)\n", what, errno);
  exit(1);
}

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static void sleep_until(double time_ns) {
  struct timespec t = {(time_t)(time_ns / 1e9), 0};
  t.tv_nsec = (long)(time_ns - t.tv_sec * 1e9);
  require(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0, "clock_nanosleep");
}

static int open_dma(long batch) {
  int fd = open("/dev/dma", O_RDWR);
  require(fd >= 0, "open /dev/dma");
  require(pwrite(fd, block, (size_t)batch, 0) == batch, "filling the source of transfers");
  return fd;
}

static void move(int dma, long batch, long total) {
  for (long moved = 0; moved < total; moved += batch) require(dma_transfer(dma, (int)batch) == 0, "dma_transfer");
}

/* Tells the files of several programs apart. */
static long files_tag;

static void name_of(int file, char *name) { sprintf(name, "/tmp/light.%ld.%d", files_tag, file); }

static int make_names(long count) {
  for (long n = 0; n < count; n++) {
    int fd = open("/tmp/light.name", O_CREAT | O_EXCL | O_WRONLY, 0644);
    require(fd >= 0, "making a file");
    require(close(fd) == 0 && unlink("/tmp/light.name") == 0, "removing a file");
  }
  return 0;
}

static void write_files(long size) {
  for (int file = 0; file < files; file++) {
    char name[48];
    name_of(file, name);
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
    require(fd >= 0, name);
    require(write(fd, block, (size_t)size) == size, "write");
    require(close(fd) == 0, "close");
  }
}

static void remove_files(void) {
  for (int file = 0; file < files; file++) {
    char name[48];
    name_of(file, name);
    require(unlink(name) == 0, "unlink");
  }
}

static void talk(long batch, long total) {
  struct address self = {1, port, {127, 0, 0, 1}};
  for (long moved = 0; moved < total;) {
    int from, to;
    require(sock_open(1, 2, 17, &from) == 0 && sock_open(1, 2, 17, &to) == 0, "sock_open");
    require(sock_bind(to, &self) == 0, "sock_bind");
    require(sock_connect(from, &self) == 0, "sock_connect");
    for (long end = moved + batch; moved < end;) {
      long left = end - moved;
      struct vector vector = {block, left < datagram_max ? (size_t)left : datagram_max};
      size_t sent, received;
      uint16_t flags;
      require(sock_send(from, &vector, 1, 0, &sent) == 0 && sent == vector.length, "sock_send");
      require(sock_recv(to, &vector, 1, 0, &received, &flags) == 0 && received == sent, "sock_recv");
      moved += (long)sent;
    }
    close(from);
    close(to);
  }
}

static int rounds(char **words) {
  const char *work = words[0];
  long batch = atol(words[1]), total = atol(words[2]);
  int count = atoi(words[3]);
  double first_ns = atof(words[4]) * 1e6, period_ns = atof(words[5]) * 1e6;
  double taken_ns[64];
  require(count <= 64 && batch <= block_max, "understanding the words");
  files_tag = atol(words[4]);
  int dma = !strcmp(work, "dma") ? open_dma(batch) : -1;
  for (int round = 0; round < count; round++) {
    sleep_until(first_ns + round * period_ns);
    double begin_ns = now_ns();
    if (dma >= 0) move(dma, batch, total);
    else if (!strcmp(work, "files")) write_files(batch);
    else talk(batch, total);
    taken_ns[round] = now_ns() - begin_ns;
    if (strcmp(work, "files")) continue;
    sleep_until(first_ns + (round + 0.5) * period_ns);
    remove_files();
  }
  for (int round = 0; round < count; round++) printf("%.0f\n", taken_ns[round]);
  return 0;
}

static int drive(char **words) {
  long batch = atol(words[0]), transfers = 0;
  double begin_ns = atof(words[1]) * 1e6, end_ns = atof(words[2]) * 1e6;
  require(batch <= block_max, "understanding the words");
  int dma = open_dma(batch);
  for (double time_ns = 0; time_ns < end_ns; time_ns = now_ns()) {
    if (time_ns >= begin_ns) transfers++;
    require(dma_transfer(dma, (int)batch) == 0, "dma_transfer");
  }
  printf("%ld\n", transfers);
  return 0;
}

int main(int argc, char **argv) {
  memset(block, 'k', sizeof block);
  if (argc == 8 && !strcmp(argv[1], "rounds")) return rounds(argv + 2);
  if (argc == 5 && !strcmp(argv[1], "drive")) return drive(argv + 2);
  if (argc == 3 && !strcmp(argv[1], "names")) return make_names(atol(argv[2]));
  fprintf(stderr, "light rounds dma|files|udp BATCH TOTAL ROUNDS FIRST PERIOD\nlight drive BATCH BEGIN END\nlight names COUNT\n");
  return 2;
}
