// Memory that is copied, filled and grown: bulk memory operations, large buffers, allocation patterns.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed = 99;
static uint32_t next(void) { seed ^= seed << 13; seed ^= seed >> 17; return seed ^= seed << 5; }

static uint32_t sum(const uint8_t *bytes, size_t length) {
  uint32_t hash = 2166136261u;
  for (size_t n = 0; n < length; n += 61) hash = (hash ^ bytes[n]) * 16777619u;
  return hash;
}

int main(void) {
  uint8_t *blocks[32] = {0};
  size_t sizes[32] = {0};
  uint32_t hash = 0;
  size_t pages_before = __builtin_wasm_memory_size(0);
  for (int n = 0; n < 300; n++) {
    int at = (int)(next() % 32);
    switch (next() % 5) {
      case 0:
        free(blocks[at]);
        sizes[at] = next() % 20000;
        blocks[at] = malloc(sizes[at] + 1);
        memset(blocks[at], (int)next(), sizes[at] + 1);
        break;
      case 1:
        sizes[at] = next() % 60000;
        blocks[at] = realloc(blocks[at], sizes[at] + 1);
        memset(blocks[at], n, sizes[at] + 1);
        break;
      case 2:
        if (sizes[at] > 100) memmove(blocks[at] + next() % 50, blocks[at], sizes[at] - 60);
        break;
      case 3: {
        int other = (int)(next() % 32);
        size_t length = sizes[at] < sizes[other] ? sizes[at] : sizes[other];
        if (at != other && length > 0) memcpy(blocks[at], blocks[other], length);
        break;
      }
      default:
        if (blocks[at]) hash = hash * 33 + sum(blocks[at], sizes[at]);
    }
  }
  // Memory that the C library knows nothing of.
  size_t added = __builtin_wasm_memory_grow(0, 3);
  uint8_t *fresh = (uint8_t *)(added * 65536);
  int zero = 1;
  for (size_t n = 0; n < 3 * 65536; n += 4096) zero &= fresh[n] == 0;
  memset(fresh, 7, 3 * 65536);
  memcpy(fresh + 100000, fresh + 5, 65536);
  for (int n = 0; n < 32; n++) {
    if (blocks[n]) hash = hash * 31 + sum(blocks[n], sizes[n]);
    free(blocks[n]);
  }
  size_t pages_after = __builtin_wasm_memory_size(0);
  printf("hash %08x, fresh %08x, zero %d, grown %d\n", hash, sum(fresh, 3 * 65536), zero,
         pages_after >= pages_before + 3 && pages_after < 400);
  return (int)(hash & 63);
}
