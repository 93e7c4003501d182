#include "profiler/cli/doctor.h"

#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

// Takes every program (not its libraries) for a runtime.
class AnyRuntime : public Runtime {
 public:
  absl::string_view name() const override { return "any"; }
  absl::StatusOr<std::optional<RuntimeImage>> Probe(const ElfFile& file) const override {
    bool found = false;
    auto status = file.ForEachSymbol(ElfFile::Table::kSymtab, [&](const ElfFile::Symbol& s) {
      found = s.name == "main";
      return !found;
    });
    if (!found) return std::optional<RuntimeImage>();
    if (!error.empty()) return absl::FailedPreconditionError(error);
    RuntimeImage image;
    image.version = "Any 1.2";
    image.code = {{FileOffset{0x1000}, FileOffset{0x2000}}};
    image.is_partial = partial;
    image.facts = {{"first", 24, LayoutFact::Source::kSymbol},
                   {"second", -8, LayoutFact::Source::kDerived},
                   {"third", 7, LayoutFact::Source::kTable}};
    return std::optional<RuntimeImage>(std::move(image));
  }
  std::unique_ptr<RuntimeInstance> Attach(const RuntimeImage&, const MemoryReader&) const override {
    return nullptr;
  }
  std::optional<FrameName> DescribeBuiltin(absl::string_view) const override {
    return std::nullopt;
  }
  Fit Check(const RuntimeImage&, const MemoryReader&, AddressRange stack) const override {
    const int local = 0;
    EXPECT_TRUE(stack.Contains({reinterpret_cast<uint64_t>(&local)}));
    return fit;
  }

  Fit fit = Fit::kFits;
  bool partial = false;
  std::string error;
};

class DoctorTest : public testing::Test {
 protected:
  std::string Explain() {
    auto text = ExplainProcess(::getpid(), {.runtimes = {&runtime_}});
    EXPECT_TRUE(text.ok()) << text.status();
    return text.ok() ? *text : "";
  }
  AnyRuntime runtime_;
};

TEST_F(DoctorTest, EachNumberIsPrintedWithItsSource) {
  const std::string text = Explain();
  EXPECT_THAT(text, HasSubstr("/cli_test\n  Any 1.2\n  verified: "));
  EXPECT_THAT(text, HasSubstr("file offsets 0x1000 to 0x2000\n"));
  EXPECT_THAT(text, testing::ContainsRegex("first +24  symbol\n"));
  EXPECT_THAT(text, testing::ContainsRegex("second +-8  derived\n"));
  EXPECT_THAT(text, testing::ContainsRegex("third +7  table\n"));
}

TEST_F(DoctorTest, WhatTheLookAtTheProcessSawIsPrinted) {
  runtime_.fit = Fit::kUnseen;
  EXPECT_THAT(Explain(), HasSubstr("\n  partly verified: no function"));
  runtime_.fit = Fit::kDoesNotFit;
  EXPECT_THAT(Explain(), HasSubstr("\n  unknown: objects of the process contradict the layout"));
  runtime_.fit = Fit::kFits;
  runtime_.partial = true;
  EXPECT_THAT(Explain(), HasSubstr("\n  partly verified: functions of the process fit"));
}

TEST_F(DoctorTest, VersionThatCannotBeReadIsPrinted) {
  runtime_.error = "Any 9 has no layout in jprof";
  EXPECT_THAT(Explain(), HasSubstr("\n  unknown: Any 9 has no layout in jprof; perf maps"));
}

TEST(DoctorTextTest, ProcessWithoutARuntimeIsSaidToHaveNone) {
  auto text = ExplainProcess(::getpid(), {});
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, HasSubstr("no runtime that jprof knows\n"));
}

TEST(DoctorTextTest, ProcessThatIsNotThereIsAnError) {
  const absl::Status status = ExplainProcess(INT32_MAX, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "there is no process 2147483647");
  EXPECT_EQ(DoctorMain({"--pid", "2147483647"}, {}), 1);
}

TEST(DoctorTextTest, UsageIsOneProcess) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"--pid"}, {"--pid", "x"}, {"--pid", "0"}, {"1"}, {"-p", "1", "2"}}) {
    EXPECT_EQ(DoctorMain(arguments, {}), 2);
  }
}

}  // namespace
}  // namespace jprof
