// The profile so far, handed out every few seconds while it is recorded, so that a recording that
// is killed leaves what it had.
//
// The pipeline makes a copy of what was sampled; names are asked for, and the profile is built and
// written, on a thread of its own. Files are asked for new offsets alone. A recording may last for
// months: when copying and that thread take more than a hundredth of the time, it is done less
// often.
//
// Used by the pipeline's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "profiler/capture/priority.h"
#include "profiler/core/profile.h"
#include "profiler/pipeline/profile_draft.h"

namespace jprof {

class Checkpoints {
 public:
  // Called on a thread that may be left behind: what it uses must be its own. `go_on`: false when
  // it is not wanted any more.
  using Sink = std::function<void(const Profile& profile, const std::function<bool()>& go_on)>;

  // The first one is due some seconds after `started_ns`.
  Checkpoints(Sink sink, int niceness, uint64_t started_ns);
  ~Checkpoints() { Stop(); }

  bool IsDue(uint64_t now_ns) const { return !busy_ && now_ns >= due_ns_; }
  // When one is due. `describe` gives the profile title and comments.
  void Begin(const std::function<ProfileDraft()>& draft, std::function<void(Profile&)> describe,
             uint64_t now_ns);
  // Waits for the one that is being made, which need not become whole.
  void Stop();

 private:
  void Make(ProfileDraft draft, const std::function<void(Profile&)>& describe) const;

  const Sink sink_;
  const int niceness_;
  std::thread thread_;
  AwaitedThread awaited_;
  std::atomic<uint64_t> due_ns_;
  std::atomic<bool> busy_{false};
  std::atomic<bool> stop_{false};
};

}  // namespace jprof
