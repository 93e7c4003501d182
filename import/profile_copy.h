// Takes parts of finished profiles into another one that is being built: what combines, filters
// and regroups profiles is made of it.
#pragma once

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/core/profile_builder.h"

namespace jprof {

// Of one source. Both outlive it.
class ProfileCopy {
 public:
  ProfileCopy(const Profile& from, ProfileBuilder& to)
      : from_(from),
        to_(to),
        functions_(from.functions.size()),
        locations_(from.locations.size()),
        stacks_(from.stacks.size()),
        threads_(from.threads.size()) {}

  // Instead of what they are: `copy` is a function of the other profile; all threads are of one
  // process.
  void Replace(FunctionId id, FunctionId copy) { functions_[id.value] = copy; }
  void SetProcess(absl::string_view name) { process_ = name; }

  FunctionId Function(FunctionId id);
  ImageId Image(ImageId id);
  LocationId Location(LocationId id);
  StackId Stack(StackId id);  // invalid: the empty stack, which stays so
  ThreadId Thread(ThreadId id);

  // Title, comments, times, show_lines.
  void Heading();

 private:
  const Profile& from_;
  ProfileBuilder& to_;
  // What was copied already; invalid: nothing yet.
  std::vector<FunctionId> functions_;
  std::vector<LocationId> locations_;
  std::vector<StackId> stacks_;
  std::vector<ThreadId> threads_;
  std::vector<StackId> walk_;
  std::optional<absl::string_view> process_;
};

}  // namespace jprof
