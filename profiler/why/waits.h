// What a thread waits for: not the system call alone (profiler/stop/system_call.h), but how full
// the pipe or queue is, and which process is at the other end and what that does.
//
// Everything is read from outside and from one moment to the next: what a reader of these values
// may claim is that it was so when it was looked at. What is not found stays empty.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "profiler/core/ids.h"
#include "profiler/stop/system_call.h"
#include "profiler/why/fd_holders.h"

namespace jprof {

struct Wait {
  enum class Kind {
    kNone,    // it runs, or is in no system call
    kEvents,  // epoll
    kPoll,    // poll, select
    kSleep,
    kLock,  // a futex
    kPipeWrite,
    kPipeRead,
    kSocketConnect,  // these three of local sockets
    kSocketWrite,
    kSocketRead,
    kQueueSend,  // System V
    kQueueReceive,
    kVfork,
    kChild,    // an exit of one
    kNetwork,  // read, write or connect of another socket
    kOther,
  };
  Kind kind = Kind::kNone;
  bool uninterruptible = false;
  std::optional<SystemCall> made;
  std::string call;             // as DescribeCall() has it
  std::string kernel_function;  // "" when not known
  Tid owner = 0;                // kLock: holds it; 0: not known
  std::string object;           // "a pipe", "message queue 3"; "" when not known
  std::string filling;          // "65536 of 65536 bytes unread"; "" when not known
  bool full = false;            // by these figures
  std::vector<Pid> others;      // at the other end
  bool self_too = false;        // the process has the other end open itself
  // kEvents, kPoll, kSleep: that it was begun with; none: for ever.
  std::optional<double> limit_s;
  bool to_write = false;     // kPoll: of one descriptor, not to read
  std::vector<Pid> awaited;  // processes whose end would be met: by a pidfd, or by their number
};

// Reads of any process. Not thread-safe.
class WaitReader {
 public:
  Wait Read(Pid pid, Tid tid);
  // "sleeps in nanosleep(...)", "is stopped"; of several threads "runs (thread 5)", if one does, or
  // what its main one sleeps in.
  std::string WhatDoes(Pid pid);
  bool incomplete() const { return holders_.incomplete(); }

  struct ThreadWait {
    Tid tid;
    Wait wait;
  };
  // Of the threads of a process, some at most, as they were when it was first asked: none when so
  // many were asked about that it is enough.
  const std::vector<ThreadWait>& ThreadsOf(Pid pid);

 private:
  void Classify(Pid pid, const SystemCall& call, const CallContext& context, Wait& wait);
  void ReadPipe(Pid pid, int fd, bool writes, Wait& wait);
  void ReadSocket(Pid pid, int fd, const SystemCall& call, const CallContext& context, bool writes,
                  Wait& wait);
  void ReadQueue(Pid pid, int id, bool sends, uint64_t bytes_to_send, Wait& wait);
  void ReadPolled(Pid pid, const SystemCall& call, const CallContext& context, Wait& wait);
  void FindVforkChild(Pid pid, Wait& wait);

  void AddHolders(Pid pid, absl::string_view link, Wait& wait);
  // /proc/PID/net/unix, read once for each namespace.
  const std::string& LocalSockets(Pid pid);
  bool IsLocalSocket(Pid pid, absl::string_view inode);
  uint32_t ListenerAt(Pid pid, absl::string_view path);

  FdHolders holders_;
  std::map<Pid, std::vector<ThreadWait>> threads_;
  std::map<std::string, std::string> local_sockets_;
  size_t reads_left_ = 4096;
};

// From process to process, each waiting for the next one: the first is the one asked about.
struct WaitChain {
  struct Link {
    Pid pid;
    Tid tid;
    Wait wait;
    bool only_thread = false;  // of its process
  };
  std::vector<Link> links;
  bool closed = false;  // the last one waits for the first, and all did when they were asked again
};
WaitChain FollowWaits(WaitReader& reader, Pid pid, Tid tid, const Wait& wait);

}  // namespace jprof
