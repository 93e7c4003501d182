#include "export/pprof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "export/profile.pb.h"
#include "export/text.h"
#include "profiler/core/profile_builder.h"
#include "tests/export/sample_profiles.h"
#include "tests/testing/golden.h"
#include "tests/testing/profile_text.h"

namespace jprof {
namespace {

namespace pb = ::perftools::profiles;
using ::testing::ElementsAre;

std::string Export(const Profile& profile) {
  StringSink sink;
  EXPECT_TRUE(MakePprofExporter()->Write(profile, sink).ok());
  return sink.text();
}

std::string Gunzip(const std::string& bytes) {
  z_stream stream = {};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  int result = Z_OK;
  while (result == Z_OK) {
    char buffer[65536];
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof(buffer);
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, sizeof(buffer) - stream.avail_out);
  }
  EXPECT_EQ(result, Z_STREAM_END);
  EXPECT_EQ(stream.avail_in, 0u);
  inflateEnd(&stream);
  return out;
}

pb::Profile Read(const Profile& profile) {
  pb::Profile message;
  EXPECT_TRUE(message.ParseFromString(Gunzip(Export(profile))));
  return message;
}
pb::Profile Read(absl::string_view text) { return Read(ParseProfile(text)); }

// All that is in the message, names in place of string numbers.
std::string Dump(const pb::Profile& p) {
  auto text = [&](int64_t index) { return p.string_table(static_cast<int>(index)); };
  std::string out;
  for (const pb::ValueType& t : p.sample_type()) {
    absl::StrAppend(&out, "sample_type ", text(t.type()), "/", text(t.unit()), "\n");
  }
  absl::StrAppend(&out, "default_sample_type ", text(p.default_sample_type()), "\n");
  absl::StrAppend(&out, "period ", p.period(), " ", text(p.period_type().type()), "/",
                  text(p.period_type().unit()), "\n");
  absl::StrAppend(&out, "time ", p.time_nanos(), " duration ", p.duration_nanos(), "\n");
  for (int64_t comment : p.comment()) absl::StrAppend(&out, "comment ", text(comment), "\n");
  for (const pb::Mapping& m : p.mapping()) {
    absl::StrAppendFormat(
        &out, "mapping %d [%#x, %#x) offset %#x '%s' build_id '%s' has %d%d%d%d\n", m.id(),
        m.memory_start(), m.memory_limit(), m.file_offset(), text(m.filename()), text(m.build_id()),
        m.has_functions(), m.has_filenames(), m.has_line_numbers(), m.has_inline_frames());
  }
  for (const pb::Function& f : p.function()) {
    absl::StrAppend(&out, "function ", f.id(), " '", text(f.name()), "' system '",
                    text(f.system_name()), "' file '", text(f.filename()), "' start_line ",
                    f.start_line(), "\n");
  }
  for (const pb::Location& l : p.location()) {
    absl::StrAppend(&out, "location ", l.id(), " mapping ", l.mapping_id(), " address ",
                    absl::Hex(l.address()), " lines");
    for (const pb::Line& line : l.line()) {
      absl::StrAppend(&out, " ", line.function_id(), ":", line.line(), ":", line.column());
    }
    absl::StrAppend(&out, "\n");
  }
  for (const pb::Sample& s : p.sample()) {
    absl::StrAppend(&out, "sample ", absl::StrJoin(s.location_id(), " "), " values ",
                    absl::StrJoin(s.value(), " "));
    for (const pb::Label& l : s.label()) {
      absl::StrAppend(&out, " ", text(l.key()), "=",
                      l.str() != 0 ? text(l.str()) : absl::StrCat(l.num()));
    }
    absl::StrAppend(&out, "\n");
  }
  return out;
}

// What readers reject a profile for.
void ExpectWellFormed(const pb::Profile& p) {
  ASSERT_GE(p.string_table_size(), 1);
  EXPECT_EQ(p.string_table(0), "");
  std::set<std::string> strings(p.string_table().begin(), p.string_table().end());
  EXPECT_EQ(strings.size(), static_cast<size_t>(p.string_table_size()));
  for (const std::string& s : p.string_table()) {
    EXPECT_TRUE(ValidUtf8(s, s.size()) == s);
    EXPECT_LE(s.size(), kMaxNameBytes);
  }
  auto in_table = [&](int64_t index) { return index >= 0 && index < p.string_table_size(); };
  for (int i = 0; i < p.mapping_size(); ++i) {
    EXPECT_EQ(p.mapping(i).id(), i + 1u);
    EXPECT_TRUE(in_table(p.mapping(i).filename()) && in_table(p.mapping(i).build_id()));
  }
  for (int i = 0; i < p.function_size(); ++i) {
    const pb::Function& f = p.function(i);
    EXPECT_EQ(f.id(), i + 1u);
    EXPECT_TRUE(in_table(f.name()) && in_table(f.system_name()) && in_table(f.filename()));
    EXPECT_NE(f.name(), 0);
  }
  for (int i = 0; i < p.location_size(); ++i) {
    const pb::Location& l = p.location(i);
    EXPECT_EQ(l.id(), i + 1u);
    EXPECT_LE(l.mapping_id(), static_cast<uint64_t>(p.mapping_size()));
    if (l.mapping_id() != 0 && l.address() != 0) {
      EXPECT_GE(l.address(), p.mapping(static_cast<int>(l.mapping_id()) - 1).memory_start());
      EXPECT_LT(l.address(), p.mapping(static_cast<int>(l.mapping_id()) - 1).memory_limit());
    }
    EXPECT_GE(l.line_size(), 1);
    for (const pb::Line& line : l.line()) {
      EXPECT_GE(line.function_id(), 1u);
      EXPECT_LE(line.function_id(), static_cast<uint64_t>(p.function_size()));
    }
  }
  std::set<std::string> identities;
  for (const pb::Sample& s : p.sample()) {
    EXPECT_EQ(s.value_size(), p.sample_type_size());
    EXPECT_GE(s.location_id_size(), 1);
    std::string identity = absl::StrJoin(s.location_id(), " ");
    std::set<int64_t> keys;
    for (uint64_t id : s.location_id()) {
      EXPECT_GE(id, 1u);
      EXPECT_LE(id, static_cast<uint64_t>(p.location_size()));
    }
    for (const pb::Label& label : s.label()) {
      EXPECT_TRUE(keys.insert(label.key()).second);
      EXPECT_FALSE(label.str() != 0 && label.num() != 0);
      absl::StrAppend(&identity, "|", label.key(), ":", label.str(), ":", label.num());
    }
    EXPECT_TRUE(identities.insert(identity).second) << "not merged: " << identity;
  }
}

TEST(PprofTest, NodeProfileIsGolden) {
  pb::Profile message = Read(kNodeProfile);
  ExpectWellFormed(message);
  ExpectGolden(Dump(message), "export/golden/node.pprof.txt");
}

TEST(PprofTest, TheGzipHeaderHoldsNoTimeAndNoName) {
  std::string bytes = Export(ParseProfile("a;f 1"));
  ASSERT_GE(bytes.size(), 10u);
  EXPECT_EQ(bytes.substr(0, 4), std::string("\x1f\x8b\x08\x00", 4));
  EXPECT_EQ(bytes.substr(4, 4), std::string(4, '\0'));
}

TEST(PprofTest, AnEmptyProfileIsWellFormed) {
  pb::Profile message = Read("");
  ExpectWellFormed(message);
  EXPECT_EQ(message.sample_size(), 0);
  EXPECT_EQ(message.sample_type_size(), 2);
}

TEST(PprofTest, SamplesOfEqualStackAndThreadAreMerged) {
  pb::Profile message = Read("a;f 2\na@1/2:other;f 3\na;f 4");
  ASSERT_EQ(message.sample_size(), 2);
  EXPECT_THAT(message.sample(0).value(), ElementsAre(6, 6 * 10'101'010));
  EXPECT_THAT(message.sample(1).value(), ElementsAre(3, 3 * 10'101'010));
}

TEST(PprofTest, TheLeafComesFirst) {
  pb::Profile message = Read("a;outer;inner 1");
  auto name = [&](int i) {
    const pb::Location& l =
        message.location(static_cast<int>(message.sample(0).location_id(i)) - 1);
    const pb::Function& f = message.function(static_cast<int>(l.line(0).function_id()) - 1);
    return message.string_table(static_cast<int>(f.name()));
  };
  EXPECT_EQ(name(0), "inner");
  EXPECT_EQ(name(1), "outer");
}

TEST(PprofTest, TheMainExecutableIsTheFirstMapping) {
  auto first = [](absl::string_view text) {
    pb::Profile message = Read(text);
    ExpectWellFormed(message);
    return message.string_table(static_cast<int>(message.mapping(0).filename()));
  };
  EXPECT_EQ(first("a;k ([kernel]+0x1)_[k];l (/lib/libc.so.6+0x1);m (/bin/node+0x1) 1"),
            "/bin/node");
  EXPECT_EQ(first("a;m (/opt/x.so.d/node+0x1);l (/bin/other+0x1) 1"), "/opt/x.so.d/node");
  EXPECT_EQ(first("a;k ([vdso]+0x1);l (/lib/libc.so.6+0x1) 1"), "/lib/libc.so.6");
  EXPECT_EQ(first("a;k ([kernel.kallsyms]_text+0x1)_[k] 1"), "[kernel.kallsyms]");
}

TEST(PprofTest, ReorderedMappingsKeepTheirLocations) {
  pb::Profile message = Read("a;l (/lib/libc.so.6+0x5);m (/bin/node+0x7) 1");
  std::map<std::string, uint64_t> offsets;
  for (const pb::Location& l : message.location()) {
    const pb::Mapping& m = message.mapping(static_cast<int>(l.mapping_id()) - 1);
    offsets[message.string_table(static_cast<int>(m.filename()))] = l.address() - m.memory_start();
  }
  EXPECT_EQ(offsets["/lib/libc.so.6"], 5u);
  EXPECT_EQ(offsets["/bin/node"], 7u);
}

TEST(PprofTest, HostileNamesAreShownAndKept) {
  // A newline and an escape, bytes that are no UTF-8, a direction override, 100 kB.
  pb::Profile message = Read(
      absl::StrCat("a\\xff;x\\n\\x1b[2J;\\xff\\xfe;\\xe2\\x80\\xae;", std::string(100'000, 'n'),
                   ";f /srv/\\x00\\n.js:1_[j] 1\n# comment: \\n\\xff\n# title: \\x1b\n"));
  ExpectWellFormed(message);
  auto name = [&](int i) {
    return message.string_table(static_cast<int>(message.function(i).name()));
  };
  auto system_name = [&](int i) {
    return message.string_table(static_cast<int>(message.function(i).system_name()));
  };
  EXPECT_EQ(name(0), "x\\n\\x1b[2J");
  EXPECT_EQ(system_name(0), "x\n\x1b[2J");
  EXPECT_EQ(name(1), "\\xff\\xfe");
  EXPECT_EQ(system_name(1), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(name(2), "\\u202e");
  EXPECT_EQ(system_name(2), "\xe2\x80\xae");
  EXPECT_EQ(message.string_table(static_cast<int>(message.function(4).filename())),
            "/srv/\\x00\\n.js");
}

TEST(PprofTest, SampleTypesHaveNoDash) {
  ProfileBuilder builder({{"cpu-cycles", "count"}}, {"cpu", "nanoseconds"}, 1);
  absl::StatusOr<Profile> profile = std::move(builder).Build();
  ASSERT_TRUE(profile.ok());
  pb::Profile message = Read(*profile);
  EXPECT_EQ(message.string_table(static_cast<int>(message.sample_type(0).type())), "cpu_cycles");
}

TEST(PprofTest, TheDefaultTypeOfAComparisonIsTheOneThatIsCompared) {
  auto default_type = [](const std::vector<std::string>& names) {
    std::vector<ValueType> types;
    for (const std::string& name : names) types.push_back({name, "nanoseconds"});
    ProfileBuilder builder(types, {"cpu", "nanoseconds"}, 1);
    const Profile profile = std::move(builder).Build().value();
    const pb::Profile message = Read(profile);
    return message.string_table(static_cast<int>(message.default_sample_type()));
  };
  EXPECT_EQ(default_type({"wall", "samples", "base", "base_samples"}), "wall");
  EXPECT_EQ(default_type({"samples", "cpu", "base", "base_cpu"}), "cpu");
}

TEST(PprofTest, ValuesSaturate) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1);
  FunctionId f = builder.AddFunction("f", "f", "", 0, FrameKind::kNative);
  Line line{f, 0, 0};
  StackId stack = builder.AddStack(StackId{}, builder.AddLocation(ImageId{}, 0, {&line, 1}));
  ThreadId thread = builder.AddThread(1, 1, "a", "a");
  std::vector<int64_t> huge = {INT64_MAX};
  builder.AddSample(0, thread, 0, stack, huge);
  builder.AddSample(0, thread, 0, stack, huge);
  builder.accounting().taken = builder.accounting().kept = 2;
  absl::StatusOr<Profile> profile = std::move(builder).Build();
  ASSERT_TRUE(profile.ok());
  EXPECT_THAT(Read(*profile).sample(0).value(), ElementsAre(INT64_MAX));
}

TEST(PprofTest, GroupAndContainerAreLabels) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1);
  FunctionId f = builder.AddFunction("f", "f", "", 0, FrameKind::kNative);
  Line line{f, 0, 0};
  StackId stack = builder.AddStack(StackId{}, builder.AddLocation(ImageId{}, 0, {&line, 1}));
  const std::vector<int64_t> one = {1};
  const std::string container = "/system.slice/docker-" + std::string(64, 'b') + ".scope";
  for (const std::string& cgroup : {container, std::string("/user.slice"), std::string("/")}) {
    builder.AddSample(0, builder.AddThread(1, 1, "a", "a", cgroup), 0, stack, one);
  }
  builder.accounting().taken = builder.accounting().kept = 3;
  absl::StatusOr<Profile> profile = std::move(builder).Build();
  ASSERT_TRUE(profile.ok());
  const pb::Profile message = Read(*profile);
  std::vector<std::string> labels;
  for (const pb::Sample& sample : message.sample()) {
    std::string text;
    for (const pb::Label& label : sample.label()) {
      const std::string& key = message.string_table(static_cast<int>(label.key()));
      if (key != "cgroup" && key != "container") continue;
      absl::StrAppend(&text, key, "=", message.string_table(static_cast<int>(label.str())), " ");
    }
    labels.push_back(text);
  }
  EXPECT_THAT(labels, ElementsAre(absl::StrCat("cgroup=", container, " container=bbbbbbbbbbbb "),
                                  "cgroup=/user.slice ", ""));
}

TEST(PprofTest, IdsThatAreNoNumbersAreLabelsOfTheirName) {
  ProfileBuilder builder({{"samples", "count"}}, {"cpu", "nanoseconds"}, 1);
  builder.AddSample(0, builder.AddThread(0, 0, "", "", "", "pid\ta\ntid\tb"), 0, StackId{},
                    std::vector<int64_t>{1});
  builder.accounting().taken = builder.accounting().kept = 1;
  const pb::Profile message = Read(std::move(builder).Build().value());
  ExpectWellFormed(message);
  EXPECT_EQ(message.sample(0).label_size(), 2);
}

TEST(PprofTest, AFailingSinkEndsTheExport) {
  class FullDisk : public OutputSink {
    absl::Status Append(absl::string_view) override {
      return absl::ResourceExhaustedError("disk full");
    }
  } sink;
  EXPECT_EQ(MakePprofExporter()->Write(ParseProfile("a;f 1"), sink).message(), "disk full");
}

}  // namespace
}  // namespace jprof
