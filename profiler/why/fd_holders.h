// Which processes have a pipe or a socket open: found by looking through the descriptors of all
// processes, once, when it is first asked.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"

namespace jprof {

class FdHolders {
 public:
  struct Holder {
    Pid pid;
    int fd;
  };

  // `link`: as /proc/PID/fd has it, "pipe:[4711]" or "socket:[4711]". Ascending by process.
  const std::vector<Holder>& Of(absl::string_view link);
  // Some processes could not be looked into, or they were too many.
  bool incomplete() const { return incomplete_; }

 private:
  void Look();

  absl::flat_hash_map<std::string, std::vector<Holder>> holders_;
  bool looked_ = false;
  bool incomplete_ = false;
};

// What a descriptor of a process leads to, as the kernel has it; "" when it is not open.
std::string FdLink(Pid pid, int fd);

// The access mode of a descriptor: O_RDONLY, O_WRONLY or O_RDWR; -1: not known.
int FdAccessMode(Pid pid, int fd);

}  // namespace jprof
