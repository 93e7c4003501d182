#include "profiler/cli/explain.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "export/text.h"

namespace jprof {
namespace {

constexpr size_t kMaxRows = 15;
constexpr size_t kMaxWhatBytes = 48;
constexpr size_t kMaxWhyBytes = 320;

std::string Percent(uint64_t part, uint64_t whole) {
  const double share =
      static_cast<double>(part) / static_cast<double>(std::max<uint64_t>(whole, 1));
  return absl::StrFormat("%5.1f %%", 100 * share);
}

}  // namespace

std::vector<std::string> ExplainUnnamed(const Profile& profile) {
  if (profile.unnamed.empty()) return {"every frame has a name, and every stack is whole"};
  const size_t rows = std::min(profile.unnamed.size(), kMaxRows);
  size_t width = 0;
  for (size_t i = 0; i < rows; ++i) {
    width = std::max(width, ShownText(profile.unnamed[i].what, kMaxWhatBytes).size());
  }
  std::vector<std::string> lines = {"samples   frames  without a name, and why"};
  for (size_t i = 0; i < rows; ++i) {
    const UnnamedFrames& u = profile.unnamed[i];
    std::string what = ShownText(u.what, kMaxWhatBytes);
    what.resize(width, ' ');
    lines.push_back(absl::StrCat(
        Percent(u.samples, profile.accounting.kept), "  ",
        u.frames == 0 ? std::string(7, ' ') : Percent(u.frames, profile.accounting.frames), "  ",
        what, "  ", ShownText(u.why, kMaxWhyBytes)));
  }
  if (profile.unnamed.size() > rows) {
    lines.push_back(absl::StrCat("and ", profile.unnamed.size() - rows, " more"));
  }
  return lines;
}

}  // namespace jprof
