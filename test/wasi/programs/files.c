/* Files through a C library: prints what it finds, for comparison. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void result(const char *what, long value) {
  if (value < 0) printf("%s: %s\n", what, strerror(errno));
  else printf("%s: %ld\n", what, value);
}

static int byName(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path) {
  char *names[64];
  int count = 0;
  DIR *directory = opendir(path);
  if (directory == NULL) {
    result("opendir", -1);
    return;
  }
  for (struct dirent *entry; (entry = readdir(directory)) != NULL && count < 64;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names[count++] = strdup(entry->d_name);
  closedir(directory);
  qsort(names, count, sizeof names[0], byName);
  printf("%s:", path);
  for (int n = 0; n < count; n++) printf(" %s", names[n]);
  printf("\n");
}

int main(int argc, char **argv) {
  const char *base = argc > 1 ? argv[1] : "/";
  struct stat status;
  char line[64];
  char target[64];
  printf("argument count %d, variable %s\n", argc, getenv("GREETING"));
  if (chdir(base) != 0) return 9;

  result("mkdir", mkdir("d", 0777));
  result("mkdir again", mkdir("d", 0777));
  FILE *file = fopen("d/text", "w+");
  for (int n = 0; n < 2000; n++) fprintf(file, "line %d of the file\n", n);
  result("position", ftell(file));
  fseek(file, -20, SEEK_END);
  fgets(line, sizeof line, file);
  printf("tail: %s", line);
  rewind(file);
  int lines = 0;
  while (fgets(line, sizeof line, file) != NULL) lines++;
  printf("%d lines\n", lines);
  fclose(file);

  int log = open("d/log", O_WRONLY | O_CREAT | O_APPEND, 0666);
  result("append", write(log, "one ", 4));
  lseek(log, 0, SEEK_SET);
  result("append", write(log, "two", 3));
  result("read from a writer", read(log, line, 1));
  close(log);
  int reader = open("d/log", O_RDONLY);
  result("read", read(reader, line, sizeof line));
  printf("%.7s\n", line);
  result("pread", pread(reader, line, 3, 4));
  printf("%.3s\n", line);
  result("write to a reader", write(reader, "x", 1));
  result("lseek", lseek(reader, -1, SEEK_SET));
  close(reader);
  result("closed", read(reader, line, 1));

  result("exclusive", open("d/log", O_CREAT | O_EXCL | O_RDWR, 0666));
  result("missing", open("d/none", O_RDONLY));
  result("not a directory", open("d/log/x", O_RDONLY));
  result("directory for writing", open("d", O_WRONLY));
  result("truncate", truncate("d/log", 2));
  stat("d/log", &status);
  printf("size %ld, regular %d, links %d\n", (long)status.st_size, S_ISREG(status.st_mode), (int)status.st_nlink);
  stat("d", &status);
  printf("directory %d\n", S_ISDIR(status.st_mode));

  result("symlink", symlink("log", "d/link"));
  memset(target, 0, sizeof target);
  result("readlink", readlink("d/link", target, sizeof target));
  printf("-> %s\n", target);
  lstat("d/link", &status);
  printf("link %d\n", S_ISLNK(status.st_mode));
  stat("d/link", &status);
  printf("through it %d, size %ld\n", S_ISREG(status.st_mode), (long)status.st_size);
  result("link", link("d/log", "d/hard"));
  result("rename", rename("d/hard", "d/renamed"));
  result("rename missing", rename("d/hard", "d/x"));
  list("d");
  result("rmdir full", rmdir("d"));
  result("unlink directory", unlink("d") < 0 ? 0 : 1);
  result("rmdir file", rmdir("d/log"));
  result("unlink", unlink("d/link"));
  result("unlink", unlink("d/log"));
  result("unlink", unlink("d/renamed"));
  result("unlink", unlink("d/text"));
  result("unlink missing", unlink("d/text"));
  list("d");
  result("rmdir", rmdir("d"));
  result("opendir", opendir("d") == NULL ? -1 : 0);
  return 3;
}
