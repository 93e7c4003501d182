// What goes through a format and comes back says the same, whatever it is: by random profiles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "profiler/core/profile_builder.h"
#include "tests/import/dump.h"
#include "tests/import/read.h"

namespace jprof {
namespace {

class RandomProfile {
 public:
  explicit RandomProfile(uint32_t seed) : random_(seed) {}

  // `uneven`: samples weigh differently, and have times.
  Profile Make(bool uneven = false) {
    const bool in_time = Below(2) == 0 || uneven;
    ProfileBuilder builder({{"samples", "count"}, {"cpu", "nanoseconds"}}, {"cpu", "nanoseconds"},
                           10'000);
    builder.SetTitle(Below(3) == 0 ? "" : Name());
    for (uint32_t i = Below(3); i > 0; --i) builder.AddComment(Name());
    builder.SetTimes(in_time ? 1'700'000'000'000'000'000 : 0, 5'000'000);
    builder.ShowLines(Below(2) == 0);
    const uint32_t samples = 1 + Below(30);
    ThreadId thread;
    StackId stack;
    for (uint32_t i = 0; i < samples; ++i) {
      if (i == 0 || Below(3) > 0) {
        thread = AddThread(builder);
        stack = AddStack(builder);
      }
      const std::vector<int64_t> values = {uneven ? 1 + Below(3) : 1,
                                           uneven ? int64_t{Below(20'000)} - 1000 : 10'000};
      builder.AddSample(in_time ? i * 1000 + 1 : 0, thread, in_time ? RandomCpu() : kUnknownCpu,
                        stack, values);
    }
    builder.accounting().taken = builder.accounting().kept = samples;
    absl::StatusOr<Profile> profile = std::move(builder).Build();
    EXPECT_TRUE(profile.ok()) << profile.status();
    return *std::move(profile);
  }

 private:
  uint32_t Below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }

  uint32_t RandomCpu() {
    constexpr uint32_t kCpus[] = {0, 1, 255, kSeveralCpus, kUnknownCpu};
    return kCpus[Below(std::size(kCpus))];
  }

  std::string Name() {
    constexpr const char* kNames[] = {"main",   "a;b",       "std::map<int, int>::at(int)",
                                      "x y 12", "caf\u00e9", "<b>&\"'",
                                      "--",     "f_[k]",     "[no stack",
                                      "\u4e16"};
    return kNames[Below(std::size(kNames))];
  }

  ThreadId AddThread(ProfileBuilder& builder) {
    const auto pid = static_cast<Pid>(1 + Below(2));
    return builder.AddThread(pid, pid + static_cast<Tid>(Below(2)), Name(), Name(),
                             Below(2) == 0 ? "" : "/user.slice",
                             Below(2) == 0 ? "" : "bytes\t\t4096\tbytes\nroute\t/api <1>");
  }

  StackId AddStack(ProfileBuilder& builder) {
    StackId stack;
    for (uint32_t depth = Below(6); depth > 0; --depth) {
      const uint64_t base = 0x1000 * (1 + Below(3));
      const ImageId image = Below(3) == 0 ? ImageId{}
                                          : builder.AddImage(absl::StrCat("/lib/", base), "00ff",
                                                             base, base + 0x1000, 0x40);
      std::vector<Line> lines;
      for (uint32_t i = 1 + Below(3); i > 0; --i) {
        const auto kind = static_cast<FrameKind>(Below(10));
        const bool is_script = IsScript(kind) || kind == FrameKind::kAsync;
        const char* file = Below(2) == 0 ? "" : is_script ? "/src/a.js" : "/src/a.cc";
        lines.push_back({builder.AddFunction(Name(), Name(), file, Below(100), kind), Below(1000),
                         Below(100)});
      }
      const uint64_t address = image.valid() ? base + Below(0x1000) : 0;
      stack = builder.AddStack(stack, builder.AddLocation(image, address, lines));
    }
    return stack;
  }

  std::mt19937 random_;
};

// Equal samples may come in another order where they have no time.
std::vector<std::string> SortedDump(const Profile& profile) {
  std::vector<std::string> lines =
      absl::StrSplit(absl::StrReplaceAll(Dump(profile), {{"\n ", "\v"}}), '\n');
  std::sort(lines.begin(), lines.end());
  return lines;
}

// Samples without times are summed by stack and thread; made to be compared.
Profile Summed(const Profile& profile) { return Read(Write(profile, "pprof")); }

TEST(RoundTripTest, PprofLosesNothing) {
  for (uint32_t seed = 1; seed <= 120; ++seed) {
    const Profile profile = RandomProfile(seed).Make(seed % 2 == 0);
    const Profile back = Read(Write(profile, "pprof"));
    if (profile.start_time_ns != 0) {
      ASSERT_EQ(Dump(back), Dump(profile)) << seed;
      continue;
    }
    ASSERT_EQ(SortedDump(Summed(back)), SortedDump(back)) << seed;
    ASSERT_EQ(Write(back, "folded"), Write(profile, "folded")) << seed;
  }
}

TEST(RoundTripTest, FoldedLosesNoNameAndNoWeight) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    const std::string folded = Write(RandomProfile(seed).Make(), "folded");
    ASSERT_EQ(Write(Read(folded), "folded"), folded) << seed;
  }
}

// What speedscope's format and .cpuprofile hold of a profile, neither kinds nor images: how many
// samples there are of each stack of functions, files and lines. `threads`: the outermost frame is
// one. A file without a line is taken for an image.
std::map<std::string, int64_t> Stacks(const Profile& p, bool threads = false) {
  std::map<std::string, int64_t> stacks;
  for (size_t i = 0; i < p.samples.size(); ++i) {
    std::vector<std::string> frames;
    for (StackId n = p.samples[i].stack; n.valid(); n = p.stacks[n.value].caller) {
      for (const Line& line : p.Lines(p.locations[p.stacks[n.value].location.value])) {
        const Function& f = p.functions[line.function.value];
        const uint32_t number = p.show_lines && line.line != 0 ? line.line : f.start_line;
        const bool has_place = number != 0 && !p.String(f.file).empty();
        frames.push_back(absl::StrCat(
            p.String(f.name), " ", has_place ? absl::StrCat(p.String(f.file), ":", number) : ""));
      }
    }
    if (threads && !frames.empty()) frames.pop_back();
    if (!frames.empty()) stacks[absl::StrJoin(frames, "\n")] += p.Value(i, 0);
  }
  return stacks;
}

TEST(RoundTripTest, JsonFormatsLoseNoFunctionNoSampleAndNoComment) {
  int compared = 0;
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    const Profile profile = RandomProfile(seed).Make();
    const std::map<std::string, int64_t> stacks = Stacks(profile);
    if (stacks.empty()) continue;
    ++compared;
    const Profile speedscope = Read(Write(profile, "speedscope"));
    ASSERT_EQ(speedscope.comments, profile.comments) << seed;
    ASSERT_EQ(Stacks(speedscope), stacks) << seed;
    const Profile cpuprofile = Read(Write(profile, "cpuprofile"));
    ASSERT_EQ(cpuprofile.comments, profile.comments) << seed;
    if (profile.show_lines) continue;  // its lines are counted beside the functions, and not read
    std::map<std::string, int64_t> back = Stacks(cpuprofile, profile.threads.size() > 1);
    back.erase("(program) ");  // of samples without a stack
    ASSERT_EQ(back, stacks) << seed;
  }
  EXPECT_GT(compared, 50);
}

// "name (1,234 samples, 5.67%)" of each frame of a picture: how often each is there.
std::map<std::string, int> Titles(const std::string& svg) {
  std::map<std::string, int> titles;
  for (absl::string_view part : absl::StrSplit(svg, "<title>")) {
    const absl::string_view title = part.substr(0, part.find("</title>"));
    const size_t unit = title.find(" samples, ");
    if (unit == absl::string_view::npos) continue;
    ++titles[absl::StrReplaceAll(title.substr(0, unit), {{",", ""}})];
  }
  return titles;
}

TEST(RoundTripTest, FoldedStacksBecomeAPictureOfTheirNumbers) {
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    std::mt19937 random(seed);
    std::string folded;
    int64_t total = 0;
    std::map<std::string, int64_t> expected;  // by path
    for (uint32_t line = 0; line < 20; ++line) {
      std::string path = absl::StrCat("p", random() % 2);
      const auto weight = static_cast<int64_t>(1000 + random() % 100'000);
      expected[path] += weight;
      for (uint32_t depth = random() % 5; depth > 0; --depth) {
        absl::StrAppend(&path, ";f", random() % 3);
        expected[path] += weight;
      }
      total += weight;
      absl::StrAppend(&folded, path, " ", weight, "\n");
    }
    std::map<std::string, int> titles = {{absl::StrCat("all (", total), 1}};
    for (const auto& [path, weight] : expected) {
      ++titles[absl::StrCat(path.substr(path.rfind(';') + 1), " (", weight)];
    }
    ASSERT_EQ(Titles(Write(Read(folded), "svg")), titles) << seed << "\n" << folded;
  }
}

}  // namespace
}  // namespace jprof
