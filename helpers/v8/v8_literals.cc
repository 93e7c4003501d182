#include "helpers/v8/v8_literals.h"

#include <string.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace jprof::v8 {
namespace {

constexpr uint64_t kMaxSearchBytes = uint64_t{512} << 20;
constexpr size_t kReadBytes = size_t{256} << 10;
constexpr size_t kOverlapBytes = 64;  // longer than what is looked for
constexpr absl::string_view kBuiltinName("InterpreterEntryTrampoline\0", 27);
constexpr size_t kMaxVersionBytes = 40;
constexpr uint32_t kMinMajor = 7, kMaxMajor = 49;
constexpr uint32_t kMaxMinor = 9;
// Of releases; they count from one version to the next. "8.8.8.8" is the address of a name server.
constexpr uint32_t kMinBuild = 16;

struct Version {
  uint32_t parts[4];
  friend auto operator<=>(const Version&, const Version&) = default;
};

// "15.0.245.2" or "15.0.245.2-rusty", of a size that V8's versions have.
std::optional<Version> ParseVersion(absl::string_view text) {
  const std::vector<absl::string_view> halves = absl::StrSplit(text, absl::MaxSplits('-', 1));
  const std::vector<absl::string_view> parts = absl::StrSplit(halves[0], '.');
  if (parts.size() != 4) return std::nullopt;
  Version version;
  for (size_t i = 0; i < 4; ++i) {
    const bool is_number =
        parts[i].size() <= 4 && std::all_of(parts[i].begin(), parts[i].end(), absl::ascii_isdigit);
    if (!is_number || !absl::SimpleAtoi(parts[i], &version.parts[i])) return std::nullopt;
  }
  const auto& [major, minor, build, patch] = version.parts;
  const bool is_release =
      kMinMajor <= major && major <= kMaxMajor && minor <= kMaxMinor && build >= kMinBuild;
  return is_release ? std::optional(version) : std::nullopt;
}

// Adds the versions that are literals within `piece`.
void AddVersions(absl::string_view piece, absl::btree_set<Version>& versions) {
  for (size_t i = 0; i + 1 < piece.size(); ++i) {
    if (piece[i] != '\0' || !absl::ascii_isdigit(piece[i + 1])) continue;
    const absl::string_view text = piece.substr(i + 1, kMaxVersionBytes);
    const size_t end = text.find('\0');
    if (end == text.npos) continue;
    if (auto version = ParseVersion(text.substr(0, end))) versions.insert(*version);
  }
}

// Whether the builtin's name is a literal within `piece`. (Searched for with the zero before it, of
// which data is full, it would take ten times as long.)
bool HasBuiltinName(absl::string_view piece) {
  while (const void* found =
             ::memmem(piece.data(), piece.size(), kBuiltinName.data(), kBuiltinName.size())) {
    const size_t at = static_cast<size_t>(static_cast<const char*>(found) - piece.data());
    if (at > 0 && piece[at - 1] == '\0') return true;
    piece.remove_prefix(at + 1);
  }
  return false;
}

uint64_t CodeBytes(const ElfFile& image) {
  uint64_t bytes = 0;
  for (const ElfFile::LoadedSegment& segment : image.LoadedSegments()) {
    if (segment.executable) bytes += segment.file_size;
  }
  return bytes;
}

}  // namespace

void ForEachPieceOfData(const ElfFile& image, bool writable,
                        absl::FunctionRef<bool(ElfAddress, absl::string_view)> visit) {
  std::string bytes(kReadBytes + kOverlapBytes, '\0');
  uint64_t left = kMaxSearchBytes;
  for (const ElfFile::LoadedSegment& segment : image.LoadedSegments()) {
    // Constants may share a segment with code, then the section tells.
    if (segment.writable && !writable) continue;
    for (uint64_t at = 0; at < segment.file_size && left > 0;) {
      const ElfAddress address{segment.begin.value + at};
      if (segment.executable) {
        const auto code = image.ExecutableRange(address);
        if (code && code->end.value > address.value) {
          at = code->end.value - segment.begin.value;
          continue;
        }
      }
      const size_t size = std::min({uint64_t{bytes.size()}, segment.file_size - at, left});
      if (!image.ReadAt(address, std::as_writable_bytes(std::span(bytes).first(size)))) return;
      if (!visit(address, absl::string_view(bytes).substr(0, size))) return;
      left -= std::min<uint64_t>(left, kReadBytes);
      at += kReadBytes;
    }
  }
}

std::optional<V8Literals> FindV8Literals(const ElfFile& image) {
  if (CodeBytes(image) < kMinV8CodeBytes) return std::nullopt;
  bool is_v8 = false;
  ForEachPieceOfData(image, false, [&](ElfAddress, absl::string_view piece) {
    is_v8 = HasBuiltinName(piece);
    return !is_v8;
  });
  if (!is_v8) return std::nullopt;
  absl::btree_set<Version> versions;
  ForEachPieceOfData(image, false, [&](ElfAddress, absl::string_view piece) {
    AddVersions(piece, versions);
    return true;
  });
  if (versions.empty()) return std::nullopt;
  V8Literals result;
  if (versions.size() > 1) return result;
  const auto& parts = versions.begin()->parts;
  result.major = parts[0];
  result.minor = parts[1];
  result.version = absl::StrJoin(parts, ".");
  return result;
}

}  // namespace jprof::v8
