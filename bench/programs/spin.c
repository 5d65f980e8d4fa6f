/* Keeps its core busy in a counting loop until a signal ends it. */
int main(void) {
  for (volatile unsigned long n = 0;; n++) {}
}
