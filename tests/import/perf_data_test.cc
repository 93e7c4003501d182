#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "import/code_names.h"
#include "import/importer.h"
#include "tests/import/read.h"
#include "tests/testing/record_builder.h"

namespace jprof {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kKernelMark = static_cast<uint64_t>(PERF_CONTEXT_KERNEL);
constexpr uint64_t kUserMark = static_cast<uint64_t>(PERF_CONTEXT_USER);

// Says where each offset is; files of which nothing is known have no names.
class FakeNames : public CodeNames {
 public:
  void Name(std::vector<Image>& images) override {
    for (Image& image : images) {
      if (image.offsets.empty()) continue;
      asked.push_back(absl::StrCat(image.path, " ", image.build_id, " ", image.inode));
      if (image.path == "/bin/stripped") {
        image.why = "stripped";
        continue;
      }
      for (size_t i = 0; i < image.offsets.size(); ++i) {
        const std::string name = absl::StrCat("at_", absl::Hex(image.offsets[i]));
        image.frames[i] = {{.name = name, .system_name = name}};
      }
    }
  }
  void Name(Kernel& kernel) override {
    asked.push_back(absl::StrCat(kernel.symbol, " ", absl::Hex(kernel.symbol_address)));
    for (size_t i = 0; i < kernel.addresses.size(); ++i) {
      kernel.names[i] = absl::StrCat("kernel_", absl::Hex(kernel.addresses[i] & 0xffff));
      if ((kernel.addresses[i] & 0xff) == 0xdd) kernel.modules[i] = "driver";
    }
  }

  void Name(Jit& code) override {
    asked.push_back(absl::StrCat("process ", code.pid, ", ", code.age_ns, " ns old"));
    for (size_t i = 0; i < code.addresses.size(); ++i) {
      if (code.addresses[i] < 0x7000'1000) code.names[i] = "JS:*render /srv/app.js:12:3";
    }
    code.why = "some are missing";
  }

  std::vector<std::string> asked;
};

// A stream of one event or two, with the records that RecordBuilder writes.
class Stream {
 public:
  static constexpr uint64_t kSampleType = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP |
                                          PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU |
                                          PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN;

  Stream() {
    Put(uint64_t{0x32454c4946524550});  // PERFILE2
    Put(uint64_t{16});
    Attribute(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, 1);
    Attribute(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, 2);
    records_begin_ = bytes_.size();
  }

  // All but samples: their trailer is another one, so an identifier is put behind it.
  Stream& Add(const RecordBuilder& records) {
    auto bytes = records.bytes();
    for (size_t at = 0; at < bytes.size();) {
      perf_event_header header;
      std::memcpy(&header, bytes.data() + at, sizeof(header));
      bytes_.append(reinterpret_cast<const char*>(bytes.data()) + at, header.size);
      at += header.size;
      header.size += 8;
      std::memcpy(bytes_.data() + bytes_.size() - (header.size - 8), &header, sizeof(header));
      Put(uint64_t{1});
    }
    return *this;
  }
  Stream& Sample(uint64_t time_ns, Pid pid, Tid tid, const std::vector<uint64_t>& chain,
                 uint64_t event = 1, uint16_t misc = PERF_RECORD_MISC_USER,
                 uint64_t period = 1000) {
    Header(PERF_RECORD_SAMPLE, misc, 8 * (7 + chain.size()));
    Put(event);
    Put(uint64_t{0x1111});
    Put(static_cast<uint32_t>(pid));
    Put(static_cast<uint32_t>(tid));
    Put(time_ns);
    Put(uint64_t{3});  // CPU
    Put(period);
    Put(uint64_t{chain.size()});
    for (uint64_t address : chain) Put(address);
    return *this;
  }
  Stream& Record(uint32_t type, const std::string& body) {
    Header(type, 0, body.size());
    bytes_ += body;
    return *this;
  }

  absl::StatusOr<Imported> Read(CodeNames* names = nullptr) const {
    Input input(std::make_unique<MemorySource>(bytes_));
    return ReadProfile(input, names);
  }
  std::string& bytes() { return bytes_; }

  // What was added, as pieces of a zstd stream of so many bytes each, unpacked: in records of one
  // kind and the other by turns.
  std::string PackedRecords(size_t piece_bytes) const {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    Stream packed;
    bool second = false;
    for (size_t at = records_begin_; at < bytes_.size(); at += piece_bytes, second = !second) {
      ZSTD_inBuffer in = {&bytes_[at], std::min(piece_bytes, bytes_.size() - at), 0};
      std::string piece(ZSTD_compressBound(in.size) + 64, '\0');
      ZSTD_outBuffer out = {piece.data(), piece.size(), 0};
      EXPECT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush), 0u);
      piece.resize(out.pos);
      if (second) {
        const auto size = static_cast<uint64_t>(piece.size());
        piece.insert(0, reinterpret_cast<const char*>(&size), sizeof(size));
        piece.resize((piece.size() + 7) & ~size_t{7});
      }
      packed.Record(second ? 83 : 81, piece);
    }
    ZSTD_freeCCtx(context);
    return packed.bytes_.substr(packed.records_begin_);
  }

 private:
  template <typename T>
  void Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void Header(uint32_t type, uint16_t misc, size_t body) {
    Put(type);
    Put(misc);
    Put(static_cast<uint16_t>(8 + body));
  }
  void Attribute(uint32_t type, uint64_t config, uint64_t id) {
    perf_event_attr attribute = {};
    attribute.type = type;
    attribute.size = sizeof(attribute);
    attribute.config = config;
    attribute.sample_freq = 100;
    attribute.freq = 1;
    attribute.sample_type = kSampleType;
    attribute.sample_id_all = 1;
    Header(64, 0, sizeof(attribute) + 8);
    Put(attribute);
    Put(id);
  }

  std::string bytes_;
  size_t records_begin_ = 0;
};

RecordBuilder Maps(Pid pid, absl::string_view path) {
  RecordBuilder records;
  records.Comm(pid, pid, "prog", true);
  records.Mmap2(pid, pid, {{0x10000}, {0x20000}}, path, {.offset = {0x1000}, .file = {8, 1, 77}});
  return records;
}

std::string Folded(const absl::StatusOr<Imported>& imported) {
  EXPECT_TRUE(imported.ok()) << imported.status();
  return imported.ok() ? Write(imported->profile, "folded") : "";
}

TEST(PerfDataTest, AddressesBecomeOffsetsInFilesAndThereGetNames) {
  FakeNames names;
  const auto imported = Stream()
                            .Add(Maps(7, "/bin/prog"))
                            .Sample(50, 7, 7, {kUserMark, 0x10100, 0x10201})
                            .Read(&names);
  // What calls is the instruction before the one that is returned to.
  EXPECT_EQ(Folded(imported), "prog;at_1200;at_1100 1\n");
  EXPECT_THAT(names.asked, ElementsAre("/bin/prog  77"));
  const Profile& p = imported->profile;
  EXPECT_EQ(p.sample_types[1].type, "cpu");
  EXPECT_EQ(p.Value(0, 1), 1000);
  EXPECT_EQ(p.period, 10'000'000);
  EXPECT_EQ(p.samples[0].cpu, 3u);
  EXPECT_EQ(p.images[0].memory_start, 0x10000u);
  EXPECT_EQ(p.images[0].file_offset, 0x1000u);
  EXPECT_EQ(p.locations[0].address, 0x10100u);
  EXPECT_THAT(imported->notes, IsEmpty());
}

TEST(PerfDataTest, WithoutNamesAnAddressIsShownAsWhatIsKnownOfIt) {
  FakeNames names;
  const Stream stream =
      Stream().Add(Maps(7, "/bin/stripped")).Sample(50, 7, 7, {kUserMark, 0x10100, 0x99999999});
  const auto imported = stream.Read(&names);
  EXPECT_EQ(Folded(imported), "prog;[unknown];[unknown] stripped+0x1100 1\n");
  EXPECT_THAT(imported->notes, ElementsAre("perf.data: no names in /bin/stripped: stripped"));
  EXPECT_EQ(Folded(stream.Read()), "prog;[unknown];[unknown] stripped+0x1100 1\n");
}

TEST(PerfDataTest, CodeInNoFileIsNamedByWhatTheProcessTold) {
  FakeNames names;
  RecordBuilder fork;
  fork.Time(20).Fork(8, 8, 7, 7);
  Stream stream;
  stream.Add(Maps(7, "/bin/prog")).Add(fork);
  for (const Pid pid : {7, 8}) {
    RecordBuilder jit;
    jit.Time(30).Mmap2(pid, pid, {{0x7000'0000}, {0x7001'0000}}, "//anon", {});
    stream.Add(jit).Sample(50, pid, pid, {kUserMark, 0x7000'0100, 0x7000'2001, 0x10201});
  }
  const auto imported = stream.Read(&names);
  EXPECT_EQ(Folded(imported), "prog;at_1200;[unknown] [jit];render /srv/app.js:12_[j] 2\n");
  EXPECT_THAT(names.asked, Contains("process 7, 0 ns old"));
  EXPECT_THAT(names.asked, Contains("process 8, 30 ns old"));
  EXPECT_THAT(imported->notes,
              Contains("perf.data: no names in JIT code of process 7: some are missing"));
}

TEST(PerfDataTest, OfALongPathAnAddressShowsAFilesName) {
  const auto imported = Stream()
                            .Add(Maps(7, "/bin/" + std::string(30'000, 'p')))
                            .Sample(50, 7, 7, {kUserMark, 0x10100})
                            .Read();
  EXPECT_EQ(Folded(imported), "prog;[unknown] " + std::string(255, 'p') + "+0x1100 1\n");
}

TEST(PerfDataTest, ACallerThatIsMappedNowhereIsShown) {
  FakeNames names;
  const auto imported =
      Stream().Add(Maps(7, "/bin/prog")).Sample(50, 7, 7, {kUserMark, 0x10100, 0}).Read(&names);
  EXPECT_EQ(Folded(imported), "prog;[unknown];at_1100 1\n");
}

TEST(PerfDataTest, TheKernelsPartOfAChainIsTheKernels) {
  FakeNames names;
  RecordBuilder kernel;
  kernel.Mmap2(-1, 0, {{0xffffffff81000000}, {0xffffffff82000000}}, "[kernel.kallsyms]_text",
               {.offset = {0xffffffff81000000}});
  const auto imported =
      Stream()
          .Add(kernel)
          .Add(Maps(7, "/bin/prog"))
          .Sample(
              50, 7, 7,
              {kKernelMark, 0xffffffff81000010, 0xffffffff810000de, kUserMark, 0x10100, 0x10201}, 1,
              PERF_RECORD_MISC_KERNEL)
          .Sample(60, 0, 0, {kKernelMark, 0xffffffff81000010}, 1, PERF_RECORD_MISC_KERNEL)
          .Read(&names);
  EXPECT_EQ(Folded(imported),
            "prog;at_1200;at_1100;kernel_dd_[k];kernel_10_[k] 1\nswapper;kernel_10_[k] 1\n");
  EXPECT_THAT(names.asked, Contains("_text ffffffff81000000"));
}

TEST(PerfDataTest, RecordsAreTakenInTheOrderOfTime) {
  RecordBuilder fork, exec;
  fork.Time(20).Fork(8, 8, 7, 7);
  exec.Time(40).Comm(8, 8, "other", true);
  FakeNames names;
  // A child has its parent's mappings until it executes another program.
  const auto imported = Stream()
                            .Sample(50, 8, 8, {kUserMark, 0x10100})
                            .Sample(30, 8, 8, {kUserMark, 0x10100})
                            .Add(exec)
                            .Add(fork)
                            .Add(Maps(7, "/bin/prog"))
                            .Read(&names);
  EXPECT_EQ(Folded(imported), "other;[unknown] 1\nprog;at_1100 1\n");
  EXPECT_EQ(imported->profile.samples[1].time_ns, 20);
  EXPECT_EQ(imported->profile.duration_ns, 20);
}

TEST(PerfDataTest, WhatIsMissingIsTold) {
  RecordBuilder lost;
  lost.Lost(5);
  const auto imported = Stream()
                            .Add(Maps(7, "/bin/prog"))
                            .Add(lost)
                            .Sample(50, 7, 7, {kUserMark, 0x10100})
                            .Sample(51, 7, 7, {kUserMark, 0x10100}, 2)
                            .Sample(52, 7, 7, {static_cast<uint64_t>(PERF_CONTEXT_GUEST), 0x10100})
                            .Record(PERF_RECORD_SAMPLE, "short")
                            .Read();
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_THAT(imported->notes,
              ElementsAre("perf.data: 1 samples of other events than cpu-clock",
                          "perf.data: 5 samples were lost while recording",
                          "perf.data: 1 frames of guests or a hypervisor have no names",
                          "perf.data: 1 records are damaged or cut short"));
  EXPECT_EQ(imported->profile.accounting.dropped_ring_full, 5u);
  EXPECT_EQ(imported->profile.samples.size(), 2u);
}

TEST(PerfDataTest, OfADeepStackTheLeafIsKept) {
  std::vector<uint64_t> chain = {kUserMark};
  for (uint64_t i = 0; i < 3000; ++i) chain.push_back(0x10100 + i);
  FakeNames names;
  const auto imported = Stream().Add(Maps(7, "/bin/prog")).Sample(50, 7, 7, chain).Read(&names);
  EXPECT_THAT(Folded(imported), testing::StartsWith("prog;[truncated];at_18ce;"));
  EXPECT_THAT(Folded(imported), testing::EndsWith(";at_1100;at_1100 1\n"));
}

TEST(PerfDataTest, PackedRecordsAreUnpacked) {
  Stream plain;
  plain.Add(Maps(7, "/bin/prog"));
  for (uint64_t i = 0; i < 50; ++i) plain.Sample(50 + i, 7, 7, {kUserMark, 0x10100 + i % 3});
  FakeNames names;
  const std::string folded = Folded(plain.Read(&names));
  EXPECT_THAT(folded, HasSubstr("prog;at_1100 17\n"));
  // Pieces end within records, and within their headers.
  for (size_t piece_bytes : {5, 100, 333, 100'000}) {
    Stream packed;
    packed.bytes() += plain.PackedRecords(piece_bytes);
    const auto imported = packed.Read(&names);
    EXPECT_EQ(Folded(imported), folded) << piece_bytes;
    EXPECT_THAT(imported->notes, IsEmpty());
  }
}

TEST(PerfDataTest, PackedRecordsAreSortedAmongTheOthers) {
  Stream late, stream;
  late.Sample(60, 7, 7, {kUserMark, 0x10100});
  stream.bytes() += late.PackedRecords(1000);
  stream.Sample(50, 7, 7, {kUserMark, 0x10100}).Sample(70, 7, 7, {kUserMark, 0x10100});
  const auto imported = stream.Add(Maps(7, "/bin/prog")).Read();
  ASSERT_TRUE(imported.ok()) << imported.status();
  std::vector<int64_t> times;
  for (const ProfileSample& sample : imported->profile.samples) times.push_back(sample.time_ns);
  EXPECT_THAT(times, ElementsAre(0, 10, 20));
}

TEST(PerfDataTest, WhatIsDamagedOfPackedRecordsIsTold) {
  Stream plain;
  plain.Add(Maps(7, "/bin/prog"));
  for (uint64_t i = 0; i < 50; ++i) plain.Sample(50 + i, 7, 7, {kUserMark, 0x10100 + i});
  Stream stream;
  stream.bytes() += plain.PackedRecords(200);
  // Behind a record's own header.
  const size_t begin = stream.bytes().find("\x51\0\0\0", stream.bytes().size() * 3 / 4, 4) + 9;
  for (size_t i = 0; i < 4; ++i) stream.bytes()[begin + i] ^= 0x55;
  stream.Sample(40, 7, 7, {kUserMark, 0x10100});
  const auto imported = stream.Read();
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_THAT(imported->notes, Contains(HasSubstr("records are damaged or cut short")));
  EXPECT_THAT(imported->profile.samples.size(), testing::AllOf(testing::Gt(1u), testing::Lt(51u)));

  // No length of the second kind, or one that is too large; records of the tool among those of the
  // kernel.
  Stream tool;
  tool.Record(68, "");
  Stream others;
  others.Sample(40, 7, 7, {kUserMark, 0x10100}).Record(83, "").Record(83, std::string(8, '\x7f'));
  others.bytes() += tool.PackedRecords(1000);
  EXPECT_THAT(others.Read()->notes,
              Contains("perf.data: 3 records are damaged or cut short"));
}

TEST(PerfDataTest, FewBytesThatUnpackToManyAreRefused) {
  Stream zeros, bomb;
  zeros.bytes().append(size_t{100} << 20, '\0');
  bomb.bytes() += zeros.PackedRecords(size_t{1} << 20);
  ASSERT_LT(bomb.bytes().size(), 40'000u);
  const absl::Status status = bomb.Read().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("MiB, unpacked"));
}

TEST(PerfDataTest, RecordsThatArePackedOtherwiseAreRefusedWithAWayOut) {
  const uint64_t feature = 27;
  const uint32_t described[] = {1, 2, 1, 1, 1};
  std::string body(reinterpret_cast<const char*>(&feature), sizeof(feature));
  body.append(reinterpret_cast<const char*>(described), sizeof(described));
  const auto imported = Stream().Record(80, body).Record(81, "xxxxxxxx").Read();
  EXPECT_EQ(imported.status().message(),
            "perf.data: its records are packed otherwise than by zstd");
}

TEST(PerfDataTest, AFileThatWasCutShortIsReadAsFarAsItGoes) {
  Stream stream;
  stream.Add(Maps(7, "/bin/prog")).Sample(50, 7, 7, {kUserMark, 0x10100});
  stream.Sample(51, 7, 7, {kUserMark, 0x10100});
  stream.bytes().resize(stream.bytes().size() - 5);
  const auto imported = stream.Read();
  EXPECT_EQ(Folded(imported), "prog;[unknown] prog+0x1100 1\n");
  EXPECT_THAT(imported->notes, ElementsAre("perf.data: 1 records are damaged or cut short"));
}

// What perf 6.1 wrote of a program that calls burn() from two processes.
std::string Recording(absl::string_view name) {
  std::ifstream file(absl::StrCat(JPROF_RECORDINGS, "/", name), std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  EXPECT_FALSE(bytes.str().empty()) << name;
  return bytes.str();
}

TEST(PerfDataTest, AFileOfPerfIsRead) {
  FakeNames names;
  const std::string bytes = Recording("frame_pointers.perf.data");
  Input input(std::make_unique<MemorySource>(bytes));
  const auto imported = ReadProfile(input, &names);
  ASSERT_TRUE(imported.ok()) << imported.status();
  const Profile& p = imported->profile;
  EXPECT_EQ(p.samples.size(), 9u);
  EXPECT_EQ(p.title, "/usr/bin/perf record -q -g -F 49 -o fp.data ./prog");
  EXPECT_EQ(p.comments[0], "recorded by perf on vm, Linux 6.18.44-fc-v595, event cpu-clock");
  EXPECT_THAT(names.asked, Contains(HasSubstr("/srv/jprof-fixture/prog")));
  EXPECT_THAT(Folded(imported), HasSubstr("prog;at_27249;at_11cc;at_117b"));
}

TEST(PerfDataTest, AStreamOfPerfIsRead) {
  FakeNames names;
  const std::string bytes = Recording("stream.perf.data");
  Input input(std::make_unique<MemorySource>(bytes));
  const auto imported = ReadProfile(input, &names);
  EXPECT_THAT(Folded(imported), HasSubstr("prog;at_27249;at_11cc;at_117b"));
  EXPECT_EQ(imported->profile.sample_types[1].type, "cpu");
}

TEST(PerfDataTest, AFileThatPerfPackedIsRead) {
  FakeNames names;
  const std::string bytes = Recording("packed.perf.data");
  Input input(std::make_unique<MemorySource>(bytes));
  const auto imported = ReadProfile(input, &names);
  EXPECT_THAT(Folded(imported), HasSubstr("prog;at_27249;at_117f;at_113a"));
  EXPECT_THAT(imported->notes, IsEmpty());
}

TEST(PerfDataTest, OfAStackThatIsBytesTheInnermostFrameIsShown) {
  FakeNames names;
  const std::string bytes = Recording("dwarf.perf.data");
  Input input(std::make_unique<MemorySource>(bytes));
  const auto imported = ReadProfile(input, &names);
  EXPECT_THAT(Folded(imported), HasSubstr("prog;[truncated];at_117b"));
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_THAT(imported->notes, Contains(HasSubstr("samples have their user stack as bytes only")));
}

}  // namespace
}  // namespace jprof
