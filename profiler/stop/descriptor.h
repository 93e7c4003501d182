// What a descriptor of a live process is, for people.
#pragma once

#include <string>
#include <vector>

#include "profiler/core/ids.h"

namespace jprof {

// A file's path, a socket with its ends, a pipe, an epoll set with the number of what it watches.
// "" when that cannot be told.
std::string DescribeFd(Pid pid, int fd);

// Of a pidfd: the process; 0 for any other, and when that is gone.
Pid ProcessOfPidFd(Pid pid, int fd);

// Of an epoll set: what it watches.
std::vector<int> WatchedFds(Pid pid, int epoll);

}  // namespace jprof
