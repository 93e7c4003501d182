#include "profiler/core/container.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace jprof {

bool IsHexText(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
  });
}

namespace {

// The id in the name of a group's folder: "<id>", "docker-<id>.scope", "cri-containerd-<id>.scope";
// "" for none.
absl::string_view IdInName(absl::string_view name) {
  name = absl::StripSuffix(name, ".scope");
  if (absl::StrContains(name, "conmon") || name.size() < kContainerIdDigits) return "";
  const absl::string_view id = name.substr(name.size() - kContainerIdDigits);
  const absl::string_view before = name.substr(0, name.size() - kContainerIdDigits);
  if (!IsHexText(id) || (!before.empty() && before.back() != '-' && before.back() != ':'))
    return "";
  return id;
}

}  // namespace

absl::string_view ContainerId(absl::string_view cgroup) {
  std::vector<absl::string_view> names = absl::StrSplit(cgroup, '/');
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (absl::string_view id = IdInName(*name); !id.empty()) return id;
  }
  return "";
}

}  // namespace jprof
