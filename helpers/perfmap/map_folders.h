// Where a process says that it writes its perf map. All runtimes have /tmp for it; V8 (since 12,
// Node 22) and .NET can be told otherwise. What a process calls itself, and what it is to have been
// started with, it can write over at any time: this says where to look, not what to believe.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace jprof {

// Longer ones cannot be opened.
inline constexpr size_t kMaxFolderBytes = 4095;

// By /proc/PID/cmdline, V8's --perf-basic-prof-path, also where Chromium's --js-flags or Deno's
// --v8-flags hand it on; by /proc/PID/environ, .NET's DOTNET_PerfMapJitDumpPath. As they are
// written there: those that are not absolute are the process's working directory's. Those given
// last come first.
std::vector<std::string> PerfMapFoldersOf(absl::string_view command_line,
                                          absl::string_view environment);

}  // namespace jprof
