// Variable arguments of all types, string formatting, and parsing back.
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[4096];
static size_t length;

static void append(const char *format, ...) {
  va_list list;
  va_start(list, format);
  length += (size_t)vsnprintf(text + length, sizeof text - length, format, list);
  va_end(list);
  if (length > 3000) {
    uint32_t hash = 0;
    for (size_t n = 0; n < length; n++) hash = hash * 33 + (unsigned char)text[n];
    length = (size_t)snprintf(text, sizeof text, "[%08x]", hash);
  }
}

// Each letter of `kinds` names the type of one argument.
static double total(const char *kinds, ...) {
  va_list list, again;
  va_start(list, kinds);
  va_copy(again, list);
  double sum = 0;
  for (const char *kind = kinds; *kind; kind++) {
    switch (*kind) {
      case 'i': sum += va_arg(list, int); break;
      case 'l': sum += (double)va_arg(list, long long); break;
      case 'd': sum += va_arg(list, double); break;
      case 's': sum += (double)strlen(va_arg(list, const char *)); break;
      case 'f': sum += va_arg(list, double (*)(const char *, ...))("ii", 1, 2); break;
    }
  }
  va_end(list);
  // A second walk over the same arguments, backwards in effect.
  for (const char *kind = kinds; *kind; kind++) {
    switch (*kind) {
      case 'i': sum = sum * 0.5 + va_arg(again, int); break;
      case 'l': sum -= (double)(va_arg(again, long long) >> 3); break;
      case 'd': sum *= 1.0 + 1.0 / (1.0 + va_arg(again, double)); break;
      case 's': sum += va_arg(again, const char *)[0]; break;
      case 'f': sum -= va_arg(again, double (*)(const char *, ...))("d", 2.5); break;
    }
  }
  va_end(again);
  return sum;
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(void) {
  for (int n = 0; n < 25; n++) {
    append("%d:%5.2f|%-8s|%08x|%+lld;", n, n * 1.25, n % 2 ? "odd" : "even", n * 2654435761u, (long long)n << 33);
    append("%*d|%.*s|%c|%e|%g%%", n % 9, n, n % 5, "abcdefgh", 'a' + n, n / 7.0, 1.0 / (n + 1));
    append("<%.12g>", total("ilds", n, (long long)n * 1000000007, n * 0.5, "text"));
    append("<%.12g>", total("fdif", total, 0.25, n, total));
  }
  char *words[40];
  int count = 0;
  char copy[sizeof text];
  strcpy(copy, text);
  for (char *word = strtok(copy, "|;<>"); word && count < 40; word = strtok(NULL, "|;<>")) words[count++] = word;
  qsort(words, (size_t)count, sizeof *words, compare);
  double parsed = 0;
  for (int n = 0; n < count; n++) {
    char *end;
    double value = strtod(words[n], &end);
    int a = 0;
    unsigned b = 0;
    if (sscanf(words[n], "%d:%u", &a, &b) > 0) parsed += a - (double)(b % 7);
    if (value > -1e9 && value < 1e9) parsed = parsed * 0.75 + value * (end - words[n]);
  }
  printf("%s\n%d words, %.15g\n", text, count, parsed);
  return count;
}
