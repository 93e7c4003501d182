// Any bytes as names, through every exporter: what comes out must be what its format allows.
//
// The input is names with a byte before each: how long it is, what kind of frame, whether it ends
// the stack.
#include <zlib.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "export/exporter.h"
#include "export/profile.pb.h"
#include "export/text.h"
#include "profiler/core/profile_builder.h"
#include "tests/export/xml_check.h"

namespace jprof {
namespace {

void Require(bool holds, absl::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "writer_fuzzer: %s\n", std::string(what).c_str());
  std::abort();
}

Profile ProfileOf(absl::string_view input) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1);
  StackId stack;
  const bool timed = input.size() % 2 == 1;
  absl::string_view last = "process";
  auto add_sample = [&] {
    std::array<int64_t, 1> one = {1};
    Tid tid = static_cast<Tid>(builder.accounting().taken % 5);
    // Every other input has times.
    const int64_t time_ns = timed ? static_cast<int64_t>(builder.accounting().taken) * 1000 + 1 : 0;
    const std::string label = absl::StrCat(last, "\t", last);
    builder.AddSample(time_ns, builder.AddThread(tid, tid, last, last, last, label), 0, stack, one);
    ++builder.accounting().taken;
    ++builder.accounting().kept;
    stack = StackId{};
  };
  while (!input.empty()) {
    uint8_t head = static_cast<uint8_t>(input[0]);
    absl::string_view name = input.substr(1, head & 15);
    input.remove_prefix(1 + name.size());
    FrameKind kind = static_cast<FrameKind>((head >> 4) % 9);
    Line line{builder.AddFunction(name, name, last, head, kind), 0, 0};
    stack = builder.AddStack(stack, builder.AddLocation(ImageId{}, 0, {&line, 1}));
    last = name;
    if (head >= 0xc0) add_sample();
  }
  add_sample();
  builder.SetTitle(last);
  builder.AddComment(last);
  absl::StatusOr<Profile> profile = std::move(builder).Build();
  Require(profile.ok(), "no profile");
  return *std::move(profile);
}

std::string Export(const Profile& profile, absl::string_view format) {
  StringSink sink;
  Require(FindFormatByName(format)->create()->Write(profile, sink).ok(), "export failed");
  return sink.text();
}

// One line for each stack, no more; the weights are all the samples.
void CheckFolded(const Profile& profile, const std::string& folded) {
  Require(ValidUtf8(folded, folded.size()) == folded, "folded: not UTF-8");
  uint64_t total = 0;
  std::string before;
  for (absl::string_view line : absl::StrSplit(folded, '\n', absl::SkipEmpty())) {
    Require(line.size() < 65'536, "folded: long line");
    Require(before < line, "folded: not sorted or not merged");
    before = std::string(line);
    size_t blank = line.rfind(' ');
    uint64_t weight = 0;
    Require(blank != absl::string_view::npos && blank > 0, "folded: no weight");
    Require(absl::SimpleAtoi(line.substr(blank + 1), &weight), "folded: weight is no number");
    total += weight;
    size_t frames = 0;
    for (absl::string_view frame : absl::StrSplit(line.substr(0, blank), ';')) {
      Require(!frame.empty(), "folded: empty frame");
      Require(frame != "-" && frame != "--", "folded: separator");
      ++frames;
    }
    Require(frames <= profile.stacks.size() + 1, "folded: forged frames");
  }
  Require(total == profile.samples.size(), "folded: samples lost");
}

void CheckPprof(const Profile& profile, const std::string& gzip) {
  std::string bytes(64 + profile.strings.size() * 64 + (profile.stacks.size() + 1) * 1024, '\0');
  z_stream stream = {};
  Require(inflateInit2(&stream, 15 + 16) == Z_OK, "zlib");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(gzip.data()));
  stream.avail_in = static_cast<uInt>(gzip.size());
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = static_cast<uInt>(bytes.size());
  int result = inflate(&stream, Z_FINISH);
  bytes.resize(stream.total_out);
  inflateEnd(&stream);
  Require(result == Z_STREAM_END, "pprof: gzip");
  // Parsing refuses strings that are not UTF-8.
  perftools::profiles::Profile message;
  Require(message.ParseFromString(bytes), "pprof: protobuf");
  Require(message.string_table(0).empty(), "pprof: string 0");
  int64_t total = 0;
  for (const auto& sample : message.sample()) total += sample.value(0);
  Require(total == static_cast<int64_t>(profile.samples.size()), "pprof: samples lost");
}

// No name becomes markup: between the head and the data are paragraphs, and text without '<'.
void CheckHtml(const std::string& html) {
  Require(ValidUtf8(html, html.size()) == html, "html: not UTF-8");
  absl::string_view rest(html);
  rest.remove_prefix(rest.find("<h1>") + 4);
  rest = rest.substr(0, rest.find("</div>\n</header>"));
  for (absl::string_view tag : {"</h1>", "<div id=\"verdict\">"}) {
    size_t at = rest.find('<');
    Require(absl::StartsWith(rest.substr(at), tag), "html: forged markup");
    rest.remove_prefix(at + tag.size());
  }
  for (size_t at; (at = rest.find('<')) != absl::string_view::npos; rest.remove_prefix(at + 1)) {
    Require(absl::StartsWith(rest.substr(at), "<p>") || absl::StartsWith(rest.substr(at), "</p>"),
            "html: forged markup");
  }
}

}  // namespace
}  // namespace jprof

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  jprof::Profile profile =
      jprof::ProfileOf(absl::string_view(reinterpret_cast<const char*>(data), size));
  std::string error = jprof::XmlError(jprof::Export(profile, "svg"));
  jprof::Require(error.empty(), error);
  jprof::CheckHtml(jprof::Export(profile, "html"));
  jprof::CheckFolded(profile, jprof::Export(profile, "folded"));
  jprof::CheckPprof(profile, jprof::Export(profile, "pprof"));
  for (const char* format : {"speedscope", "cpuprofile", "firefox"}) {
    const std::string json = jprof::Export(profile, format);
    jprof::Require(jprof::ValidUtf8(json, json.size()) == json, "json: not UTF-8");
  }
  jprof::Export(profile, "otlp");
  return 0;
}
