#include "helpers/perfmap/map_folders.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace jprof {
namespace {

constexpr absl::string_view kFlag = "perf-basic-prof-path";
constexpr absl::string_view kVariables[] = {"DOTNET_PerfMapJitDumpPath=",
                                            "COMPlus_PerfMapJitDumpPath="};

void Add(absl::string_view folder, std::vector<std::string>& folders) {
  while (folder.size() > 1 && folder.back() == '/') folder.remove_suffix(1);
  if (folder.empty() || folder.size() > kMaxFolderBytes) return;
  folders.emplace_back(folder);
}

// V8 has a flag begin with one dash or two, and takes '_' for '-'.
void AddFlag(absl::string_view word, std::vector<std::string>& folders) {
  if (!absl::ConsumePrefix(&word, "-")) return;
  absl::ConsumePrefix(&word, "-");
  const std::pair<absl::string_view, absl::string_view> flag =
      absl::StrSplit(word, absl::MaxSplits('=', 1));
  if (flag.first.size() != kFlag.size()) return;
  if (absl::StrReplaceAll(flag.first, {{"_", "-"}}) == kFlag) Add(flag.second, folders);
}

}  // namespace

std::vector<std::string> PerfMapFoldersOf(absl::string_view command_line,
                                          absl::string_view environment) {
  std::vector<std::string> folders;
  for (absl::string_view variable : absl::StrSplit(environment, '\0')) {
    for (absl::string_view name : kVariables) {
      if (absl::ConsumePrefix(&variable, name)) Add(variable, folders);
    }
  }
  for (absl::string_view argument : absl::StrSplit(command_line, '\0')) {
    const bool of_chromium = absl::ConsumePrefix(&argument, "--js-flags=");
    if (of_chromium || absl::ConsumePrefix(&argument, "--v8-flags=")) {
      for (absl::string_view word : absl::StrSplit(argument, of_chromium ? ' ' : ',')) {
        AddFlag(word, folders);
      }
    } else {
      AddFlag(argument, folders);
    }
  }
  std::reverse(folders.begin(), folders.end());
  return folders;
}

}  // namespace jprof
