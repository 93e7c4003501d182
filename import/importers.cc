#include <string>

#include "absl/strings/str_cat.h"
#include "import/importer.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// For formats that have names for all.
template <absl::StatusOr<Imported> (*kRead)(Input& input)>
absl::StatusOr<Imported> Read(Input& input, CodeNames* names) {
  static_cast<void>(names);
  return kRead(input);
}

// Those with a mark come first, those that are recognised by their shape last.
constexpr ImportFormat kFormats[] = {
    {"perf.data", "what `perf record` writes; named by the files of this host, by build ID",
     LooksPerfData, ReadPerfData},
    {"speedscope", "speedscope's own format", LooksSpeedscope, Read<ReadSpeedscope>},
    {"cpuprofile", "what node --cpu-prof and Chrome's DevTools write", LooksCpuprofile,
     Read<ReadCpuprofile>},
    {"perf script", "the text that `perf script` prints", LooksPerfScript, Read<ReadPerfScript>},
    {"folded", "folded stacks, one line of text for each", LooksFolded, Read<ReadFolded>},
    {"pprof", "profile.proto, gzip or plain", LooksPprof, Read<ReadPprof>},
};

}  // namespace

std::span<const ImportFormat> ImportFormats() { return kFormats; }

const ImportFormat* FindImportFormat(absl::string_view head) {
  for (const ImportFormat& format : kFormats) {
    if (format.recognises(head)) return &format;
  }
  return nullptr;
}

absl::StatusOr<Imported> ReadProfile(Input& input, CodeNames* names) {
  JPROF_ASSIGN_OR_RETURN(const absl::string_view head, input.Head());
  if (head.empty()) return absl::InvalidArgumentError("it is empty");
  const ImportFormat* format = FindImportFormat(head);
  if (format == nullptr) {
    std::string known;
    for (const ImportFormat& f : kFormats) {
      absl::StrAppend(&known, known.empty() ? "" : ", ", f.name);
    }
    return absl::InvalidArgumentError(absl::StrCat("it is of none of the formats ", known));
  }
  absl::StatusOr<Imported> read = format->read(input, names);
  if (!read.ok()) return Annotate(read.status(), format->name);
  if (read->profile.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(format->name, ": there is no sample in it"));
  }
  return read;
}

}  // namespace jprof
