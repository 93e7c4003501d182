#include "profiler/pipeline/target_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "profiler/process/proc_status.h"
#include "profiler/process/resident_memory.h"
#include "tests/testing/hung_fuse.h"
#include "tests/testing/require.h"
#include "tests/testing/spawn.h"

namespace jprof {
namespace {

using ::testing::HasSubstr;

class TargetFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    JPROF_REQUIRE_ROOT();
    absl::StatusOr<std::shared_ptr<SymbolizerProcess>> readers = StartFileReaders();
    ASSERT_TRUE(readers.ok()) << readers.status();
    files_.emplace(*std::move(readers));
  }

  // Of a file that the process has mapped.
  MapEvent MappingOf(Pid pid, const std::string& name) {
    const absl::StatusOr<std::vector<ProcMapping>> maps = files_->ReadMaps(pid);
    EXPECT_TRUE(maps.ok()) << maps.status();
    for (const ProcMapping& m : maps.value_or(std::vector<ProcMapping>())) {
      if (m.executable && absl::StrContains(m.path, name)) {
        return {1, pid, m.range, m.offset, m.file, m.path};
      }
    }
    ADD_FAILURE() << name << " is not mapped";
    return {};
  }

  std::optional<TargetFiles> files_;
};

Child Start(const std::string& program) {
  absl::StatusOr<Child> child = Child::SpawnReady({program});
  if (!child.ok()) {
    ADD_FAILURE() << child.status();
    std::abort();
  }
  return *std::move(child);
}

TEST_F(TargetFilesTest, FilesOfThisMachineAreOpenToBeRead) {
  const Child spin = Start(TestProgram("spin"));
  absl::StatusOr<UniqueFd> file = files_->OpenMapped(MappingOf(spin.pid(), "spin"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE(IsPathOnly(*file));
  char magic[4];
  EXPECT_EQ(::pread(file->get(), magic, 4, 0), 4);
  EXPECT_EQ(files_->Trouble(), "");
}

TEST_F(TargetFilesTest, ErrorsAreThoseOfWhoTried) {
  const Child spin = Start(TestProgram("spin"));
  MapEvent map = MappingOf(spin.pid(), "spin");
  map.path = "/nowhere";
  map.file.inode += 1;
  const absl::Status status = files_->OpenMapped(map).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere"));
  EXPECT_EQ(files_->silent_processes(), 0u);
}

TEST_F(TargetFilesTest, AFileSystemThatMayHangIsHeldByItsPathAlone) {
  HungFuse fuse(TestProgram("spin"));
  const Child process = Start(fuse.file());
  absl::StatusOr<UniqueFd> file = files_->OpenMapped(MappingOf(process.pid(), "/file"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(IsPathOnly(*file));
  absl::StatusOr<UniqueFd> again = files_->OpenAgain(*file, "file");
  ASSERT_TRUE(again.ok()) << again.status();
  char magic[4];
  EXPECT_EQ(::pread(again->get(), magic, 4, 0), 4);
}

TEST_F(TargetFilesTest, CallFrameInformationIsFoundUnlessItsFileHangs) {
  HungFuse fuse(TestProgram("spin"));
  const Child process = Start(fuse.file());
  const Child other = Start(TestProgram("spin"));
  const MapEvent hung = MappingOf(process.pid(), "/file"),
                 answering = MappingOf(other.pid(), "spin");
  // The entry of some function of it.
  auto find = [&](const MapEvent& map) {
    std::vector<uint64_t> addresses;
    for (uint64_t at = map.range.begin.value; at < map.range.end.value; at += 64) {
      addresses.push_back(at);
    }
    absl::StatusOr<std::vector<FrameCode>> found = files_->FindCode(map.pid, addresses);
    if (!found.ok()) return found.status();
    EXPECT_EQ(found->size(), addresses.size());
    EXPECT_TRUE(std::any_of(found->begin(), found->end(), [](const FrameCode& code) {
      return code.address != 0 && code.fde.size() > 8 && code.cie.size() > 8;
    }));
    return absl::OkStatus();
  };
  EXPECT_TRUE(find(hung).ok());
  fuse.Hang();
  EXPECT_TRUE(absl::IsDeadlineExceeded(find(hung)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(find(hung)));
  EXPECT_TRUE(find(answering).ok());
  EXPECT_EQ(files_->left_behind(), 1u);
  EXPECT_THAT(files_->Trouble(), HasSubstr("call-frame information of process "));
  fuse.AnswerAgain();
  absl::Status status = find(hung);
  while (absl::IsDeadlineExceeded(status)) {
    ::usleep(1000);
    status = find(hung);
  }
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(TargetFilesTest, OneThatHangsCostsItsOwnFilesUntilItAnswers) {
  HungFuse fuse(TestProgram("spin"));
  const Child process = Start(fuse.file());
  const Child other = Start(TestProgram("spin"));
  const MapEvent hung = MappingOf(process.pid(), "/file");
  fuse.Hang();
  const absl::Status status = files_->OpenMapped(hung).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(absl::IsDeadlineExceeded(files_->OpenMapped(hung).status()));
  EXPECT_TRUE(files_->OpenMapped(MappingOf(other.pid(), "spin")).ok());
  EXPECT_TRUE(files_->OpenMapped(MappingOf(process.pid(), "libc.so")).ok());
  EXPECT_EQ(files_->silent_processes(), 1u);
  EXPECT_THAT(files_->Trouble(), HasSubstr(hung.path));
  fuse.AnswerAgain();
  absl::StatusOr<UniqueFd> file = files_->OpenMapped(hung);
  while (absl::IsDeadlineExceeded(file.status())) {
    ::usleep(1000);
    file = files_->OpenMapped(hung);
  }
  EXPECT_TRUE(file.ok()) << file.status();
}

TEST_F(TargetFilesTest, ProcessesOfOneFileSystemDoNotWaitOneByOne) {
  HungFuse fuse(TestProgram("spin"));
  std::vector<Child> processes;
  std::vector<MapEvent> maps;
  for (size_t i = 0; i < 4; ++i) {
    processes.push_back(Start(fuse.file()));
    maps.push_back(MappingOf(processes.back().pid(), "/file"));
  }
  fuse.Hang();
  for (const MapEvent& map : maps) {
    EXPECT_TRUE(absl::IsDeadlineExceeded(files_->OpenMapped(map).status()));
  }
  EXPECT_EQ(files_->silent_processes(), processes.size());
  EXPECT_EQ(files_->left_behind(), 1u);
}

TEST_F(TargetFilesTest, AFileThatIsWrittenIsReadInPartsAsLongAsItAnswers) {
  HungFuse fuse(TestProgram("spin"));
  const Child process = Start(TestProgram("spin"));
  absl::StatusOr<UniqueFd> folder = OpenProcess(process.pid());
  ASSERT_TRUE(folder.ok()) << folder.status();
  absl::StatusOr<UniqueFd> file = files_->OpenInProcess(process.pid(), *folder, fuse.file(),
                                                        LinkPolicy::kRefuse, "the file");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(IsPathOnly(*file));
  const absl::StatusOr<FilePart> head = files_->ReadPart(process.pid(), *file, 0, "the file");
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->file_size, std::filesystem::file_size(TestProgram("spin")));
  EXPECT_EQ(head->bytes.substr(0, 4), "\x7f" "ELF");
  const absl::StatusOr<FilePart> rest = files_->ReadPart(process.pid(), *file, 4, "the file");
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_EQ(rest->bytes.substr(0, 100), head->bytes.substr(4, 100));
  fuse.Hang();
  for (int i = 0; i < 2; ++i) {
    const absl::Status status =
        files_->ReadPart(process.pid(), *file, 0, "the file").status();
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  }
  EXPECT_EQ(files_->left_behind(), 1u);
  EXPECT_EQ(files_->silent_processes(), 1u);
}

TEST_F(TargetFilesTest, MemoryThatHangsCostsItselfAlone) {
  const Child process = Start(TestProgram("hung_stack"));
  const Child other = Start(TestProgram("spin"));
  const std::shared_ptr<TargetFiles> files(&*files_, [](TargetFiles*) {});
  auto stack_of = [&](Pid pid) {
    for (const ProcMapping& m : files->ReadMaps(pid).value_or(std::vector<ProcMapping>())) {
      if (m.path == "[stack]") return m.range;
    }
    ADD_FAILURE() << "no stack";
    return AddressRange();
  };
  // What hangs lies just below, as a mapping of its own.
  const AddressRange stack = stack_of(process.pid());
  const Address hung = {stack.begin.value - 4096};
  const ResidentMemory memory(process.pid(),
                              std::make_unique<TargetMemory>(files, process.pid()));
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(memory.ReadValue<uint64_t>(hung));
    EXPECT_TRUE(memory.ReadValue<uint64_t>({stack.end.value - 8}));
  }
  EXPECT_TRUE(TargetMemory(files, other.pid())
                  .ReadValue<uint64_t>({stack_of(other.pid()).end.value - 8}));
  EXPECT_EQ(files_->left_behind(), 1u);
  EXPECT_EQ(files_->silent_processes(), 1u);
  EXPECT_THAT(files_->Trouble(), HasSubstr(absl::StrCat("memory of process ", process.pid())));
}

}  // namespace
}  // namespace jprof
