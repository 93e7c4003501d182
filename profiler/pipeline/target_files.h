// Opens what targets name, and reads what the kernel says of them, without waiting for ever: a
// stand-in (symbolize/symbolizer_process.h) does it, and is left behind when it waits for half a
// second. That costs the files of that process on that file system, or its memory, until the
// stand-in has come back; a file system that never answered is asked once for all processes, one
// that did so before a few times.
//
// What comes from a file system that may stop to answer later is a path-only descriptor, to be
// opened (OpenAgain) when it is read, and closed soon: so a recording holds nothing that it could
// not let go. What is read again and again (ReadPart) is not even opened here.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "helpers/perfmap/growing_file.h"
#include "profiler/core/address.h"
#include "profiler/core/event.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/memory_reader.h"
#include "profiler/process/proc_maps.h"
#include "profiler/process/target_file.h"
#include "profiler/unwind/frame_stepper.h"
#include "symbolize/symbolizer_process.h"

namespace jprof {

// With stand-ins for TargetFiles; as SymbolizerProcess::Start().
absl::StatusOr<std::shared_ptr<SymbolizerProcess>> StartFileReaders();

class TargetFiles {
 public:
  static constexpr size_t kMaxLeftBehind = 16;
  static constexpr size_t kMaxSilentMemories = 8;  // of them
  static constexpr size_t kMaxSilentCode = 3;      // of them: who asks for it reads samples
  static constexpr std::chrono::seconds kMaxTimeOfCode{2};

  // `processes` has stand-ins.
  explicit TargetFiles(std::shared_ptr<SymbolizerProcess> processes)
      : processes_(std::move(processes)) {}

  // As the functions of target_file.h and proc_maps.h of about these names; and DeadlineExceeded:
  // no answer in time, or there was none lately.
  absl::StatusOr<UniqueFd> OpenMapped(const MapEvent& map);
  absl::StatusOr<UniqueFd> OpenOfGone(const MapEvent& map, Pid root_of);
  absl::StatusOr<UniqueFd> OpenInProcess(Pid pid, const UniqueFd& process, const std::string& path,
                                         LinkPolicy links, absl::string_view name);
  absl::StatusOr<UniqueFd> OpenNamed(Pid pid, const std::string& path);
  absl::StatusOr<UniqueFd> OpenBelow(const UniqueFd& root, const std::string& path);
  absl::StatusOr<UniqueFd> OpenAgain(const UniqueFd& path_only, const std::string& path);
  absl::StatusOr<std::vector<ProcMapping>> ReadMaps(Pid pid);
  // As LiveMemory. Nothing where it does not answer, and then no more of that process.
  size_t ReadMemory(Pid pid, Address address, std::span<std::byte> out);
  // A part of a file that the process writes.
  absl::StatusOr<FilePart> ReadPart(Pid pid, const UniqueFd& path_only, uint64_t offset,
                                    const std::string& name);
  // As FindFrameCode(). A process is not asked about for longer than kMaxTimeOfCode in all.
  absl::StatusOr<std::vector<FrameCode>> FindCode(Pid pid, std::span<const uint64_t> addresses);

  // Stand-ins that have not come back.
  size_t left_behind() const;
  // Processes of which something did not answer.
  uint64_t silent_processes() const;
  // What did not, for the user; "": all did.
  std::string Trouble() const;

 private:
  // Whom a question is about.
  struct Subject {
    // Instead of a device: none, those of call-frame information, one that is not known, the
    // process's memory.
    static constexpr uint64_t kKernel = 0, kCode = UINT64_MAX - 2, kSomeDevice = UINT64_MAX - 1,
                              kMemory = UINT64_MAX;
    Pid pid = 0;  // 0: no process
    uint64_t device = kKernel;
    bool is_of_device() const { return device != kKernel && device < kCode; }
    friend bool operator==(const Subject&, const Subject&) = default;
  };
  struct LeftBehind {
    SymbolizerProcess::Peer stand_in;
    Subject of;
  };
  static uint64_t DeviceOf(const UniqueFd& directory);

  absl::StatusOr<UniqueFd> Open(std::string question, const UniqueFd* descriptor, const Subject& of,
                                absl::string_view name);
  absl::StatusOr<std::string> Read(std::string question, const UniqueFd* descriptor,
                                   const Subject& of, absl::string_view name);
  absl::StatusOr<SymbolizerProcess::Parcel> Ask(const std::string& question,
                                                const UniqueFd* descriptor, const Subject& of,
                                                absl::string_view name);
  bool IsHopeless(const Subject& of) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // It did not answer, or is not asked.
  absl::Status Silent(const Subject& of, absl::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<SymbolizerProcess> processes_;
  mutable absl::Mutex mutex_;
  std::optional<SymbolizerProcess::Peer> stand_in_ ABSL_GUARDED_BY(mutex_);
  std::vector<LeftBehind> left_behind_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<uint64_t> devices_ ABSL_GUARDED_BY(mutex_);  // that a file came from
  absl::flat_hash_set<Pid> silent_ ABSL_GUARDED_BY(mutex_);
  std::string first_silent_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Pid, std::chrono::steady_clock::duration> time_of_code_
      ABSL_GUARDED_BY(mutex_);
};

// The memory of a process, as far as it answers.
class TargetMemory : public MemoryReader {
 public:
  TargetMemory(std::shared_ptr<TargetFiles> files, Pid pid)
      : files_(std::move(files)), pid_(pid) {}

  size_t Read(Address address, std::span<std::byte> out) const override {
    return files_->ReadMemory(pid_, address, out);
  }

 private:
  const std::shared_ptr<TargetFiles> files_;
  const Pid pid_;
};

// For who must not wait for a process's files: nothing of it is found when they do not answer.
// Empty where `processes`, which may be nullptr, has no stand-ins. Not through a TargetFiles that
// others use: who asks would wait for the answers to them.
FrameStepper::Find FrameCodeFinder(std::shared_ptr<SymbolizerProcess> processes);

}  // namespace jprof
