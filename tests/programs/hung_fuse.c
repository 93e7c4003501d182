/* Mounts a FUSE file system with one file, whose content is a copy of FILE, and answers for it. On a
   line "hang" it answers nothing more, but still takes each request, so that who waits for one
   cannot even be killed; on "answer" it answers all of these and goes on. At the end of its input
   the mount is gone.

     hung_fuse DIRECTORY FILE    mounts on DIRECTORY; the file is DIRECTORY/file */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

enum { kFile = 2, kBuffer = 1 << 17, kMaxHeld = 64, kSeconds = 1 };

static int fuse;
static char* content;
static size_t content_size;
static char held[kMaxHeld][kBuffer];
static int held_count;
static uint64_t started;

static void reply(const struct fuse_in_header* in, int error, const void* data, size_t size) {
  struct fuse_out_header out = {
      .len = (uint32_t)(sizeof(out) + size), .error = -error, .unique = in->unique};
  struct iovec parts[] = {{&out, sizeof(out)}, {(void*)data, size}};
  if (writev(fuse, parts, size == 0 ? 1 : 2) < 0 && errno != ENOENT) perror("hung_fuse: reply");
}

static struct fuse_attr attributes(uint64_t node) {
  struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = 4096, .ctime = started};
  attr.mode = node == kFile ? S_IFREG | 0755 : S_IFDIR | 0755;
  attr.size = node == kFile ? content_size : 0;
  return attr;
}

static void answer(const char* request) {
  const struct fuse_in_header* in = (const struct fuse_in_header*)request;
  const void* body = request + sizeof(*in);
  switch (in->opcode) {
    case FUSE_INIT: {
      struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
                                  .minor = 31,
                                  .max_readahead = 1 << 16,
                                  .max_write = 4096,
                                  .max_background = 16};
      reply(in, 0, &out, sizeof(out));
      break;
    }
    case FUSE_LOOKUP: {
      struct fuse_entry_out out = {.nodeid = kFile,
                                   .entry_valid = kSeconds,
                                   .attr_valid = kSeconds,
                                   .attr = attributes(kFile)};
      if (in->nodeid == FUSE_ROOT_ID && strcmp(body, "file") == 0) reply(in, 0, &out, sizeof(out));
      else reply(in, ENOENT, NULL, 0);
      break;
    }
    case FUSE_GETATTR: {
      struct fuse_attr_out out = {.attr_valid = kSeconds, .attr = attributes(in->nodeid)};
      reply(in, 0, &out, sizeof(out));
      break;
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      struct fuse_open_out out = {.open_flags = FOPEN_KEEP_CACHE};
      reply(in, 0, &out, sizeof(out));
      break;
    }
    case FUSE_READ: {
      const struct fuse_read_in* read = body;
      const size_t at = read->offset < content_size ? read->offset : content_size;
      const size_t left = content_size - at;
      reply(in, 0, content + at, read->size < left ? read->size : left);
      break;
    }
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
      reply(in, 0, NULL, 0);
      break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      break;
    default:
      reply(in, ENOSYS, NULL, 0);
  }
}

static void load(const char* path) {
  struct stat st;
  const int fd = open(path, O_RDONLY);
  if (fd < 0 || fstat(fd, &st) != 0) {
    perror(path);
    exit(1);
  }
  content_size = (size_t)st.st_size;
  content = malloc(content_size);
  for (size_t done = 0; done < content_size;) {
    const ssize_t got = read(fd, content + done, content_size - done);
    if (got <= 0) {
      perror(path);
      exit(1);
    }
    done += (size_t)got;
  }
  close(fd);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  load(argv[2]);
  started = (uint64_t)time(NULL);
  fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  char options[128];
  snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", fuse);
  if (fuse < 0 || mount("hung_fuse", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) != 0) {
    perror("hung_fuse: mount");
    return 1;
  }
  say_ready();
  int hangs = 0;
  for (;;) {
    struct pollfd fds[] = {{fuse, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    poll(fds, 2, -1);
    if (fds[1].revents != 0) {
      char line[64] = {0};
      if (read(STDIN_FILENO, line, sizeof(line) - 1) <= 0) break;
      hangs = strcmp(line, "hang\n") == 0;
      for (int i = 0; !hangs && i < held_count; i++) answer(held[i]);
      if (!hangs) held_count = 0;
      say_ready();
    }
    if (fds[0].revents != 0) {
      static char request[kBuffer];
      char* to = hangs && held_count < kMaxHeld ? held[held_count] : request;
      if (read(fuse, to, kBuffer) < 0) {
        if (errno == ENODEV) break;
        continue;
      }
      if (!hangs) answer(to);
      else if (held_count < kMaxHeld) held_count++;
    }
  }
  umount2(argv[1], MNT_DETACH);
  return 0; /* the connection ends with its descriptor, and who waits gets an error */
}
