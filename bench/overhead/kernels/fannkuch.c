// Pancake flipping over all permutations of ten: integer arrays, very short loops.
#include <stdio.h>

enum { size = 10 };

static int flips(const int *permutation) {
  int work[size], count = 0;
  for (int n = 0; n < size; n++) work[n] = permutation[n];
  while (work[0] != 0) {
    for (int low = 0, high = work[0]; low < high; low++, high--) {
      int kept = work[low];
      work[low] = work[high];
      work[high] = kept;
    }
    count++;
  }
  return count;
}

int main(void) {
  int permutation[size], counts[size] = {0};
  int most = 0, sign = 1, checksum = 0;
  for (int n = 0; n < size; n++) permutation[n] = n;
  for (;;) {
    int count = flips(permutation);
    if (count > most) most = count;
    checksum += sign * count;
    sign = -sign;
    int at = 1;
    for (;;) {
      if (at >= size) {
        printf("%d %d\n", checksum, most);
        return 0;
      }
      int first = permutation[0];
      for (int n = 0; n < at; n++) permutation[n] = permutation[n + 1];
      permutation[at] = first;
      if (++counts[at] <= at) break;
      counts[at++] = 0;
    }
  }
}
