// The command line: what is understood, and each message about what is not.
#include "profiler/cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "export/exporter.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<RecordOptions> Parse(absl::string_view line) {
  std::vector<std::string> arguments = absl::StrSplit(line, ' ', absl::SkipEmpty());
  return ParseRecordOptions(arguments);
}

// What is wrong with a command line; "" when nothing is.
std::string Complaint(const std::vector<std::string>& arguments) {
  absl::Status status = ParseRecordOptions(arguments).status();
  if (status.ok()) return "";
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

std::string Complaint(absl::string_view line) {
  return Complaint(std::vector<std::string>(absl::StrSplit(line, ' ', absl::SkipEmpty())));
}

TEST(OptionsTest, DefaultsAre99HzUntilInterruptedToStandardOutput) {
  auto options = Parse("-p 42");
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_THAT(options->pids, ElementsAre(42));
  EXPECT_EQ(options->tid, 0);
  EXPECT_FALSE(options->all);
  EXPECT_EQ(options->frequency, 99);
  EXPECT_EQ(options->duration_ns, 0);
  EXPECT_EQ(options->output, "");
  EXPECT_EQ(options->format, "");
  EXPECT_TRUE(options->use_helpers);
}

TEST(OptionsTest, EachOptionIsUnderstoodInEachSpelling) {
  for (absl::string_view line :
       {"-p 42 -F 997 -d 5 -o out.svg", "-p42 -F997 -d5 -oout.svg",
        "--pid 42 --frequency 997 --duration 5 --output out.svg",
        "--pid=42 --frequency=997 --duration=5 --output=out.svg"}) {
    auto options = Parse(line);
    ASSERT_TRUE(options.ok()) << line << ": " << options.status();
    EXPECT_THAT(options->pids, ElementsAre(42)) << line;
    EXPECT_EQ(options->frequency, 997) << line;
    EXPECT_EQ(options->duration_ns, 5'000'000'000) << line;
    EXPECT_EQ(options->output, "out.svg") << line;
  }
  EXPECT_EQ(Parse("-t 7")->tid, 7);
  EXPECT_EQ(Parse("--tid=7")->tid, 7);
  EXPECT_TRUE(Parse("-a")->all);
  EXPECT_TRUE(Parse("--all")->all);
  EXPECT_FALSE(Parse("-a --no-helpers")->use_helpers);
  EXPECT_EQ(Parse("-a --perf-map-dir /srv/maps")->perf_map_folder, "/srv/maps");
  EXPECT_FALSE(Parse("-a")->tiers);
  EXPECT_TRUE(Parse("-a --tiers")->tiers);
  EXPECT_FALSE(Parse("-a")->inlines);
  EXPECT_FALSE(Parse("-a --inlines")->lines);
  EXPECT_TRUE(Parse("-a --inlines --lines")->inlines);
  EXPECT_TRUE(Parse("-a --inlines --lines")->lines);
  EXPECT_FALSE(Parse("-a")->explain);
  EXPECT_TRUE(Parse("-a --explain")->explain);
  EXPECT_EQ(Parse("-a --format folded")->format, "folded");
}

TEST(OptionsTest, TheCommandLineIsKeptForTheProfile) {
  EXPECT_EQ(Parse("-p 42 -F 997")->command_line, "jprof -p 42 -F 997");
}

TEST(OptionsTest, HelpAndVersionNeedNoTarget) {
  EXPECT_TRUE(Parse("--help")->help);
  EXPECT_TRUE(Parse("-h")->help);
  EXPECT_TRUE(Parse("--version")->version);
}

TEST(OptionsTest, ADashIsStandardOutput) {
  auto options = Parse("-p 42 -o -");
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->output, "");
}

TEST(OptionsTest, ADeviceNeedsNoSuffix) {
  for (const char* path : {"/dev/stdout", "/dev/fd/3", "/dev/null"}) {
    EXPECT_EQ(Complaint(absl::StrCat("-a -o ", path)), "");
  }
}

TEST(OptionsTest, AnUnknownOptionNamesTheNearestOne) {
  EXPECT_EQ(Complaint("--frmat svg -p 1"), "unknown option '--frmat', did you mean '--format'?");
  EXPECT_EQ(Complaint("--freqency=5"), "unknown option '--freqency', did you mean '--frequency'?");
  EXPECT_EQ(Complaint("--pdi 1"), "unknown option '--pdi', did you mean '--pid'?");
}

TEST(OptionsTest, AnUnknownOptionNearNothingPointsToTheHelp) {
  EXPECT_EQ(Complaint("--zzzzzzzzz"), "unknown option '--zzzzzzzzz'; see jprof --help");
  EXPECT_EQ(Complaint("-x"), "unknown option '-x'; see jprof --help");
  EXPECT_EQ(Complaint("-"), "unknown option '-'; see jprof --help");
}

TEST(OptionsTest, AWordThatIsNoOptionTellsHowAProcessIsNamed) {
  EXPECT_EQ(
      Complaint("4711"),
      "unexpected argument '4711'; a process is named with -p PID, a command comes behind --");
  EXPECT_EQ(Complaint("recrod -p 1"), "unexpected argument 'recrod', did you mean 'record'?");
}

TEST(OptionsTest, AnEmptyWordIsUnexpected) {
  EXPECT_EQ(Complaint({"-a", ""}),
            "unexpected argument ''; a process is named with -p PID, a command comes behind --");
}

TEST(OptionsTest, AnUnknownFormatNamesTheNearestOneOrAll) {
  EXPECT_EQ(Complaint("-p 1 --format foldde"), "unknown format 'foldde', did you mean 'folded'?");
  EXPECT_EQ(Complaint("-p 1 --format=xxxxxxxx"),
            "unknown format 'xxxxxxxx'; known: svg, html, folded, pprof, speedscope, cpuprofile, "
            "firefox, otlp");
}

TEST(OptionsTest, AnUnknownSuffixNamesAllSuffixes) {
  const std::string complaint = Complaint("-p 1 -o out.png");
  EXPECT_THAT(complaint, HasSubstr("'out.png' has no suffix that names a format"));
  for (const ExportFormat& format : ExportFormats()) {
    for (absl::string_view suffix : format.suffixes) {
      EXPECT_THAT(complaint, HasSubstr(std::string(suffix)));
    }
  }
  EXPECT_THAT(complaint, HasSubstr("--format"));
}

TEST(OptionsTest, AFormatMakesAnySuffixGood) {
  EXPECT_EQ(Complaint("-p 1 -o out.png --format svg"), "");
}

TEST(OptionsTest, AMissingValueIsNamed) {
  EXPECT_EQ(Complaint("-p"), "option '-p' needs a value: PID");
  EXPECT_EQ(Complaint("-p 1 --output"), "option '--output' needs a value: FILE");
  EXPECT_EQ(Complaint("-a -d"), "option '-d' needs a value: TIME");
}

TEST(OptionsTest, AnEmptyOutputIsRefused) {
  EXPECT_EQ(Complaint({"-a", "--output="}),
            "--output takes a file name, or - for standard output, not ''");
}

TEST(OptionsTest, AValueThatIsNotTakenIsRefused) {
  EXPECT_EQ(Complaint("--all=1"), "option '--all' takes no value");
  EXPECT_EQ(Complaint("-ax"), "option '-a' takes no value");
}

TEST(OptionsTest, TheTargetIsOneOfThree) {
  EXPECT_EQ(
      Complaint(""),
      "nothing to profile: name a process with -p PID, a thread with -t TID, a cgroup with -G, a "
      "command name with --comm, all with -a, or a command to start behind --");
  for (absl::string_view line : {"-p 1 -t 2", "-p 1 -a", "-t 2 -a", "-p 1 -t 2 -a", "-p 1 -- x",
                                 "-a -- x"}) {
    EXPECT_EQ(Complaint(line), "-p, -t, -a and a command exclude each other: give one of them")
        << line;
  }
}

TEST(OptionsTest, ANameThatNoProcessCanHaveIsRefused) {
  EXPECT_EQ(Complaint("--comm sixteen_letters_"),
            "--comm: the kernel keeps 15 bytes of a name: --comm 'sixteen_letters'");
  EXPECT_EQ(Complaint("--comm fifteen_letters"), "");
}

TEST(OptionsTest, AnOptionWithAValueIsGivenOnce) {
  EXPECT_EQ(Complaint("-p 1 -p 2"), "option '-p' is given twice (1, 2), keep one of them");
  EXPECT_EQ(Complaint("-p 1 -p 1"), "option '-p' is given twice (1, 1), keep one of them");
  EXPECT_EQ(Complaint("-t 1 --tid=2"), "option '--tid' is given twice (1, 2), keep one of them");
  EXPECT_EQ(Complaint("-a -F 99 -F199"), "option '-F' is given twice (99, 199), keep one of them");
  EXPECT_EQ(Complaint("-a -d 1 -d 2"), "option '-d' is given twice (1, 2), keep one of them");
  EXPECT_EQ(Complaint("-a -o - -o x.svg"),
            "option '-o' is given twice (-, x.svg), keep one of them");
  EXPECT_EQ(Complaint("-a --format svg --format folded"),
            "option '--format' is given twice (svg, folded), keep one of them");
  EXPECT_EQ(Complaint("-a --all --no-helpers --no-helpers"), "");
}

TEST(OptionsTest, ANumberOfAProcessIsPositive) {
  for (absl::string_view text : {"0", "-3", "x", "1x", "4294967297"}) {
    EXPECT_EQ(Complaint(absl::StrCat("-p ", text)),
              absl::StrCat("--pid takes a number from 1 to 2147483647, not '", text, "'"));
  }
}

TEST(OptionsTest, SomeProcessesAreNamedInOneList) {
  EXPECT_THAT(Parse("-p 3,1,2,3")->pids, ElementsAre(1, 2, 3));
  EXPECT_EQ(Complaint("-p 1,,2"), "--pid takes a number from 1 to 2147483647, not ''");
  EXPECT_EQ(Complaint("-p 1,x"), "--pid takes a number from 1 to 2147483647, not 'x'");
  std::string many = "1";
  for (int pid = 2; pid <= 1025; ++pid) absl::StrAppend(&many, ",", pid);
  EXPECT_EQ(Complaint(absl::StrCat("-p ", many)),
            "--pid takes at most 1024 processes, not 1025; -a profiles all");
}

TEST(OptionsTest, AGroupOrANameSaysWhichOfAllProcesses) {
  for (absl::string_view line : {"-G /a.slice", "-a --cgroup=/a.slice", "-G /a.slice --comm x"}) {
    auto options = Parse(line);
    ASSERT_TRUE(options.ok()) << line << ": " << options.status();
    EXPECT_EQ(options->cgroup, "/a.slice") << line;
  }
  EXPECT_EQ(Parse("--comm node")->comm, "node");
  EXPECT_EQ(Parse("-p 1 --comm worker")->comm, "worker");
  for (absl::string_view line : {"-G /a -p 1", "-G /a -t 1", "-G /a -- x"}) {
    EXPECT_EQ(Complaint(line),
              "--cgroup says which processes to profile: it goes without -p, -t and a command");
  }
  EXPECT_EQ(Complaint("--cgroup="), "--cgroup takes a name, not ''");
}

TEST(OptionsTest, ChildrenAreThoseOfNamedProcesses) {
  EXPECT_FALSE(Parse("-p 1")->children);
  EXPECT_TRUE(Parse("-p 1 --children")->children);
  EXPECT_EQ(Complaint("-a --children"), "--children goes with -p PID");
  EXPECT_EQ(Complaint("--children -- true"),
            "--children goes with -p PID; a command's are recorded anyway");
}

TEST(OptionsTest, WhatFollowsTwoDashesIsTheCommand) {
  auto options = Parse("-F 49 -- node -p 1 -- --help");
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_THAT(options->command, ElementsAre("node", "-p", "1", "--", "--help"));
  EXPECT_EQ(options->frequency, 49);
  EXPECT_FALSE(options->help);
  EXPECT_EQ(Complaint("-F 49 --"), "'--' is followed by the command to start");
}

TEST(OptionsTest, TheProfileOfACommandIsAFileUnlessTheOutputIsNamed) {
  EXPECT_EQ(Parse("-- true")->output, "jprof.svg");
  EXPECT_EQ(Parse("--format pprof -- true")->output, "jprof.pb.gz");
  EXPECT_EQ(Parse("-o - -- true")->output, "");
  EXPECT_EQ(Parse("-o x.svg -- true")->output, "x.svg");
  EXPECT_TRUE(Parse("-- true")->output_is_default);
  EXPECT_FALSE(Parse("-o x.svg -- true")->output_is_default);
}

TEST(OptionsTest, ARecordingThatMayLastLongTakesTwoPercentUnlessOneSaysMore) {
  EXPECT_EQ(Parse("-a")->max_cpu_percent, 2);
  EXPECT_EQ(Parse("-a -d 11m")->max_cpu_percent, 2);
  EXPECT_EQ(Parse("-a -d 10m")->max_cpu_percent, 0);
  EXPECT_EQ(Parse("-a --max-cpu 0")->max_cpu_percent, 0);
  EXPECT_EQ(Parse("-a -d 10 --max-cpu 0.5%")->max_cpu_percent, 0.5);
  for (absl::string_view text : {"", "-1", "x", "nan"}) {
    EXPECT_EQ(
        Complaint({"-a", absl::StrCat("--max-cpu=", text)}),
        absl::StrCat("--max-cpu takes a percentage of one CPU, from 0 (no limit) to 10000, not '",
                     text, "'"));
  }
}

TEST(OptionsTest, AQualityIsAPercentage) {
  EXPECT_EQ(Parse("-a")->min_quality, 0);
  EXPECT_EQ(Parse("-a --min-quality 99.5")->min_quality, 99.5);
  EXPECT_EQ(Parse("-a --min-quality=90%")->min_quality, 90);
  for (absl::string_view text : {"0", "-1", "101", "x", "nan", ""}) {
    EXPECT_EQ(
        Complaint({"-a", absl::StrCat("--min-quality=", text)}),
        absl::StrCat("--min-quality takes a percentage above 0, up to 100, not '", text, "'"));
  }
}

TEST(OptionsTest, AFrequencyIsFrom1To50000) {
  EXPECT_EQ(Parse("-a -F 1")->frequency, 1);
  EXPECT_EQ(Parse("-a -F 50000")->frequency, 50000);
  for (absl::string_view text : {"0", "-99", "50001", "1e9", "max", "1.5"}) {
    EXPECT_EQ(Complaint(absl::StrCat("-a -F ", text)),
              absl::StrCat("--frequency takes samples per second, from 1 to 50000, not '", text,
                           "'"));
  }
}

TEST(OptionsTest, ADurationIsSecondsOrHasAUnit) {
  const std::pair<absl::string_view, int64_t> cases[] = {
      {"30", 30'000'000'000},      {"30s", 30'000'000'000}, {"1.5s", 1'500'000'000},
      {"0.5", 500'000'000},        {"500ms", 500'000'000},  {"1ms", 1'000'000},
      {"5m", 300'000'000'000},     {"1h", 3'600'000'000'000},
      {"8784h", 31'622'400'000'000'000}, {"366d", 31'622'400'000'000'000},
  };
  for (const auto& [text, ns] : cases) {
    auto duration = ParseDuration("--window", text);
    ASSERT_TRUE(duration.ok()) << text << ": " << duration.status();
    EXPECT_EQ(*duration, ns) << text;
  }
}

TEST(OptionsTest, WhatIsNoDurationIsRefusedInFull) {
  for (absl::string_view text :
       {"", "0", "-1", "1w", "0x10", "s", "ms", "1s1", "nan", "inf", "1e300", "1e-9", "0.5ms", "9000h"}) {
    auto duration = ParseDuration("--window", text);
    ASSERT_FALSE(duration.ok()) << text;
    EXPECT_EQ(duration.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(duration.status().message(),
              absl::StrCat("--window takes a time from 1ms to 366d such as 30, 30s, 5m or 1h, "
                           "not '", text, "'"));
  }
}

TEST(OptionsTest, AFolderOfPerfMapsIsAbsolute) {
  for (absl::string_view folder : {"", "maps", "./maps"}) {
    EXPECT_EQ(
        Complaint({"-a", "--perf-map-dir", std::string(folder)}),
        absl::StrCat("--perf-map-dir takes an absolute path, in the root of the process, not '",
                     folder, "'"));
  }
}

TEST(OptionsTest, AMessageIsOneLine) {
  for (absl::string_view line :
       {"--frmat", "-p", "-p x", "", "-p 1 -a", "-o x -a", "-F 0", "-d 0"}) {
    EXPECT_EQ(Complaint(line).find('\n'), std::string::npos) << line;
  }
}

TEST(OptionsTest, ASuggestionIsNearOrNotMade) {
  EXPECT_EQ(DidYouMean("svgg", {"svg", "folded"}), "svg");
  EXPECT_EQ(DidYouMean("folded", {"svg", "folded"}), "folded");
  EXPECT_EQ(DidYouMean("perfetto", {"svg", "folded"}), "");
}

TEST(OptionsTest, TheHelpNamesTheDoctor) {
  EXPECT_THAT(RecordHelp(), HasSubstr("jprof doctor [--pid PID]\n"));
}

TEST(OptionsTest, TheHelpNamesEachFormatAndFitsATerminal) {
  const std::string help = RecordHelp();
  for (const ExportFormat& format : ExportFormats()) {
    EXPECT_THAT(help, HasSubstr(std::string(format.name)));
  }
  for (absl::string_view line : absl::StrSplit(help, '\n')) EXPECT_LE(line.size(), 100u) << line;
}

}  // namespace
}  // namespace jprof
