// A finished profile: read-only tables, self-contained, deterministic. Exporters see nothing else.
//
// Everything refers to everything else by index (profiler/core/ids.h). A stack is a path in a
// prefix tree: a StackNode names its location and its caller's node, so equal callers are stored
// once. A location has one Line, or several where a function was inlined: the innermost first, the
// physical function last, as pprof has it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/core/accounting.h"
#include "profiler/core/frame.h"
#include "profiler/core/ids.h"

namespace jprof {

// Frames without a name of one kind, and places where callers are missing.
struct UnnamedFrames {
  std::string what;      // what is known of them: "[unknown] libc.so.6", "[truncated]"
  std::string why;  // they have no name; behind a semicolon the least that would help, if known
  uint64_t samples = 0;  // that they appear in
  uint64_t frames = 0;   // a frame counts once for each sample; 0 for markers
};

struct ValueType {
  std::string type;  // "samples", "cpu"; no '-' in it, some readers reject that
  std::string unit;  // "count", "nanoseconds"
};

struct Function {
  StringId name;            // demangled; for kUnknown what is known: "[unknown] libx.so+0x12"
  StringId
      system_name;  // in the symbol table, or the generated script, with its place; else as name
  StringId file;            // source file or script; the empty string where not known
  uint32_t start_line = 0;  // 1-based line of the definition, 0 where not known
  FrameKind kind = FrameKind::kUnknown;
};

// A mapped file, the kernel, or a runtime's code ("[v8]").
struct ProfileImage {
  StringId path;
  StringId build_id;  // lower-case hex, or the empty string
  // The first executable mapping that was seen of it; what pprof calls memory_start and so on.
  uint64_t memory_start = 0;
  uint64_t memory_limit = 0;
  uint64_t file_offset = 0;
};

struct Line {
  FunctionId function;
  uint32_t line = 0;    // executing line, 1-based; 0 where not known
  uint32_t column = 0;  // 1-based; 0 where not known
};

struct Location {
  ImageId image;            // invalid for markers
  uint64_t address = 0;     // within [memory_start, memory_limit) of the image, or 0
  uint32_t first_line = 0;  // into Profile::lines
  uint32_t line_count = 0;  // at least 1
};

struct StackNode {
  StackId caller;  // invalid for the outermost frame
  LocationId location;
};

struct Thread {
  Pid pid = 0;
  Tid tid = 0;
  StringId process_name;  // command name of the main thread
  StringId name;          // command name of this thread
  StringId cgroup;        // path of the process's control group; the empty string where not known
  // What else another tool says of samples: lines "key\ttext" and "key\t\tnumber\tunit", sorted.
  StringId labels;
};

// Instead of a CPU's number: it is several samples, of several CPUs; it is not known.
inline constexpr uint32_t kSeveralCpus = UINT32_MAX;
inline constexpr uint32_t kUnknownCpu = UINT32_MAX - 1;

// One sample; of a long recording, several that are alike.
struct ProfileSample {
  int64_t time_ns = 0;  // since Profile::start_time_ns
  ThreadId thread;
  uint32_t cpu = kUnknownCpu;  // or kSeveralCpus, or a number
  StackId stack;  // the leaf's node; invalid for an empty stack
};

struct Profile {
  // strings[0] is the empty string. All are valid UTF-8 or arbitrary bytes of a hostile target:
  // exporters escape and scrub.
  std::vector<std::string> strings;
  std::vector<Function> functions;
  std::vector<ProfileImage> images;
  std::vector<Line> lines;
  std::vector<Location> locations;
  std::vector<StackNode> stacks;  // a caller's index is below that of its callees
  std::vector<Thread> threads;

  std::vector<ValueType> sample_types;  // the last one is the one to show
  std::vector<ProfileSample> samples;   // in time order
  std::vector<int64_t> values;  // sample_types.size() for each sample, in the samples' order

  ValueType period_type;
  int64_t period = 0;
  int64_t start_time_ns = 0;  // Unix time, UTC
  int64_t duration_ns = 0;
  std::string title;                  // "node app.js (pid 4711)"
  std::vector<std::string> comments;  // for people: command line, verdict
  bool show_lines = false;            // by line, not by function: see FunctionText
  Accounting accounting;
  std::vector<UnnamedFrames> unnamed;  // those in most samples first

  absl::string_view String(StringId id) const { return strings[id.value]; }
  std::span<const Line> Lines(const Location& location) const {
    return std::span(lines).subspan(location.first_line, location.line_count);
  }
  int64_t Value(size_t sample, size_t type) const {
    return values[sample * sample_types.size() + type];
  }
  bool empty() const { return samples.empty(); }
};

// A comparison: the second half of the sample types has the values that the first half had in
// another profile, the base; the first of that half has this name. Shares are
// compared, so the totals of the two need not be equal.
inline constexpr char kBaseType[] = "base";
// The first type of the second half; nullopt: not a comparison.
std::optional<size_t> BaseType(const Profile& profile);

// The type "samples", if in all samples the values of `type` are in one proportion to it: their
// shares are then the same, and a number of samples says how sure they are. nullopt: it is not
// there, or samples weigh differently.
std::optional<size_t> CountedType(const Profile& profile, size_t type);

// Name of the kMarker frame between what runs (above it) and those who await it (kAsync, below it).
inline constexpr char kAsyncSeparator[] = "--";

// Of values: a sum that stops at the largest number, or the smallest.
inline int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? INT64_MAX : INT64_MIN;
}

// The text of a function in pictures and folded stacks: `name script:line` for a script function
// and JIT code of known origin (the line of its definition, so that equal functions merge), the
// name alone for all others. With Profile::show_lines and a file and `line` known, `name file:line`
// for all. Raw: not escaped for any format.
std::string FunctionText(const Profile& profile, const Function& function, uint32_t line = 0);

}  // namespace jprof
