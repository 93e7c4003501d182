// A jitdump: the file that a runtime writes about the code it compiles, and maps, so that profilers
// find it. A perf map says what code there is; a jitdump says also when it was there, when it
// moved, and which lines it is of. So a sample is named by the code that was at its address at its
// time:
//
//   JitDump        reads the file while it grows, and keeps what it says
//   JitDumpReplay  goes through that in the order of time, at the end of the recording
//
// At the end, because runtimes write through buffers: what was compiled before a sample may come to
// the file long after it. What has not come by then is not known; its place has no name, or that of
// the code that was there before.
//
// The file is written by the target and is hostile: sizes are checked, what is read and kept has a
// budget, and where a record's size cannot be true the reading ends. That the process itself mapped
// the file is why it is believed.
//
// Format: tools/perf/Documentation/jitdump-specification.txt in Linux. What writers differ in:
// V8 has the wall clock in the header, columns as discriminators, and lines at addresses that are
// 64 too high; BEAM has lines before the code's begin (they are of its first byte) and line 0 for
// none. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "helpers/perfmap/growing_file.h"
#include "helpers/perfmap/name_store.h"
#include "helpers/perfmap/painted_ranges.h"
#include "profiler/core/address.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

struct JitDumpOptions {
  // Of the process, as it knows itself; 0: the dump may be of any.
  Pid pid = 0;
  // CLOCK_MONOTONIC time before which the process did not exist. Records of before have the times
  // of another clock.
  uint64_t not_before_ns = 0;
  // Of all that is ever read through one JitDump, without the code itself.
  uint64_t max_bytes = uint64_t{1} << 30;
  uint64_t max_bytes_per_update = uint64_t{32} << 20;  // the same, of one Update()
  size_t max_records = 2'000'000;  // of code and moves
  size_t max_lines = 8'000'000;
  size_t max_name_bytes = size_t{128} << 20;  // and of files
  ReadFilePart read_part = nullptr;  // for a descriptor that is path-only
};

class JitDump {
 public:
  // Whether a mapped file of this path is meant as a jitdump.
  static bool IsPathOfOne(absl::string_view path);

  // The dump of process `pid`, which maps `fd`, read-only, or path-only if it is read by
  // `read_part`. Reads nothing yet. `name` is for messages. NotFound: no such process.
  // FailedPrecondition: no regular file.
  static absl::StatusOr<JitDump> Open(Pid pid, UniqueFd fd, absl::string_view name,
                                      ReadFilePart read_part = nullptr);
  // Without questions about the process.
  static absl::StatusOr<JitDump> OpenFile(UniqueFd fd, absl::string_view name,
                                          const JitDumpOptions& options);

  JitDump(JitDump&&) noexcept = default;
  JitDump& operator=(JitDump&&) noexcept = default;

  // Reads the complete records that were added since the last call. `now_ns`: CLOCK_MONOTONIC.
  // A file that shrank or was written anew is read from its start; what was known before stays, it
  // was true at its time. FailedPrecondition: not a jitdump that jprof reads, or another process's.
  absl::Status Update(uint64_t now_ns);
  // The last Update() ended before the file did, for it had read enough: the next one goes on.
  bool behind() const { return behind_; }

  // Why the rest of the file is not used: "" if all is.
  std::string Trouble() const;
  // False: its times are of another clock, and what was written last is true always.
  bool has_times() const { return has_times_; }

  // Over the life of the object.
  struct Counters {
    uint64_t records = 0;    // complete ones, of all kinds
    uint64_t loads = 0;      // kept
    uint64_t moves = 0;      // kept
    uint64_t malformed = 0;  // skipped: code without size or name, that wraps around
    uint64_t unknown = 0;    // skipped: of kinds that jprof does not know
    uint64_t lines_dropped = 0;  // debug records: too large, damaged, or over the budget
    uint64_t restarts = 0;
  };
  const Counters& counters() const { return counters_; }
  const std::string& name() const { return file_.name(); }
  uint64_t bytes_read() const { return bytes_read_; }
  // Its file system may stop to answer.
  bool is_remote() const { return file_.is_remote(); }
  size_t memory_bytes() const;  // about

 private:
  friend class JitDumpReplay;

  struct Line {
    uint32_t offset;  // in the code
    uint32_t line;    // 0: none
    uint32_t column;  // 0: not known
    uint32_t file;    // into files_
  };
  // Code that appeared at `begin`: compiled, or moved there from `from`.
  struct Change {
    uint64_t time_ns;
    uint64_t begin;
    uint64_t size;
    uint64_t from;
    absl::string_view name;
    uint32_t first_line;  // into lines_
    uint32_t line_count;
    bool is_move;
  };
  class Window;
  static constexpr size_t kRecordHeadBytes = 16;

  JitDump(UniqueFd fd, absl::string_view name, const JitDumpOptions& options);

  absl::Status ReadHeader(Window& window);
  bool StillTheSame(Window& window, uint64_t size);
  void OnRecord(uint32_t id, uint64_t time_ns, absl::string_view body, uint64_t now_ns);
  void OnLoad(uint64_t time_ns, absl::string_view body);
  void OnMove(uint64_t time_ns, absl::string_view body);
  void OnLines(absl::string_view body);
  // Lines of the code at `address`, to lines_.
  void AddLines(Change& code, absl::string_view text);
  std::optional<uint32_t> InternFile(absl::string_view file);
  bool HasRoomFor(size_t name_bytes);

  GrowingFile file_;
  JitDumpOptions options_;
  absl::Status refused_;   // for good
  uint64_t offset_ = 0;    // all before it is read; 0: the header is not yet
  uint64_t last_record_ = 0;  // its offset, 0: none, and its head, to notice a rewritten file
  std::array<char, kRecordHeadBytes> last_head_ = {};
  uint64_t bytes_read_ = 0;
  bool exhausted_ = false;
  bool behind_ = false;
  bool damaged_ = false;
  bool has_times_ = true;

  std::vector<Change> changes_;  // in the file's order
  std::vector<Line> lines_;      // of each code by offset
  NameStore names_;
  std::vector<absl::string_view> files_;
  absl::flat_hash_map<absl::string_view, uint32_t> file_ids_;
  // Of code that is still to come, by its address, as they were written.
  absl::flat_hash_map<uint64_t, std::string> pending_lines_;
  size_t pending_bytes_ = 0;
  Counters counters_;
};

// What a dump says, instant by instant. The dump outlives it and is not updated meanwhile.
class JitDumpReplay {
 public:
  explicit JitDumpReplay(const JitDump& dump);

  // Applies what happened up to and at `time_ns`. Times only grow.
  void AdvanceTo(uint64_t time_ns);
  // Changes when AdvanceTo() changed anything.
  uint64_t version() const { return next_; }

  struct Code {
    absl::string_view name;  // the target's own bytes
    absl::string_view file;  // "" and 0: not known
    uint32_t line = 0;
    uint32_t column = 0;
  };
  // nullopt: no code, or none that is known to have been there then. Valid as long as the dump.
  std::optional<Code> Find(Address address) const;

 private:
  struct Placed {
    uint32_t change;  // that compiled it
    uint64_t begin;   // where that lies now
  };

  const JitDump& dump_;
  std::vector<uint32_t> order_;  // of dump_.changes_
  size_t next_ = 0;              // in order_
  bool beyond_ = false;          // later than what could be read
  PaintedRanges<Placed> code_;
};

}  // namespace jprof
