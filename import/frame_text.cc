#include "import/frame_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace jprof {
namespace {

// "/srv/app.js", "node:fs", "file:///srv/app.mjs".
bool IsPlace(absl::string_view text) {
  if (text.empty()) return false;
  if (text[0] == '/') return true;
  size_t end = 0;
  while (end < text.size() && absl::ascii_islower(static_cast<unsigned char>(text[end]))) ++end;
  return end > 0 && end + 1 < text.size() && text[end] == ':' &&
         !absl::ascii_isdigit(static_cast<unsigned char>(text[end + 1]));
}

}  // namespace

FrameText SplitPlace(absl::string_view text) {
  const FrameText whole{.name = text};
  const size_t colon = text.rfind(':');
  uint32_t line = 0;
  if (colon == absl::string_view::npos || colon + 1 == text.size() || text[colon + 1] == '0' ||
      text.find_first_not_of("0123456789", colon + 1) != absl::string_view::npos ||
      !absl::SimpleAtoi(text.substr(colon + 1), &line)) {
    return whole;
  }
  // The first blank before a place: a path may have blanks in it.
  for (size_t blank = text.find(' '); blank != absl::string_view::npos && blank < colon;
       blank = text.find(' ', blank + 1)) {
    const absl::string_view place = text.substr(blank + 1, colon - blank - 1);
    if (blank > 0 && IsPlace(place)) {
      return {text.substr(0, blank), place, line, FrameKind::kScript};
    }
  }
  return whole;
}

FrameText SplitJitName(absl::string_view text) {
  constexpr absl::string_view kAnonymous = "(anonymous)";
  const FrameText whole{.name = text, .kind = FrameKind::kJit};
  if (!absl::ConsumePrefix(&text, "JS:") && !absl::ConsumePrefix(&text, "LazyCompile:") &&
      !absl::ConsumePrefix(&text, "Function:") && !absl::ConsumePrefix(&text, "Eval:")) {
    return whole;
  }
  if (!text.empty() && absl::StrContains("~^+*", text.substr(0, 1))) text.remove_prefix(1);
  // With the character before it: the name may be empty.
  FrameText split = SplitPlace(whole.name.substr(whole.name.size() - text.size() - 1));
  if (split.kind != FrameKind::kScript) return whole;
  split.name.remove_prefix(1);
  // The last number was the column if there is another one before it.
  const size_t colon = split.file.rfind(':');
  uint32_t line = 0;
  if (colon != absl::string_view::npos && colon > 0 &&
      absl::SimpleAtoi(split.file.substr(colon + 1), &line) && line > 0) {
    split.file = split.file.substr(0, colon);
    split.start_line = line;
  }
  if (split.name.empty()) split.name = kAnonymous;
  return split;
}

FrameKind KindOfName(absl::string_view name) {
  if (absl::StartsWith(name, "[unknown]")) return FrameKind::kUnknown;
  if (name == "--" || name == "[truncated]") return FrameKind::kMarker;
  return FrameKind::kNative;
}

std::string UnknownName(absl::string_view path, uint64_t offset) {
  constexpr size_t kMaxFileName = 255;  // the kernel's limit; each address repeats it
  return absl::StrCat("[unknown] ", path.substr(path.rfind('/') + 1).substr(0, kMaxFileName),
                      path.empty() ? "" : "+", "0x", absl::Hex(offset));
}

bool IsScriptFile(absl::string_view file) {
  if (absl::StartsWith(file, "node:")) return true;
  for (absl::string_view suffix : {".js", ".mjs", ".cjs", ".ts", ".mts", ".jsx", ".tsx"}) {
    if (absl::EndsWith(file, suffix)) return true;
  }
  return false;
}

absl::Status CheckRoom(const ProfileBuilder& builder) {
  const Profile& p = builder.profile();
  if (p.stacks.size() < kMaxStackNodes && p.samples.size() < kMaxSamples &&
      p.functions.size() < kMaxFunctions && p.locations.size() < kMaxFunctions) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      "there are more stacks, functions or samples than jprof holds");
}

absl::Status TableBudget::status() const {
  if (left_ > 0) return absl::OkStatus();
  return absl::ResourceExhaustedError("its tables are larger than what jprof holds");
}

StackId AddTruncated(ProfileBuilder& builder) {
  constexpr absl::string_view kName = "[truncated]";
  const Line lines[] = {{builder.AddFunction(kName, kName, "", 0, FrameKind::kMarker)}};
  return builder.AddStack(StackId{}, builder.AddLocation(ImageId{}, 0, lines));
}

StackId AddPath(ProfileBuilder& builder, std::span<const LocationId> path, uint64_t& truncated) {
  StackId stack;
  if (path.size() > kMaxStackDepth) {
    path = path.first(kMaxStackDepth);
    stack = AddTruncated(builder);
    ++truncated;
  }
  for (size_t i = path.size(); i-- > 0;) stack = builder.AddStack(stack, path[i]);
  return stack;
}

void NoteTruncated(absl::string_view format, uint64_t stacks, std::vector<std::string>& notes) {
  if (stacks == 0) return;
  notes.push_back(absl::StrCat(format, ": ", stacks, " samples of stacks deeper than ",
                               kMaxStackDepth, " frames, the rest is [truncated]"));
}

void AddSample(ProfileBuilder& builder, int64_t time_ns, ThreadId thread, uint32_t cpu,
               StackId stack, std::span<const int64_t> values) {
  builder.AddSample(time_ns, thread, cpu, stack, values);
  ++builder.accounting().taken;
  ++builder.accounting().kept;
}

}  // namespace jprof
