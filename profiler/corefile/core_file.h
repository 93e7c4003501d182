// A core file of an x86-64 process: its threads, its mappings, its memory.
//
// The file is hostile, and often cut short: what it says of itself is checked against its size, and
// memory that is not in it reads as not there.
#pragma once

#include <sys/user.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"
#include "profiler/process/memory_reader.h"
#include "profiler/process/proc_maps.h"
#include "profiler/stop/stopped_thread.h"

namespace jprof {

// What jprof's own cores say of a thread besides what all cores do: a note of this owner and type.
inline constexpr char kJprofNoteOwner[] = "jprof";
inline constexpr uint32_t kThreadNote = 1;
struct ThreadNote {
  int32_t tid;
  char state;
  char name[19];  // ends in 0
  uint64_t cpu_ns;
};

class CoreFile : public MemoryReader {
 public:
  struct Thread {
    Tid tid = 0;
    user_regs_struct registers = {};
    std::optional<VectorRegisters> vectors;
    std::string name;                // "" when not known
    char state = '?';                // as in /proc/TID/stat
    std::optional<uint64_t> cpu_ns;  // on a CPU
  };

  // InvalidArgument: no core file, or not of an x86-64 process; DataLoss: no thread can be read.
  static absl::StatusOr<CoreFile> Open(UniqueFd fd, absl::string_view name);

  Pid pid() const { return pid_; }
  const std::string& comm() const { return comm_; }    // "" when not known
  int signal() const { return signal_; }               // that ended it; 0: none
  // In the file's order: the one that crashed first.
  const std::vector<Thread>& threads() const { return threads_; }
  // In address order. The files have made-up identities, the same for the same path: device 0,
  // inode index + 1 in files().
  const std::vector<ProcMapping>& mappings() const { return mappings_; }
  const std::vector<std::string>& files() const { return files_; }
  // Of the file that the program was started from; "" when not known.
  const std::string& program() const { return program_; }
  // Bytes that the file says it has and does not.
  uint64_t missing_bytes() const { return missing_bytes_; }

  // Whether the file says that it has this byte, and it was cut off.
  bool IsCutOff(Address address) const;

  // What the core holds; nothing of mapped files that are not in it.
  size_t Read(Address address, std::span<std::byte> out) const override;

 private:
  struct Segment {
    AddressRange range;  // of what is in the file
    uint64_t offset = 0;
  };
  struct MappedFile {
    AddressRange range;
    uint64_t offset = 0;
    uint32_t file = 0;  // in files_
  };

  CoreFile() = default;
  absl::Status ReadNotes(const std::vector<uint8_t>& notes);
  void ReadFileNote(const uint8_t* data, size_t size);
  void MakeMappings(const std::vector<ProcMapping>& loaded);

  UniqueFd fd_;
  Pid pid_ = 0;
  std::string comm_;
  int signal_ = 0;
  uint64_t entry_ = 0;       // of the program
  uint64_t vdso_ = 0;        // where it begins
  std::vector<Thread> threads_;
  std::vector<ProcMapping> mappings_;
  std::vector<std::string> files_;
  std::vector<MappedFile> mapped_;  // by address
  std::string program_;
  std::vector<Segment> segments_;  // by address
  std::vector<AddressRange> cut_off_;
  uint64_t missing_bytes_ = 0;
};

}  // namespace jprof
