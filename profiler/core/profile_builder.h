// The only writer of a Profile. Interns strings, functions, images, locations and stacks; equal
// things get equal indices. Not thread-safe; owned by the pipeline (or by a reader of a format).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/index_table.h"
#include "profiler/core/profile.h"

namespace jprof {

class ProfileBuilder {
 public:
  // `sample_types` must not be empty; each sample then has one value per type.
  ProfileBuilder(std::vector<ValueType> sample_types, ValueType period_type, int64_t period);

  StringId Intern(absl::string_view text);
  FunctionId AddFunction(absl::string_view name, absl::string_view system_name,
                         absl::string_view file, uint32_t start_line, FrameKind kind);
  // Equal path and build ID: the same image; the first mapping seen is kept.
  ImageId AddImage(absl::string_view path, absl::string_view build_id, uint64_t memory_start,
                   uint64_t memory_limit, uint64_t file_offset);
  // `lines` innermost first, not empty.
  LocationId AddLocation(ImageId image, uint64_t address, std::span<const Line> lines);
  // One frame below `caller` (invalid: the outermost).
  StackId AddStack(StackId caller, LocationId location);
  // A thread that changes its name, or a number that is used again, makes another thread.
  ThreadId AddThread(Pid pid, Tid tid, absl::string_view process_name, absl::string_view name,
                     absl::string_view cgroup = "", absl::string_view labels = "");
  // `values`: one per sample type. `count`: samples that it stands for, all of them kept.
  void AddSample(int64_t time_ns, ThreadId thread, uint32_t cpu, StackId stack,
                 std::span<const int64_t> values, uint64_t count = 1);

  void SetTimes(int64_t start_time_ns, int64_t duration_ns);
  void SetTitle(absl::string_view title);
  void ShowLines(bool show = true) { profile_.show_lines = show; }
  void AddComment(absl::string_view comment);
  // Of all samples; in any order.
  void SetUnnamed(std::vector<UnnamedFrames> unnamed);
  Accounting& accounting() { return profile_.accounting; }
  const Profile& profile() const { return profile_; }

  // Sorts samples by time, checks that the accounting balances and every index is in range.
  // Internal: an invariant is broken (our bug). The builder is empty afterwards.
  absl::StatusOr<Profile> Build() &&;

 private:
  void SortSamples();

  Profile profile_;
  uint64_t samples_added_ = 0;
  // By content, of the profile's tables.
  IndexTable strings_;
  IndexTable functions_;
  IndexTable images_;
  IndexTable locations_;
  IndexTable stacks_;
  IndexTable threads_;
};

// Checks that every index of `profile` is in range and every table well formed. DataLoss names the
// first table that is not. For profiles that come from outside.
absl::Status ValidateProfile(const Profile& profile);

}  // namespace jprof
