#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "export/profile.pb.h"
#include "profiler/core/profile_builder.h"
#include "tests/export/sample_profiles.h"
#include "tests/import/dump.h"
#include "tests/import/read.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

namespace pb = ::perftools::profiles;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PprofReaderTest, WhatWasWrittenComesBack) {
  // In pprof the kernel has the name that pprof knows.
  const Profile profile =
      ParseProfile(absl::StrReplaceAll(kNodeProfile, {{"[kernel]", "[kernel.kallsyms]"}}));
  EXPECT_TRUE(Dump(Read(Write(profile, "pprof"))) == Dump(profile));
}

TEST(PprofReaderTest, LinesGroupsAndUnevenWeightsComeBack) {
  ProfileBuilder builder({{"alloc_objects", "count"}, {"alloc_space", "bytes"}}, {"space", "bytes"},
                         512);
  const FunctionId f = builder.AddFunction("f", "_Zf", "a.cc", 12, FrameKind::kNative);
  const FunctionId g = builder.AddFunction("g", "g", "", 0, FrameKind::kWasm);
  const std::vector<Line> lines = {{f, 13, 5}, {g, 7, 0}};
  const ImageId image = builder.AddImage("/bin/a", "00ff", 0x1000, 0x2000, 0x100);
  const StackId stack = builder.AddStack(StackId{}, builder.AddLocation(image, 0x1234, lines));
  const ThreadId thread = builder.AddThread(7, 8, "a", "worker", "/user.slice");
  builder.AddSample(0, thread, 0, stack, std::vector<int64_t>{3, 100});
  builder.AddSample(0, thread, 0, StackId{}, std::vector<int64_t>{1, -50});
  builder.accounting().taken = builder.accounting().kept = 2;
  builder.ShowLines();
  const Profile profile = std::move(builder).Build().value();
  EXPECT_EQ(Dump(Read(Write(profile, "pprof"))), Dump(profile));
}

TEST(PprofReaderTest, TheTypeThatTheFileNamesIsTheOneToShow) {
  pb::Profile p;
  for (const char* text : {"", "alloc_space", "bytes", "alloc_objects", "count", "f"}) {
    p.add_string_table(text);
  }
  for (int type : {1, 3}) {
    pb::ValueType& added = *p.add_sample_type();
    added.set_type(type);
    added.set_unit(type + 1);
  }
  p.set_default_sample_type(1);
  pb::Function& function = *p.add_function();
  function.set_id(1);
  function.set_name(5);
  pb::Location& location = *p.add_location();
  location.set_id(1);
  location.add_line()->set_function_id(1);
  pb::Sample& sample = *p.add_sample();
  sample.add_location_id(1);
  sample.add_value(4096);
  sample.add_value(3);
  const Profile profile = Read(p.SerializeAsString());
  ASSERT_EQ(profile.sample_types.size(), 2u);
  EXPECT_EQ(profile.sample_types[1].type, "alloc_space");
  EXPECT_EQ(profile.Value(0, 0), 3);
  // Where samples are not counted, pictures and folded stacks are of it.
  EXPECT_EQ(Write(profile, "folded"), "[unknown];f 4096\n");
  EXPECT_THAT(Write(profile, "svg"), HasSubstr("<title>f (4,096 bytes, 100.00%)</title>"));
  EXPECT_THAT(Write(profile, "svg"), HasSubstr("<title>all (4,096 bytes, 100%)</title>"));
}

TEST(PprofReaderTest, TheDefaultTypeIsShownWhereSamplesWeighDifferently) {
  pb::Profile p;
  for (const char* text : {"", "wall", "nanoseconds", "samples", "count", "f", "g"})
    p.add_string_table(text);
  for (int64_t type : {1, 3}) {
    pb::ValueType& t = *p.add_sample_type();
    t.set_type(type);
    t.set_unit(type + 1);
  }
  p.set_default_sample_type(1);
  auto add = [&](uint64_t id, int64_t name, int64_t wall, int64_t count) {
    pb::Function& function = *p.add_function();
    function.set_id(id);
    function.set_name(name);
    pb::Location& location = *p.add_location();
    location.set_id(id);
    location.add_line()->set_function_id(id);
    pb::Sample& sample = *p.add_sample();
    sample.add_location_id(id);
    sample.add_value(wall);
    sample.add_value(count);
  };
  add(1, 5, 490, 1);
  add(2, 6, 10, 1);
  const Profile profile = Read(p.SerializeAsString());
  EXPECT_EQ(Write(profile, "folded"), "[unknown];f 490\n[unknown];g 10\n");
  EXPECT_THAT(Write(profile, "svg"), HasSubstr("<title>f (490 nanoseconds, 98.00%)</title>"));
  p.mutable_sample(1)->set_value(0, 980);
  p.mutable_sample(1)->set_value(1, 2);
  EXPECT_EQ(Write(Read(p.SerializeAsString()), "folded"), "[unknown];f 1\n[unknown];g 2\n");
}

TEST(PprofReaderTest, ASecondTripChangesNoByte) {
  const std::string once = Write(Read(Write(ParseProfile(kNodeProfile), "pprof")), "pprof");
  EXPECT_EQ(Write(Read(once), "pprof"), once);
}

TEST(PprofReaderTest, CpuNumbersComeBack) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1);
  const ThreadId thread = builder.AddThread(7, 7, "a", "a");
  for (uint32_t cpu : {0, 3, 1}) {
    builder.AddSample(cpu * 1000 + 1, thread, cpu, StackId{}, std::vector<int64_t>{1});
  }
  builder.accounting().taken = builder.accounting().kept = 3;
  const Profile profile = std::move(builder).Build().value();
  EXPECT_EQ(Dump(Read(Write(profile, "pprof"))), Dump(profile));
}

// Two samples of one stack and one of another.
Profile Uneven() {
  ProfileBuilder builder({{"samples", "count"}, {"cpu", "nanoseconds"}}, {"cpu", "nanoseconds"}, 1);
  const ThreadId thread = builder.AddThread(7, 7, "a", "a");
  const Line line{builder.AddFunction("f", "f", "", 0, FrameKind::kNative)};
  const StackId stack = builder.AddStack(StackId{}, builder.AddLocation(ImageId{}, 0, {&line, 1}));
  builder.AddSample(1000, thread, 3, stack, std::vector<int64_t>{1, 10});
  builder.AddSample(2000, thread, 1, StackId{}, std::vector<int64_t>{1, 7});
  builder.AddSample(3000, thread, kSeveralCpus, stack, std::vector<int64_t>{1, 15});
  builder.accounting().taken = builder.accounting().kept = 3;
  return std::move(builder).Build().value();
}

pb::Profile Message(const Profile& profile) {
  const std::string bytes = Write(profile, "pprof");
  Input input(std::make_unique<MemorySource>(bytes));
  pb::Profile message;
  EXPECT_TRUE(message.ParseFromString(input.Rest().value()));
  return message;
}

TEST(PprofReaderTest, OfSamplesThatWeighDifferentlyNothingIsLost) {
  const Profile profile = Uneven();
  EXPECT_EQ(Dump(Read(Write(profile, "pprof"))), Dump(profile));
  // For other readers it is what it was: a sum for each stack.
  const pb::Profile message = Message(profile);
  ASSERT_EQ(message.sample_size(), 2);
  EXPECT_THAT(message.sample(0).value(), ElementsAre(2, 25));
  // Of the type that has equal parts there is no list.
  ASSERT_EQ(message.jprof().parts_size(), 1);
  EXPECT_EQ(message.jprof().parts(0).type(), 1u);
  EXPECT_THAT(message.jprof().parts(0).value(), ElementsAre(10, -3, 8));
}

TEST(PprofReaderTest, PartsOfAnySizeComeBack) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1);
  const ThreadId thread = builder.AddThread(7, 7, "a", "a");
  int64_t time_ns = 0;
  for (int64_t value : {INT64_MAX, INT64_MAX, int64_t{0}, INT64_MIN, int64_t{-1}}) {
    builder.AddSample(++time_ns, thread, kUnknownCpu, StackId{}, std::vector<int64_t>{value});
  }
  builder.accounting().taken = builder.accounting().kept = 5;
  const Profile profile = std::move(builder).Build().value();
  EXPECT_EQ(Dump(Read(Write(profile, "pprof"))), Dump(profile));
}

TEST(PprofReaderTest, PartsThatDoNotFitAreLeftOutAndTold) {
  auto read = [](const pb::Profile& p) {
    const auto imported = Import(p.SerializeAsString());
    EXPECT_TRUE(imported.ok()) << imported.status();
    EXPECT_EQ(imported->profile.samples.size(), 2u);
    EXPECT_EQ(imported->profile.Value(0, 1), 25);
    return imported->notes;
  };
  const auto told = ElementsAre("pprof: the times of its samples do not fit its samples");
  pb::Profile p = Message(Uneven());
  p.mutable_jprof()->mutable_parts(0)->set_type(2);
  EXPECT_THAT(read(p), told);
  p = Message(Uneven());
  p.mutable_jprof()->mutable_parts(0)->add_value(0);
  EXPECT_THAT(read(p), told);
  p = Message(Uneven());
  p.mutable_jprof()->mutable_parts(0)->set_value(2, 9);
  EXPECT_THAT(read(p), told);
  p = Message(Uneven());
  p.mutable_jprof()->clear_parts();
  EXPECT_THAT(read(p), told);
  p = Message(Uneven());
  p.mutable_jprof()->mutable_cpu()->RemoveLast();
  EXPECT_THAT(read(p), told);
  p = Message(Uneven());
  for (int i = 0; i < 100; ++i) p.mutable_jprof()->add_parts();
  EXPECT_EQ(Import(p.SerializeAsString()).status().message(), "pprof: damaged message");
}

TEST(PprofReaderTest, CpusThatAreNotKnownTakeNoRoom) {
  const Profile profile = Read(R"J({"nodes":[{"id":1,"callFrame":{"functionName":"f"}}],
    "startTime":0,"endTime":40,"samples":[1,1,1],"timeDeltas":[5,10,20]})J");
  const pb::Profile message = Message(profile);
  EXPECT_EQ(message.jprof().time_ns_size(), 3);
  EXPECT_EQ(message.jprof().cpu_size(), 0);
  EXPECT_EQ(Dump(Read(Write(profile, "pprof"))), Dump(profile));
}

// As another producer might write it: sparse ids, two mappings of one file, nothing of ours.
pb::Profile Foreign() {
  pb::Profile p;
  for (const char* text : {"", "cpu", "nanoseconds", "/bin/app", "main.work", "/src/work.go",
                           "[kernel.kallsyms]", "read", "inlined"}) {
    p.add_string_table(text);
  }
  p.add_sample_type()->set_type(1);
  p.mutable_sample_type(0)->set_unit(2);
  auto mapping = [&](uint64_t id, uint64_t start, uint64_t offset, int64_t file) {
    pb::Mapping& m = *p.add_mapping();
    m.set_id(id);
    m.set_memory_start(start);
    m.set_memory_limit(start + 0x1000);
    m.set_file_offset(offset);
    m.set_filename(file);
  };
  mapping(1, 0x400000, 0, 3);
  mapping(70, 0x500000, 0x400, 3);
  mapping(9, 0, 0, 6);
  auto function = [&](uint64_t id, int64_t name, int64_t file) {
    pb::Function& f = *p.add_function();
    f.set_id(id);
    f.set_name(name);
    f.set_filename(file);
  };
  function(500, 4, 5);
  function(3, 7, 0);
  function(4, 8, 5);
  auto location = [&](uint64_t id, uint64_t mapping_id, uint64_t address,
                      const std::vector<uint64_t>& functions) {
    pb::Location& l = *p.add_location();
    l.set_id(id);
    l.set_mapping_id(mapping_id);
    l.set_address(address);
    for (uint64_t f : functions) l.add_line()->set_function_id(f);
  };
  location(10, 1, 0x400123, {4, 500});
  location(1, 70, 0x500123, {500});
  location(2, 9, 0, {3});
  location(3, 1, 0x400999, {});
  for (const std::vector<uint64_t>& path :
       {std::vector<uint64_t>{2, 10}, std::vector<uint64_t>{1}, std::vector<uint64_t>{3, 10}}) {
    pb::Sample& s = *p.add_sample();
    for (uint64_t id : path) s.add_location_id(id);
    s.add_value(5);
  }
  return p;
}

TEST(PprofReaderTest, OtherProducersAreRead) {
  const Profile profile = Read(Foreign().SerializeAsString());
  EXPECT_EQ(Write(profile, "folded"),
            "app;main.work 5\n"
            "app;main.work;inlined_[i];[unknown] app+0x999 5\n"
            "app;main.work;inlined_[i];read_[k] 5\n");
  // The address in the second mapping of the file is moved into the first.
  EXPECT_EQ(profile.locations[1].address, 0x400523u);
}

// Adds a string; its number.
int64_t Text(pb::Profile& p, const std::string& text) {
  p.add_string_table(text);
  return p.string_table_size() - 1;
}

void AddLabel(pb::Profile& p, int sample, const std::string& key, const std::string& text) {
  pb::Label& label = *p.mutable_sample(sample)->add_label();
  label.set_key(Text(p, key));
  label.set_str(Text(p, text));
}

TEST(PprofReaderTest, IdsMayBeText) {
  pb::Profile p = Foreign();
  AddLabel(p, 0, "pid", "47");
  AddLabel(p, 0, "thread_id", "48");
  AddLabel(p, 1, "pid", "worker");
  AddLabel(p, 1, "tid", "-1");
  pb::Label& large = *p.mutable_sample(2)->add_label();
  large.set_key(Text(p, "tid"));
  large.set_num(int64_t{1} << 40);
  const Profile profile = Read(p.SerializeAsString());
  std::vector<std::string> threads;
  for (const Thread& t : profile.threads) {
    threads.push_back(absl::StrCat(t.pid, "/", t.tid, " ", profile.String(t.labels)));
  }
  EXPECT_THAT(threads, ElementsAre("47/48 ", "0/0 pid\tworker\ntid\t-1",
                                   absl::StrCat("0/0 tid\t\t", int64_t{1} << 40, "\t")));
}

TEST(PprofReaderTest, FewBytesThatStandForManyLabelsAreRefused) {
  pb::Profile p = Foreign();
  AddLabel(p, 0, "route", "/api");
  const int64_t key = Text(p, std::string(50'000, 'k'));
  for (int i = 0; i < 2000; ++i) {
    pb::Label& label = *p.mutable_sample(0)->add_label();
    label.set_key(key);
    label.set_num(i);
  }
  for (int i = 0; i < 2000; ++i) {
    pb::Label& label = *p.mutable_sample(1)->add_label();
    label.set_key(1);
  }
  const auto imported = Import(p.SerializeAsString());
  ASSERT_TRUE(imported.ok()) << imported.status();
  for (const std::string& text : imported->profile.strings) EXPECT_LE(text.size(), 65'536u);
  EXPECT_THAT(imported->notes, ElementsAre(testing::MatchesRegex(
                                   "pprof: [0-9]+ labels are left out, of samples with "
                                   "more than 64 KiB of them")));
  EXPECT_THAT(Dump(imported->profile), HasSubstr("route\t/api"));
}

TEST(PprofReaderTest, FewBytesThatStandForManyCommentsAreRefused) {
  pb::Profile p = Foreign();
  const int64_t text = Text(p, std::string(1 << 20, 'c'));
  for (int i = 0; i < 1100; ++i) p.add_comment(text);
  const absl::Status status = Import(p.SerializeAsString()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "pprof: its tables are larger than what jprof holds");
}

TEST(PprofReaderTest, OfALongPathAnAddressShowsAFilesName) {
  pb::Profile p = Foreign();
  p.mutable_mapping(0)->set_filename(Text(p, "/bin/" + std::string(100'000, 'p')));
  for (int i = 0; i < 1000; ++i) {
    pb::Location& location = *p.add_location();
    location.set_id(static_cast<uint64_t>(1000 + i));
    location.set_mapping_id(1);
    location.set_address(static_cast<uint64_t>(0x400000 + i));
  }
  const Profile profile = Read(p.SerializeAsString());
  size_t bytes = 0;
  for (const std::string& string : profile.strings) bytes += string.size();
  EXPECT_LT(bytes, 1'000'000u);
  EXPECT_THAT(profile.strings, testing::Contains("[unknown] " + std::string(255, 'p') + "+0x3e7"));
}

TEST(PprofReaderTest, WhatIsNotThereIsDamage) {
  auto complaint = [](const pb::Profile& p) {
    return std::string(Import(p.SerializeAsString()).status().message());
  };
  pb::Profile p = Foreign();
  p.mutable_sample(0)->set_location_id(0, 77);
  EXPECT_EQ(complaint(p), "pprof: damaged sample: its location is not there");
  p = Foreign();
  p.mutable_sample(1)->add_value(1);
  EXPECT_EQ(complaint(p), "pprof: damaged sample: as many values as types");
  p = Foreign();
  p.mutable_function(0)->set_name(10'000);
  EXPECT_EQ(complaint(p), "");  // a function without a name is shown as such
  p = Foreign();
  p.clear_sample();
  EXPECT_EQ(complaint(p), "pprof: there is no sample in it");
}

TEST(PprofReaderTest, CutAtAnyByteItIsRefusedOrShorter) {
  const std::string whole = Foreign().SerializeAsString();
  for (size_t n = 0; n < whole.size(); ++n) {
    absl::StatusOr<Imported> imported = Import(absl::string_view(whole).substr(0, n));
    if (imported.ok()) {
      EXPECT_TRUE(ValidateProfile(imported->profile).ok()) << n;
    }
  }
}

}  // namespace
}  // namespace jprof
