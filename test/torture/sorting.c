// qsort and bsearch with callbacks, hash tables, linked lists and trees on the heap.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Node { struct Node *left, *right; uint32_t key; double value; } Node;

static uint32_t seed = 12345, comparisons = 0;
static uint32_t next(void) { return seed = seed * 1664525u + 1013904223u; }

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  comparisons++;
  return (x > y) - (x < y);
}
// Slow on purpose: the comparison has a loop of its own.
static int by_digits(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  int dx = 0, dy = 0;
  for (; x; x /= 10) dx += (int)(x % 10);
  for (; y; y /= 10) dy += (int)(y % 10);
  comparisons++;
  return dx != dy ? dx - dy : ascending(a, b);
}

static Node *insert(Node *root, uint32_t key) {
  if (root == NULL) {
    Node *node = calloc(1, sizeof *node);
    node->key = key;
    node->value = (double)key / 3;
    return node;
  }
  if (key < root->key) root->left = insert(root->left, key);
  else if (key > root->key) root->right = insert(root->right, key);
  else root->value += 1;
  return root;
}
static double walk(const Node *node, int depth, void (*visit)(const Node *, int)) {
  if (node == NULL) return 0;
  double left = walk(node->left, depth + 1, visit);
  visit(node, depth);
  return left * 0.5 + node->value + walk(node->right, depth + 1, visit) * 0.25;
}
static uint32_t visited;
static void visit(const Node *node, int depth) { visited = visited * 31 + node->key + (uint32_t)depth; }
static void release(Node *node) {
  if (node == NULL) return;
  release(node->left);
  release(node->right);
  free(node);
}

int main(void) {
  uint32_t values[400];
  uint32_t hash = 0;
  for (int round = 0; round < 4; round++) {
    int count = 100 + round * 60;
    for (int n = 0; n < count; n++) values[n] = next() >> (round * 5);
    qsort(values, (size_t)count, sizeof *values, round % 2 ? by_digits : ascending);
    for (int n = 0; n < count; n++) hash = hash * 33 + values[n];
    if (round % 2 == 0) {
      int found = 0;
      for (int n = 0; n < count; n++) {
        uint32_t key = values[n] + (uint32_t)(n % 2);
        found += bsearch(&key, values, (size_t)count, sizeof *values, ascending) != NULL;
      }
      printf("found %d\n", found);
    }
  }
  Node *root = NULL;
  for (int n = 0; n < 300; n++) root = insert(root, next() >> 22);
  double sum = walk(root, 0, visit);
  release(root);
  char *text = NULL;
  size_t length = 0;
  for (int n = 0; n < 60; n++) {
    text = realloc(text, length + 16);
    length += (size_t)sprintf(text + length, "%u,", next() >> 20);
  }
  for (size_t n = 0; n < length; n++) hash = hash * 33 + (unsigned char)text[n];
  free(text);
  printf("hash %08x, sum %.15g, visited %08x, comparisons %u\n", hash, sum, visited, comparisons);
  return (int)(hash & 31);
}
