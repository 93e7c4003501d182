#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "export/cpuprofile.h"
#include "export/exporter.h"
#include "export/firefox.h"
#include "export/folded.h"
#include "export/html.h"
#include "export/otlp.h"
#include "export/pprof.h"
#include "export/speedscope.h"
#include "export/svg.h"

namespace jprof {
namespace {

constexpr absl::string_view kSvgSuffixes[] = {".svg"};
constexpr absl::string_view kHtmlSuffixes[] = {".html", ".htm"};
constexpr absl::string_view kFoldedSuffixes[] = {".folded", ".collapsed", ".collapsedstack.txt",
                                                 ".txt"};
constexpr absl::string_view kPprofSuffixes[] = {".pb.gz", ".pprof"};
constexpr absl::string_view kSpeedscopeSuffixes[] = {".speedscope.json"};
constexpr absl::string_view kCpuprofileSuffixes[] = {".cpuprofile"};
constexpr absl::string_view kFirefoxSuffixes[] = {".firefox.json"};
constexpr absl::string_view kOtlpSuffixes[] = {".otlp"};

// The first is the default of a redirected stdout.
constexpr ExportFormat kFormats[] = {
    {"svg", kSvgSuffixes, "interactive flame graph, one file for any browser", false,
     MakeSvgExporter},
    {"html", kHtmlSuffixes, "flame graph, heat map, time order, functions; one file for a browser",
     false, MakeHtmlExporter},
    {"folded", kFoldedSuffixes, "folded stacks, one line of text for each", false,
     MakeFoldedExporter},
    {"pprof", kPprofSuffixes, "profile.proto, gzip, for pprof and most servers", true,
     MakePprofExporter},
    {"speedscope", kSpeedscopeSuffixes, "for speedscope.app: threads, in the order of time", false,
     MakeSpeedscopeExporter},
    {"cpuprofile", kCpuprofileSuffixes, "for Chrome's DevTools and VS Code", false,
     MakeCpuprofileExporter},
    {"firefox", kFirefoxSuffixes, "for profiler.firefox.com", false, MakeFirefoxExporter},
    {"otlp", kOtlpSuffixes, "OpenTelemetry profiles (ProfilesData), plain protobuf", true,
     MakeOtlpExporter},
};

}  // namespace

std::span<const ExportFormat> ExportFormats() { return kFormats; }

const ExportFormat* FindFormatByName(absl::string_view name) {
  for (const ExportFormat& format : kFormats) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

const ExportFormat* FindFormatByPath(absl::string_view path) {
  for (const ExportFormat& format : kFormats) {
    for (absl::string_view suffix : format.suffixes) {
      if (absl::EndsWithIgnoreCase(path, suffix)) return &format;
    }
  }
  return nullptr;
}

}  // namespace jprof
