// What `jprof stacks` prints: the threads of one process or core, each with its stack, as text for
// people or as JSON. Pure: from values to text.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "profiler/core/frame.h"
#include "profiler/core/profile.h"
#include "profiler/stop/system_call.h"

namespace jprof {

struct StackFrame {
  StackId stack;  // that ends in it
  const Function* function;
  const ProfileImage* image;  // nullptr: a marker
  uint32_t line;
  uint32_t column;
  uint32_t level;  // how deep it is inlined in the function that the code belongs to; 0: it is that

  bool inlined() const { return level > 0; }
};
// Leaf first. Valid as long as the profile.
std::vector<StackFrame> FramesOf(const Profile& profile, StackId stack);
// "file:line:column" of what executes, of the definition where only that is known; "" for neither.
std::string PlaceText(const Profile& profile, const StackFrame& frame);
// Name and place, or the file where there is none; shown as export/text.h has it. `arguments` is
// put behind the name.
std::string FrameText(const Profile& profile, const StackFrame& frame,
                      absl::string_view arguments = "");

// One object of JSON; nullptr: the values of its parameters are not known.
std::string FrameJson(const Profile& profile, const StackFrame& frame,
                      const std::vector<FrameArgument>* arguments = nullptr);

// A string of JSON, with its quotation marks.
std::string JsonText(absl::string_view raw);

struct ReportedThread {
  Tid tid = 0;
  std::string name;
  char state = '?';                // as in /proc/TID/stat; '?': not known
  std::optional<uint64_t> cpu_ns;  // on a CPU, since its start
  uint64_t pause_ns = 0;           // it stood still for us
  std::optional<SystemCall> call;  // that it is in
  std::string waits_in;            // the same, with its arguments, for people
  std::string kernel_function;     // that it sleeps in
  std::string trouble;             // why there is no stack, or not all of it
  StackId stack;                   // in the profile; invalid: none
  // The present values of parameters, by the index of the stack that ends in the function, and its
  // StackFrame::level.
  std::map<std::pair<uint32_t, uint32_t>, std::vector<FrameArgument>> arguments;
};

struct StackReport {
  std::string title;  // "node (pid 4711)"
  std::vector<ReportedThread> threads;
  bool has_arguments = false;      // they were asked for
  std::vector<std::string> notes;  // for people, below
};

struct StackReportOptions {
  bool one_by_one = false;  // equal stacks are not put together
  std::string filter;       // an extended regular expression; "": all. Compiles.
};

// "" or what is wrong with a filter.
std::string CheckFilter(const std::string& filter);

// Groups by stack, largest first. Names are shown as export/text.h has it.
std::string StackReportText(const StackReport& report, const Profile& profile,
                            const StackReportOptions& options);

// One object: {"title", "threads": [{"tid", "name", "state", ..., "frames": [...]}]}, frames leaf
// first.
std::string StackReportJson(const StackReport& report, const Profile& profile,
                            const StackReportOptions& options);

}  // namespace jprof
