// SymbolizeImages() and ReadSourceMap() in processes that can do nothing else: files are foreign,
// and whoever has made one may know of a fault in what reads it. Such a fault costs the names of
// that one file.
//
//   jprof ----- fork, before it has threads --> forker, which waits
//     | socket <-- "another worker" ----------------' | fork
//     '------- image, offsets ----------------------> worker: gives everything up, then reads
//     <------- "is there a debug file X?" -----------'
//     -------- descriptors ------------------------->
//     <------- names --------------------------------'
//
// A worker has the descriptors that it is sent, memory and CPU time up to a limit, no privileges,
// and a handful of system calls: none that opens, connects, executes or signals. What it answers is
// not believed: it is checked like a file. When it dies, hangs or talks nonsense, its image has no
// names (its query says so) and another worker does the next one; when no worker can be had, or all
// took too long, the images that are left have none (ImageQuery::unread). All end when jprof does,
// however it does.
//
// The forker also starts stand-ins: processes that may all that jprof may, and do in its place what
// may wait for ever, such as opening a file. One that does not come back is left behind: unlike a
// thread in the kernel's uninterruptible sleep, it keeps nobody from ending.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "profiler/core/unique_fd.h"
#include "symbolize/sandbox.h"
#include "symbolize/source_map.h"
#include "symbolize/symbolizer.h"

namespace jprof {

class SymbolizerProcess {
 public:
  struct Limits {
    uint64_t memory_bytes = uint64_t{640} << 20;  // address space of a worker
    int cpu_seconds = 4;                          // for one image
    // Of an image, without what its debug files take to be found.
    std::chrono::milliseconds patience{6000};
    // Of all images of one call; those that are left then have no names.
    std::chrono::milliseconds altogether{30'000};
  };

  // What goes to a stand-in, and what comes back.
  struct Parcel {
    std::string text;
    std::vector<UniqueFd> descriptors;
  };
  // What a stand-in does.
  using Errand = Parcel (*)(Parcel);

  // Forks: call it while the process has one thread. `errand`: nullptr: there are no stand-ins.
  static absl::StatusOr<std::unique_ptr<SymbolizerProcess>> Start(const Limits& limits,
                                                                  Errand errand = nullptr);
  static absl::StatusOr<std::unique_ptr<SymbolizerProcess>> Start() { return Start(Limits()); }
  ~SymbolizerProcess();

  // As SymbolizeImages(). From one thread at a time.
  void Symbolize(std::vector<ImageQuery>& queries, int max_threads, DebugFileFinder* finder);

  // As ReadSourceMap() of each. From one thread at a time.
  void ReadSourceMaps(std::vector<SourceMapQuery>& queries);

  struct Peer {  // a process, and our end of its socket
    UniqueFd socket;
    pid_t pid = 0;
  };
  bool has_stand_ins() const { return has_stand_ins_; }
  absl::StatusOr<Peer> StartStandIn();
  // DeadlineExceeded: it waited for something else than a CPU for `patience`, and still does; it is
  // to be asked no more until HasComeBack(). Unavailable: it has ended. From one thread at a time,
  // whose niceness it has from then on (as far as jprof may set it), and so have those started
  // later.
  absl::StatusOr<Parcel> Ask(const Peer& stand_in, const std::string& text,
                             std::span<const int> descriptors, std::chrono::milliseconds patience);
  // Whether one that did not answer in time has since, or has ended.
  static bool HasComeBack(const Peer& stand_in);

  // The parts of the sandbox that took effect in all workers so far; nullopt: there was none.
  std::optional<uint32_t> sandbox() const {
    const uint32_t parts = sandbox_.load(std::memory_order_relaxed);
    return parts == kNoWorker ? std::nullopt : std::optional(parts);
  }

  // Of the process that starts the workers and waits for them.
  pid_t pid() const { return pid_; }

  // Counts messages to and from the workers and stand-ins, and images done with; from any thread.
  // While there is work, it grows within `patience`, or what the finder takes for one request.
  uint64_t progress() const { return progress_.load(std::memory_order_relaxed); }

 private:
  enum class Role { kWorker, kStandIn };
  SymbolizerProcess(const Limits& limits, bool has_stand_ins, UniqueFd forker, pid_t pid)
      : limits_(limits), has_stand_ins_(has_stand_ins), forker_(std::move(forker)), pid_(pid) {}

  // When the forker has not answered once, it is not waited for any more.
  absl::StatusOr<Peer> StartOne(Role role);
  absl::StatusOr<pid_t> AskForker(Role role, int socket) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes its late answers, if it has come to give them.
  bool HasAnswered() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: the worker is of no use any more.
  bool Ask(const UniqueFd& worker, size_t image, ImageQuery& query, DebugFileFinder* finder);
  bool AskMap(const UniqueFd& worker, SourceMapQuery& query);

  const Limits limits_;
  const bool has_stand_ins_;
  absl::Mutex mutex_;
  UniqueFd forker_;
  bool awaits_answer_ ABSL_GUARDED_BY(mutex_) = false;
  const pid_t pid_;
  std::atomic<uint64_t> progress_{0};
  static constexpr uint32_t kNoWorker = ~uint32_t{0};
  std::atomic<uint32_t> sandbox_{kNoWorker};
};

}  // namespace jprof
