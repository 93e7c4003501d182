// Which files hold a V8 that the helper can read: real ones of every version, whatever their name,
// and forged ones, whose metadata lies.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "helpers/runtime.h"
#include "helpers/v8/v8_code.h"
#include "helpers/v8/v8_layout.h"
#include "jprof_runtimes.h"
#include "symbolize/elf_file.h"
#include "tests/helpers/test_nodes.h"
#include "tests/helpers/v8_blob_files.h"
#include "tests/helpers/v8_heap.h"
#include "tests/symbolize/elf_builder.h"
#include "tests/testing/paths.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

using Found = absl::StatusOr<std::optional<RuntimeImage>>;

const Runtime& V8() { return *BuiltinRuntimes().runtimes[0]; }

Found ProbeFile(const std::string& path) {
  auto image = ElfFile::Open(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path);
  EXPECT_TRUE(image.ok()) << image.status();
  return V8().Probe(*image);
}

jp_v8_layout LayoutOf(const RuntimeImage& image) {
  jp_v8_layout layout;
  EXPECT_EQ(image.layout.size(), sizeof(layout));
  std::memcpy(&layout, image.layout.data(), sizeof(layout));
  return layout;
}

v8::CodeLayout UserLayoutOf(const RuntimeImage& image) {
  v8::CodeLayout layout;
  EXPECT_EQ(image.user_layout.size(), sizeof(layout));
  if (image.user_layout.size() == sizeof(layout)) {
    std::memcpy(&layout, image.user_layout.data(), sizeof(layout));
  }
  return layout;
}

std::string Hex(const jp_v8_layout& layout) {
  std::string hex;
  for (size_t i = 0; i < sizeof(layout); i += 2) {
    uint16_t word;
    std::memcpy(&word, reinterpret_cast<const char*>(&layout) + i, sizeof(word));
    absl::StrAppend(&hex, i, ": ", word, "\n");
  }
  return hex;
}

// Without what only symbols of the builtins tell, which is another thing in each build.
jp_v8_layout WithoutMicrotasks(jp_v8_layout layout) {
  layout.builtins_bytes = layout.microtasks_begin = layout.microtasks_end = 0;
  layout.isolate_microtask = 0;
  return layout;
}

// The layout that tests use, of a file without the code that tells of the isolate.
jp_v8_layout LayoutWithoutCode(int major) {
  jp_v8_layout layout = WithoutMicrotasks(V8LayoutOfNode(major));
  layout.isolate_exit_frame = layout.isolate_fast_call = 0;
  layout.bytecode_array_type = 0;
  layout.handlers = 0;
  return layout;
}

// Where the handler of the first bytecode lies.
int64_t FirstHandler(const std::string& path) {
  auto image = ElfFile::Open(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path);
  int64_t address = 0;
  auto status = image->ForEachSymbol(ElfFile::Table::kSymtab, [&](const ElfFile::Symbol& s) {
    if (s.name == "Builtins_WideHandler") address = static_cast<int64_t>(s.address.value);
    return address == 0;
  });
  EXPECT_TRUE(status.ok()) << path;
  return address;
}

LayoutFact Fact(const RuntimeImage& image, absl::string_view name) {
  for (const LayoutFact& fact : image.facts) {
    if (fact.name == name) return fact;
  }
  ADD_FAILURE() << name;
  return {};
}

void ExpectRejected(const Found& found, absl::string_view why) {
  ASSERT_FALSE(found.ok()) << why;
  EXPECT_EQ(found.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(found.status().message()), HasSubstr(std::string(why)));
}

class RealNodeTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_EQ(WhyNoNode(GetParam()), ""); }
};

INSTANTIATE_TEST_SUITE_P(Node, RealNodeTest, testing::ValuesIn(TestNodes()),
                         [](const auto& test) { return TestNameOf(test.param); });

TEST_P(RealNodeTest, IsRecognisedWithItsVersionAndCode) {
  Found found = ProbeFile(GetParam());
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_TRUE(found->has_value());
  EXPECT_THAT((*found)->version, testing::MatchesRegex("V8 [0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_TRUE((*found)->owns_anonymous_code);
  ASSERT_EQ((*found)->code.size(), 1u);
  const FileRange code = (*found)->code[0];
  // The embedded builtins are between one and three MiB.
  EXPECT_GT(code.end.value - code.begin.value, uint64_t{1} << 19);
  EXPECT_LT(code.end.value - code.begin.value, uint64_t{4} << 20);
}

// The same file without symbols, but for those that the dynamic linker needs.
class StrippedFile {
 public:
  explicit StrippedFile(const std::string& path)
      : path_(absl::StrCat(JPROF_BINARY_DIR, "/tests/helpers/stripped.", TestNameOf(path))) {
    const std::string command = absl::StrCat("strip -o '", path_, "' '", path, "'");
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }
  ~StrippedFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

TEST_P(RealNodeTest, IsRecognisedWhenStripped) {
  const StrippedFile stripped(GetParam());
  Found found = ProbeFile(stripped.path()), whole = ProbeFile(GetParam());
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_TRUE(found->has_value());
  ASSERT_TRUE(whole.ok() && whole->has_value());
  EXPECT_EQ((*found)->version, (*whole)->version);
  jp_v8_layout expected = LayoutOf(**whole);
  expected.builtins_bytes = static_cast<uint32_t>(Fact(**found, "builtins end").value -
                                                  Fact(**found, "builtins begin").value);
  EXPECT_EQ(Hex(LayoutOf(**found)), Hex(expected));
  EXPECT_TRUE(UserLayoutOf(**found) == UserLayoutOf(**whole));
  // `strip` may move a segment in the file, but not in memory.
  EXPECT_EQ(Fact(**found, "builtins begin").value, Fact(**whole, "builtins begin").value);
  // The symbol of the last builtin had no size before V8 8.
  const int64_t end = Fact(**whole, "builtins end").value;
  EXPECT_LE(Fact(**found, "builtins end").value, end);
  EXPECT_GT(Fact(**found, "builtins end").value, end - 4096);
  EXPECT_EQ(Fact(**found, "bytecode handlers begin").value, FirstHandler(GetParam()));
  EXPECT_TRUE((*found)->plumbing.empty());
  EXPECT_TRUE((*whole)->plumbing.empty() && (*whole)->named_code.empty());
  ASSERT_EQ((*found)->code.size(), 1u);
  EXPECT_EQ((*found)->named_code.back().code.end, (*found)->code[0].end);
}

// Addresses and names of builtins as the file's symbols have them.
std::map<uint64_t, std::string> BuiltinSymbols(const ElfFile& image) {
  std::map<uint64_t, std::string> symbols;
  auto status = image.ForEachSymbol(ElfFile::Table::kSymtab, [&](const ElfFile::Symbol& s) {
    if (absl::StartsWith(s.name, "Builtins_")) symbols[s.address.value] = std::string(s.name);
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  return symbols;
}

TEST_P(RealNodeTest, HasTheNamesOfItsSymbolsWhenStripped) {
  const StrippedFile stripped(GetParam());
  Found found = ProbeFile(stripped.path());
  ASSERT_TRUE(found.ok() && found->has_value());
  auto whole = ElfFile::Open(UniqueFd(::open(GetParam().c_str(), O_RDONLY | O_CLOEXEC)), "whole");
  auto image = ElfFile::Open(UniqueFd(::open(stripped.path().c_str(), O_RDONLY | O_CLOEXEC)), "");
  ASSERT_TRUE(whole.ok() && image.ok());
  std::map<uint64_t, std::string> names;
  for (const NamedCode& function : (*found)->named_code) {
    names[image->ToElfAddress(function.code.begin)->value] = function.symbol;
  }
  EXPECT_EQ(names, BuiltinSymbols(*whole));
}

// Under other names the symbols of the metadata are none. The table has the same values, or none.
TEST_P(RealNodeTest, IsReadByItsVersionWithoutMetadata) {
  const StrippedFile stripped(GetParam());
  const std::string command = absl::StrCat("sed -i s/v8dbg_/other_/g '", stripped.path(), "'");
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  Found found = ProbeFile(stripped.path()), whole = ProbeFile(GetParam());
  ASSERT_TRUE(whole.ok() && whole->has_value());
  const std::string& version = (*whole)->version;
  if (!absl::StartsWith(version, "V8 13.") && !absl::StartsWith(version, "V8 14.")) {
    ExpectRejected(found, absl::StrCat(version, " without metadata has no layout in jprof"));
    return;
  }
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ(Hex(LayoutOf(**found)), Hex(WithoutMicrotasks(LayoutOf(**whole))));
  EXPECT_TRUE(UserLayoutOf(**found) == UserLayoutOf(**whole));
}

// What the tests of the helper build their objects with is what the real binary says.
TEST_P(RealNodeTest, HasTheLayoutThatTestsUse) {
  Found found = ProbeFile(GetParam());
  ASSERT_TRUE(found.ok() && found->has_value());
  for (auto [version, major] : {std::pair("V8 10.2.", 18), {"V8 11.3.", 20}, {"V8 12.4.", 22},
                                {"V8 13.6.", 24}}) {
    if (!absl::StartsWith((*found)->version, version)) continue;
    jp_v8_layout expected = WithoutMicrotasks(V8LayoutOfNode(major));
    expected.handlers = static_cast<uint32_t>(FirstHandler(GetParam()) -
                                              Fact(**found, "builtins begin").value);
    EXPECT_EQ(Hex(WithoutMicrotasks(LayoutOf(**found))), Hex(expected));
    return;
  }
  // Of other versions, which JPROF_TEST_NODES may name, the tests build no objects.
}

TEST_P(RealNodeTest, TellsWhereItsMicrotasksRun) {
  Found found = ProbeFile(GetParam());
  ASSERT_TRUE(found.ok() && found->has_value());
  const jp_v8_layout layout = LayoutOf(**found);
  ASSERT_EQ((*found)->code.size(), 1u);
  EXPECT_EQ(layout.builtins_bytes,
            (*found)->code[0].end.value - (*found)->code[0].begin.value);
  EXPECT_GT(layout.microtasks_end, layout.microtasks_begin);
  EXPECT_LT(layout.microtasks_end - layout.microtasks_begin, 8192u);
  EXPECT_LT(layout.microtasks_end, layout.builtins_bytes);
  EXPECT_GT(layout.isolate_microtask, 0);
}

TEST_P(RealNodeTest, IsRecognisedUnderAnyName) {
  const std::string name =
      absl::StrCat(JPROF_BINARY_DIR, "/tests/helpers/libharmless.so.", TestNameOf(GetParam()));
  ::unlink(name.c_str());
  // A link is a file of another name, and costs nothing. It cannot lead to another file system.
  if (::link(GetParam().c_str(), name.c_str()) != 0) {
    ASSERT_EQ(::symlink(GetParam().c_str(), name.c_str()), 0) << std::strerror(errno);
  }
  Found found = ProbeFile(name);
  ::unlink(name.c_str());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->has_value());
}

TEST(V8ProbeTest, OtherProgramsAndLibrariesAreNotV8) {
  for (const char* path : {"/proc/self/exe", "/bin/sh", "/lib/x86_64-linux-gnu/libc.so.6"}) {
    if (::access(path, R_OK) != 0) continue;
    Found found = ProbeFile(path);
    ASSERT_TRUE(found.ok()) << path << ": " << found.status();
    EXPECT_FALSE(found->has_value()) << path;
  }
}

// --- Forged files --------------------------------------------------------------------------------

// A small ELF file with the metadata of a node 20, or with what a test makes of it.
class ForgedV8 {
 public:
  ForgedV8() {
    values_ = {
        {"v8dbg_type_JSFunction__JS_FUNCTION_TYPE", 2066},
        {"v8dbg_type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE", 262},
        {"v8dbg_type_ScopeInfo__SCOPE_INFO_TYPE", 261},
        {"v8dbg_type_Script__SCRIPT_TYPE", 167},
        {"v8dbg_type_JSAsyncFunctionObject__JS_ASYNC_FUNCTION_OBJECT_TYPE", 2106},
        {"v8dbg_type_JSAsyncGeneratorObject__JS_ASYNC_GENERATOR_OBJECT_TYPE", 2107},
        {"v8dbg_type_JSPromise__JS_PROMISE_TYPE", 2063},
        {"v8dbg_type_PromiseReaction__PROMISE_REACTION_TYPE", 163},
        {"v8dbg_type_PromiseCapability__PROMISE_CAPABILITY_TYPE", 161},
        {"v8dbg_type_AsyncGeneratorRequest__ASYNC_GENERATOR_REQUEST_TYPE", 148},
        {"v8dbg_type_PromiseFulfillReactionJobTask__PROMISE_FULFILL_REACTION_JOB_TASK_TYPE", 132},
        {"v8dbg_type_PromiseRejectReactionJobTask__PROMISE_REJECT_REACTION_JOB_TASK_TYPE", 133},
        {"v8dbg_type_PromiseResolveThenableJobTask__PROMISE_RESOLVE_THENABLE_JOB_TASK_TYPE", 136},
        {"v8dbg_FirstNonstringType", 128},
        {"v8dbg_class_Map__instance_type__uint16_t", 12},
        {"v8dbg_class_JSFunction__shared__SharedFunctionInfo", 24},
        {"v8dbg_class_SharedFunctionInfo__function_data__Object", 8},
        {"v8dbg_class_SharedFunctionInfo__name_or_scope_info__Object", 16},
        {"v8dbg_class_SharedFunctionInfo__script_or_debug_info__HeapObject", 32},
        {"v8dbg_class_Script__source__Object", 8},
        {"v8dbg_class_Script__name__Object", 16},
        {"v8dbg_class_String__length__int32_t", 12},
        {"v8dbg_class_SeqOneByteString__chars__char", 16},
        {"v8dbg_class_ConsString__first__String", 16},
        {"v8dbg_class_ConsString__second__String", 24},
        {"v8dbg_class_ThinString__actual__String", 16},
        {"v8dbg_class_SlicedString__parent__String", 16},
        {"v8dbg_class_SlicedString__offset__SMI", 24},
        {"v8dbg_class_ExternalString__resource__Object", 16},
        {"v8dbg_StringRepresentationMask", 7},
        {"v8dbg_SeqStringTag", 0},
        {"v8dbg_ConsStringTag", 1},
        {"v8dbg_ExternalStringTag", 2},
        {"v8dbg_SlicedStringTag", 3},
        {"v8dbg_ThinStringTag", 5},
        {"v8dbg_OneByteStringTag", 8},
        {"v8dbg_frametype_BuiltinExitFrame", 25},
        {"v8dbg_frametype_WasmFrame", 4},
        {"v8dbg_frametype_WasmToJsFrame", 5},
        {"v8dbg_frametype_JsToWasmFrame", 7},
        {"v8dbg_SmiShiftSize", 31},
        {"v8dbg_off_fp_context", -8},
        {"v8dbg_off_fp_function", -16},
        {kMajor, 11},
        {kMinor, 3},
        {"_ZN2v88internal7Version6build_E", 244},
        {"_ZN2v88internal7Version6patch_E", 8},
    };
  }
  ForgedV8& Set(const std::string& name, int32_t value) {
    values_[name] = value;
    return *this;
  }
  ForgedV8& Remove(const std::string& name) {
    values_.erase(name);
    return *this;
  }
  // Symbols "Builtins_*": address and size.
  ForgedV8& Builtin(uint64_t address, uint64_t size) {
    builtins_.emplace_back(address, size);
    return *this;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& [name, value] : values_) result.push_back(name);
    return result;
  }

  Found Probe() const {
    ElfBuilder elf;
    std::string content;
    uint64_t address = kBase;
    for (const auto& [name, value] : values_) {
      elf.Symbol(name, address, 4, STT_OBJECT);
      content.append(reinterpret_cast<const char*>(&value), sizeof(value));
      address += sizeof(value);
    }
    int number = 0;
    const std::vector<std::pair<uint64_t, uint64_t>> usual = {{kCode, 64}, {kCode + 256, 64}};
    for (auto [begin, size] : builtins_.empty() ? usual : builtins_) {
      elf.Symbol(absl::StrCat("Builtins_B", number++), begin, size);
    }
    content.resize(0x2000);
    elf.Segment(ElfBuilder::kContent, kBase, content.size(), content.size(), PF_R | PF_X)
        .CodeSection(kBase, content.size())
        .Content(content);
    auto image = ElfFile::Open(FileOf(elf.Build()), "forged");
    EXPECT_TRUE(image.ok()) << image.status();
    return V8().Probe(*image);
  }

  static constexpr uint64_t kBase = 0x400000;
  static constexpr uint64_t kCode = kBase + 0x1000;
  static constexpr const char* kMajor = "_ZN2v88internal7Version6major_E";
  static constexpr const char* kMinor = "_ZN2v88internal7Version6minor_E";

 private:
  std::map<std::string, int32_t> values_;
  std::vector<std::pair<uint64_t, uint64_t>> builtins_;
};

// Who awaits whom is not shown then; all else is.
TEST(V8ProbeTest, AwaitMetadataThatDoesNotFitIsLeftOut) {
  for (const char* name : {"v8dbg_type_JSAsyncFunctionObject__JS_ASYNC_FUNCTION_OBJECT_TYPE",
                           "v8dbg_type_JSPromise__JS_PROMISE_TYPE",
                           "v8dbg_type_PromiseReaction__PROMISE_REACTION_TYPE"}) {
    for (int value : {0, -1, 161, 70000}) {
      Found found = ForgedV8().Set(name, value).Probe();
      ASSERT_TRUE(found.ok() && found->has_value()) << name << " is " << value;
      EXPECT_EQ(LayoutOf(**found).async_function_type, 0) << name << " is " << value;
    }
  }
}

TEST(V8ProbeTest, SmallFileWithAllMetadataIsV8) {
  Found found = ForgedV8().Probe();
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->version, "V8 11.3.244.8");
  EXPECT_EQ(Hex(LayoutOf(**found)), Hex(LayoutWithoutCode(20)));
  ASSERT_EQ((*found)->code.size(), 1u);
  EXPECT_EQ((*found)->code[0].begin.value, ElfBuilder::kContent + 0x1000);
  EXPECT_EQ((*found)->code[0].end.value, ElfBuilder::kContent + 0x1000 + 256 + 64);
}

TEST(V8ProbeTest, MissingMetadataIsNamed) {
  for (const char* name :
       {"type_JSFunction__JS_FUNCTION_TYPE", "type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE",
        "type_ScopeInfo__SCOPE_INFO_TYPE", "type_Script__SCRIPT_TYPE", "FirstNonstringType"}) {
    ExpectRejected(ForgedV8().Remove(absl::StrCat("v8dbg_", name)).Probe(),
                   absl::StrCat(name, " is missing"));
  }
  ExpectRejected(ForgedV8().Remove("v8dbg_class_String__length__int32_t").Probe(),
                 "String__length is missing");
}

TEST(V8ProbeTest, EachMetadataSymbolMayBeMissingWithoutACrash) {
  for (const std::string& name : ForgedV8().names()) {
    Found found = ForgedV8().Remove(name).Probe();
    EXPECT_TRUE(!found.ok() || found->has_value()) << name;
  }
}

TEST(V8ProbeTest, NoValueMakesALayoutThatReadsOutOfBounds) {
  for (const std::string& name : ForgedV8().names()) {
    for (int32_t value : {INT32_MIN, -1, 0, 1, 7, 9, 12, 63, 64, 100, 256, 300, 65535, 65536,
                          INT32_MAX}) {
      Found found = ForgedV8().Set(name, value).Probe();
      if (!found.ok()) {
        EXPECT_EQ(found.status().code(), absl::StatusCode::kFailedPrecondition);
        continue;
      }
      ASSERT_TRUE(found->has_value()) << name << " " << value;
      const jp_v8_layout l = LayoutOf(**found);
      // The helper uses these as indices into the words that it read.
      EXPECT_EQ(l.function_shared % 8, 0) << name;
      EXPECT_LT(l.function_shared / 8, 6) << name;
      for (uint16_t offset : {l.shared_data, l.shared_name_or_scope_info, l.shared_script}) {
        EXPECT_EQ(offset % 8, 0) << name;
        EXPECT_LT(offset / 8, 7) << name;
      }
      EXPECT_LT(l.first_nonstring_type, l.shared_type) << name;
      EXPECT_LE(l.first_js_function_type, l.last_js_function_type) << name;
    }
  }
}

TEST(V8ProbeTest, MetadataThatContradictsItselfIsRejected) {
  const char* shared = "v8dbg_type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE";
  ExpectRejected(ForgedV8().Set(shared, 261).Probe(), "two types with one number");
  ExpectRejected(ForgedV8().Set(shared, 100).Probe(), "a type among the strings");
  ExpectRejected(ForgedV8().Set("v8dbg_ThinStringTag", 1).Probe(), "with one tag");
  ExpectRejected(ForgedV8().Set("v8dbg_class_JSFunction__shared__SharedFunctionInfo", 20).Probe(),
                 "beyond the object");
  ExpectRejected(ForgedV8().Set("v8dbg_class_JSFunction__shared__SharedFunctionInfo", 300).Probe(),
                 "JSFunction__shared is 300");
  ExpectRejected(ForgedV8().Set("v8dbg_off_fp_context", -24).Probe(), "the frame's slots");
  ExpectRejected(ForgedV8().Set("v8dbg_SmiShiftSize", 0).Probe(), "compressed pointers");
}

TEST(V8ProbeTest, RangeOfFunctionTypesIsChecked) {
  const auto with_range = [](int32_t first, int32_t last) {
    return ForgedV8().Set("v8dbg_FirstJSFunctionType", first).Set("v8dbg_LastJSFunctionType", last);
  };
  Found found = with_range(2066, 2082).Probe();
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(LayoutOf(**found).last_js_function_type, 2082);
  for (auto [first, last] : {std::pair(2066, 2065), {2066, 4000}, {-5, 5}, {INT32_MAX, INT32_MAX},
                             {INT32_MAX, INT32_MIN}, {70000, 70010}, {65530, 65540}}) {
    ExpectRejected(with_range(first, last).Probe(), "the range of JSFunction types");
  }
}

// A ScopeInfo was an array, with its length in front; under two names.
TEST(V8ProbeTest, ScopeInfoThatIsAnArrayBeginsBehindItsLength) {
  for (const char* parent : {"FixedArray", "FixedArrayBase", "HeapObject"}) {
    Found found = ForgedV8().Set(absl::StrCat("v8dbg_parent_ScopeInfo__", parent), 0).Probe();
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(LayoutOf(**found).scope_slots, absl::StartsWith(parent, "Fixed") ? 16 : 8) << parent;
  }
}

TEST(V8ProbeTest, EarlyReleasesOfAMajorHaveRowsOfTheirOwn) {
  const auto with_version = [](int32_t major, int32_t minor) {
    return ForgedV8().Set(ForgedV8::kMajor, major).Set(ForgedV8::kMinor, minor).Probe();
  };
  Found found = with_version(7, 4);  // Node 12.0
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(LayoutOf(**found).scope_module_type, 2);
  found = with_version(7, 8);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(LayoutOf(**found).scope_module_type, 3);
  EXPECT_TRUE(with_version(9, 0).ok());  // Node 16.0
  ExpectRejected(with_version(7, 5), "V8 7.5.244.8 has no layout");
}

TEST(V8ProbeTest, UnknownVersionsAreNamed) {
  ExpectRejected(ForgedV8().Set(ForgedV8::kMajor, 99).Probe(), "V8 99.3.244.8 has no layout");
  ExpectRejected(ForgedV8().Set(ForgedV8::kMinor, 4).Probe(), "V8 11.4.244.8 has no layout");
  ExpectRejected(ForgedV8().Remove(ForgedV8::kMajor).Probe(), "unknown version");
  ExpectRejected(ForgedV8().Set(ForgedV8::kMajor, -1).Probe(), "unknown version");
}

TEST(V8ProbeTest, BuiltinsMustLieInTheFile) {
  constexpr uint64_t kCode = ForgedV8::kCode;
  ExpectRejected(ForgedV8().Builtin(0x900000, 64).Probe(), "builtins were not found");
  ExpectRejected(ForgedV8().Builtin(kCode, uint64_t{1} << 40).Probe(), "builtins were not found");
  ExpectRejected(ForgedV8().Builtin(kCode, ~uint64_t{0}).Probe(), "builtins were not found");
  ExpectRejected(ForgedV8().Builtin(kCode, 64).Builtin(kCode + (1 << 30), 64).Probe(),
                 "builtins were not found");
}

TEST(V8ProbeTest, OneMetadataSymbolAloneIsNotEnough) {
  ElfBuilder elf;
  elf.Segment(ElfBuilder::kContent, 0x400000, 16, 16, PF_R | PF_X)
      .CodeSection(0x400000, 16)
      .Content(std::string(16, '\0'))
      .Symbol("v8dbg_FirstNonstringType", 0x400000, 4, STT_OBJECT);
  auto image = ElfFile::Open(FileOf(elf.Build()), "forged");
  ASSERT_TRUE(image.ok()) << image.status();
  ExpectRejected(V8().Probe(*image), "unknown version");
}

TEST(V8ProbeTest, AProgramThatExportsV8AndTellsNothingIsSaidToHoldOne) {
  auto probe = [](absl::string_view symbol) {
    ElfBuilder elf;
    elf.Segment(ElfBuilder::kContent, 0x400000, 16, 16, PF_R | PF_X)
        .CodeSection(0x400000, 16)
        .Content(std::string(16, '\0'))
        .DynamicSymbol(symbol, 0x400000, 4, STT_FUNC);
    auto image = ElfFile::Open(FileOf(elf.Build()), "embedder");
    EXPECT_TRUE(image.ok()) << image.status();
    return V8().Probe(*image);
  };
  ExpectRejected(probe("_ZN2v82V810GetVersionEv"), "V8 that tells neither its version nor");
  Found found = probe("_ZN2v82V811GetVersionsEv");
  EXPECT_TRUE(found.ok() && !found->has_value());
}

// --- Stripped files ------------------------------------------------------------------------------

// A file that says its version, and nothing else but what a blob says.
Found ProbeStripped(BlobFile blob, int32_t major, int32_t minor) {
  BlobFile::Store(blob.data, 0, static_cast<uint32_t>(major));
  BlobFile::Store(blob.data, 4, static_cast<uint32_t>(minor));
  const auto elf = blob.Elf()
                       .DynamicSymbol(ForgedV8::kMajor, BlobFile::kData, 4, STT_OBJECT)
                       .DynamicSymbol(ForgedV8::kMinor, BlobFile::kData + 4, 4, STT_OBJECT);
  auto image = ElfFile::Open(FileOf(elf.Build()), "stripped");
  EXPECT_TRUE(image.ok()) << image.status();
  return V8().Probe(*image);
}

TEST(V8ProbeTest, StrippedFileIsReadByItsVersion) {
  Found found = ProbeStripped(BlobFile(), 13, 6);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->version, "V8 13.6.0.0");
  jp_v8_layout expected = LayoutWithoutCode(24);
  expected.bytecode_array_type = V8LayoutOfNode(24).bytecode_array_type;
  expected.handlers = static_cast<uint32_t>(Fact(**found, "bytecode handlers begin").value -
                                            Fact(**found, "builtins begin").value);
  EXPECT_EQ(Hex(LayoutOf(**found)), Hex(expected));
  EXPECT_FALSE((*found)->user_layout.empty());
  EXPECT_EQ((*found)->code.size(), 1u);
  EXPECT_EQ((*found)->plumbing.size(), 1u);
}

TEST(V8ProbeTest, StrippedFileOfAVersionThatKeepsItsMetadataIsNotRead) {
  ExpectRejected(ProbeStripped(BlobFile(), 12, 4), "V8 12.4.0.0 without metadata has no layout");
  ExpectRejected(ProbeStripped(BlobFile(), 15, 1), "V8 15.1.0.0 has no layout");
}

TEST(V8ProbeTest, StrippedFileWithoutABlobIsNotRead) {
  BlobFile blob;
  blob.text.assign(blob.text.size(), '\x90');
  ExpectRejected(ProbeStripped(blob, 13, 6), "the embedded builtins were not found");
}

TEST(V8ProbeTest, EachNumberOfALayoutHasASource) {
  using Source = LayoutFact::Source;
  Found whole = ForgedV8().Probe(), stripped = ProbeStripped(BlobFile(), 13, 6);
  ASSERT_TRUE(whole.ok() && stripped.ok());
  const auto expect = [](const Found& found, absl::string_view name, int64_t value, Source source) {
    const LayoutFact fact = Fact(**found, name);
    EXPECT_EQ(fact.value, value) << name;
    EXPECT_EQ(fact.source, source) << name;
  };
  expect(whole, "JSFunction__shared", 24, Source::kSymbol);
  expect(whole, "Script__id", 64, Source::kTable);
  expect(whole, "builtins begin", ForgedV8::kCode, Source::kSymbol);
  expect(stripped, "JSFunction__shared", 32, Source::kTable);
  expect(stripped, "type_Script__SCRIPT_TYPE", 167, Source::kTable);
  expect(stripped, "builtins begin", BlobFile::kCode, Source::kDerived);
}

}  // namespace
}  // namespace jprof
