// Writes a made-up profile as a picture, for picture.mjs:
//
//   picture_profile FORMAT FILE SAMPLES STACKS DEPTH
//
// SAMPLES samples of STACKS different stacks, DEPTH frames deep, of 20,000 functions; 16 threads,
// 99 Hz each. Prints the CPU time that writing took, in seconds.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "export/exporter.h"
#include "profiler/core/profile_builder.h"

namespace jprof {
namespace {

Profile Make(int samples, int stacks, int depth) {
  constexpr int kFunctions = 20'000;
  constexpr int kThreads = 16;
  constexpr int64_t kPeriodNs = 10'101'010;
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, kPeriodNs);
  uint64_t state = 1;
  auto random = [&state](uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>((state >> 33) % below);
  };
  std::vector<LocationId> locations;
  for (int i = 0; i < kFunctions; ++i) {
    const std::string name = absl::StrCat("handler", i);
    const std::string file =
        absl::StrCat("/srv/app/node_modules/package", i % 300, "/lib/file", i % 2000, ".js");
    Line line{builder.AddFunction(name, name, file, 1 + i % 900, FrameKind::kScript),
              static_cast<uint32_t>(2 + i % 900), 0};
    locations.push_back(builder.AddLocation(ImageId{}, 0, {&line, 1}));
  }
  std::vector<ThreadId> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.push_back(builder.AddThread(4711, 4711 + i, "node", absl::StrCat("worker", i)));
  }
  std::vector<StackId> all;
  for (int i = 0; i < stacks; ++i) {
    StackId stack;
    // Callers repeat, as they do; the leaf makes the stack one of its own.
    size_t at = 0;
    for (int d = 0; d < depth; ++d) {
      at = d + 1 < depth ? at * 7 + random(d < 6 ? 4 : 2) : static_cast<size_t>(i);
      stack = builder.AddStack(stack, locations[(at * 31 + static_cast<size_t>(d)) % kFunctions]);
    }
    all.push_back(stack);
  }
  const std::vector<int64_t> one = {1};
  for (int i = 0; i < samples; ++i) {
    const StackId stack = all[samples == stacks ? static_cast<size_t>(i) : random(all.size())];
    builder.AddSample(int64_t{i} * kPeriodNs / kThreads + static_cast<int64_t>(random(100'000)),
                      threads[random(kThreads)], 0, stack, one);
  }
  builder.SetTimes(1'700'000'000'000'000'000, int64_t{samples} * kPeriodNs / kThreads);
  builder.SetTitle("made up");
  builder.AddComment(absl::StrCat(samples, " samples, 0 lost"));
  builder.accounting().taken = builder.accounting().kept = static_cast<uint64_t>(samples);
  return *std::move(builder).Build();
}

}  // namespace
}  // namespace jprof

int main(int argc, char** argv) {
  const jprof::ExportFormat* format = argc == 6 ? jprof::FindFormatByName(argv[1]) : nullptr;
  if (format == nullptr) {
    std::fprintf(stderr, "usage: picture_profile FORMAT FILE SAMPLES STACKS DEPTH\n");
    return 2;
  }
  const jprof::Profile profile =
      jprof::Make(std::atoi(argv[3]), std::atoi(argv[4]), std::atoi(argv[5]));
  jprof::StringSink sink;
  const std::clock_t begin = std::clock();
  if (!format->create()->Write(profile, sink).ok()) return 1;
  const double took = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  std::ofstream(argv[2], std::ios::binary) << sink.text();
  std::printf("%.2f\n", took);
  return 0;
}
