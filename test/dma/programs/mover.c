/* Moves bytes by the DMA engine, and checks that they arrived: mover SIZE TOTAL [write]. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((import_module("archipelago_1"), import_name("dma_transfer"))) int dma_transfer(int fd, int length);

static char data[1 << 20], back[1 << 20];

int main(int argc, char **argv) {
  if (argc < 3) return 64;
  int size = atoi(argv[1]);
  int total = atoi(argv[2]);
  int writes = argc > 3;
  int fd = open("/dev/dma", O_RDWR);
  if (fd < 0) {
    perror("/dev/dma");
    return 1;
  }
  for (int at = 0; at < size; at++) data[at] = (char)(at * 31 + (at >> 8) + size);
  if (!writes && pwrite(fd, data, (size_t)size, 0) != size) return 2;
  int moved = 0;
  for (; moved < total; moved += size) {
    if (writes ? write(fd, data, (size_t)size) != size : dma_transfer(fd, size) != 0) return 3;
  }
  int got = 0;
  for (;;) {
    ssize_t count = read(fd, back + got, sizeof back - (size_t)got);
    if (count <= 0) break;
    got += (int)count;
  }
  if (got != size || memcmp(data, back, (size_t)size) != 0) return 4;
  printf("%d bytes\n", moved);
  return 0;
}
