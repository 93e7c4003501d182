// A file appears whole or not at all, and what cannot be written is said before the recording.
#include "profiler/cli/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "tests/testing/require.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OutputFileTest : public testing::Test {
 protected:
  OutputFileTest() {
    std::string name = testing::TempDir() + "output_file_test-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~OutputFileTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  std::string Path(absl::string_view name) const {
    return directory_ + "/" + std::string(name);
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
  static std::string Content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  struct stat Stat(absl::string_view name) const {
    struct stat st = {};
    EXPECT_EQ(::stat(Path(name).c_str(), &st), 0) << name;
    return st;
  }
  static void Put(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

  std::string directory_;
};

TEST_F(OutputFileTest, TheFileAppearsAtCommitAndWhole) {
  auto file = OutputFile::Open(Path("out.svg"));
  ASSERT_TRUE(file.ok()) << file.status();
  const std::string big(300'000, 'x');
  ASSERT_TRUE((*file)->Append(big).ok());
  ASSERT_TRUE((*file)->Append("end").ok());
  EXPECT_FALSE(std::filesystem::exists(Path("out.svg")));
  ASSERT_TRUE((*file)->Commit().ok());
  EXPECT_EQ(Content(Path("out.svg")), big + "end");
  EXPECT_THAT(Names(), ElementsAre("out.svg"));
}

TEST_F(OutputFileTest, ANewFileIsItsOwnersWhateverTheUmask) {
  const mode_t before = ::umask(0);
  auto file = OutputFile::Open(Path("out.svg"));
  EXPECT_TRUE(file.ok() && (*file)->Commit().ok());
  ::umask(before);
  EXPECT_EQ(Stat("out.svg").st_mode & 0777, 0600u);
}

TEST_F(OutputFileTest, AReplacedFileKeepsItsModeAndItsOwner) {
  Put(Path("out.svg"), "old");
  ASSERT_EQ(::chmod(Path("out.svg").c_str(), 04640), 0);
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::chown(Path("out.svg").c_str(), 65534, 65533), 0);
    ASSERT_EQ(::chmod(Path("out.svg").c_str(), 04640), 0);  // chown drops 04000
  }
  auto file = OutputFile::Open(Path("out.svg"));
  ASSERT_TRUE(file.ok() && (*file)->Commit().ok());
  EXPECT_EQ(Content(Path("out.svg")), "");
  EXPECT_EQ(Stat("out.svg").st_mode & 07777, 0640u) << "but for set-uid";
  EXPECT_EQ(Stat("out.svg").st_uid, root ? 65534 : ::geteuid());
  EXPECT_EQ(Stat("out.svg").st_gid, root ? 65533 : ::getegid());
}

TEST_F(OutputFileTest, AnothersFileInASharedFolderIsRefused) {
  JPROF_REQUIRE_ROOT();  // to give a file away
  ASSERT_EQ(::chmod(directory_.c_str(), 01777), 0);
  Put(Path("out.svg"), "planted");
  ASSERT_EQ(::chown(Path("out.svg").c_str(), 65534, 65534), 0);
  absl::Status status = OutputFile::Open(Path("out.svg")).status();
  EXPECT_EQ(status.message(), "cannot write " + Path("out.svg") +
                                  ": it belongs to user 65534, in a folder that all may write to");
  EXPECT_EQ(HintOf(status), "remove it, or name another file: -o FILE");

  // It may also come while the recording runs.
  ASSERT_EQ(::unlink(Path("out.svg").c_str()), 0);
  auto file = OutputFile::Open(Path("out.svg"));
  ASSERT_TRUE(file.ok()) << file.status();
  Put(Path("out.svg"), "planted");
  ASSERT_EQ(::chown(Path("out.svg").c_str(), 65534, 65534), 0);
  EXPECT_FALSE((*file)->Commit().ok());
  EXPECT_EQ(Content(Path("out.svg")), "planted");
}

TEST_F(OutputFileTest, AnOldFileIsReplacedAtCommitOnly) {
  Put(Path("out.svg"), "old");
  auto file = OutputFile::Open(Path("out.svg"));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Append("new").ok());
  EXPECT_EQ(Content(Path("out.svg")), "old");
  ASSERT_TRUE((*file)->Commit().ok());
  EXPECT_EQ(Content(Path("out.svg")), "new");
  EXPECT_THAT(Names(), ElementsAre("out.svg"));
}

TEST_F(OutputFileTest, WithoutCommitNothingStaysAndTheOldFileDoes) {
  Put(Path("old.svg"), "old");
  for (const char* name : {"old.svg", "new.svg"}) {
    auto file = OutputFile::Open(Path(name));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Append(std::string(200'000, 'x')).ok());
  }
  EXPECT_THAT(Names(), ElementsAre("old.svg"));
  EXPECT_EQ(Content(Path("old.svg")), "old");
}

TEST_F(OutputFileTest, ARelativeNameIsInTheCurrentDirectory) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(directory_);
  auto file = OutputFile::Open("out.svg");
  EXPECT_TRUE(file.ok() && (*file)->Commit().ok());
  std::filesystem::current_path(before);
  EXPECT_THAT(Names(), ElementsAre("out.svg"));
}

TEST_F(OutputFileTest, ADirectoryIsRefused) {
  absl::Status status = OutputFile::Open(directory_).status();
  EXPECT_EQ(status.message(), "cannot write " + directory_ + ": Is a directory");
  EXPECT_EQ(HintOf(status), "name a file in it: -o FILE");
  status = OutputFile::Open(Path("none/")).status();
  EXPECT_EQ(status.message(), "cannot write " + Path("none/") + ": Is a directory");
}

TEST_F(OutputFileTest, AMissingDirectoryIsNamed) {
  absl::Status status = OutputFile::Open(Path("none/out.svg")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "cannot write " + Path("none/out.svg") + ": No such file or directory");
  EXPECT_EQ(HintOf(status), "make its directory: mkdir -p " + Path("none"));
}

TEST_F(OutputFileTest, ADirectoryThatTakesNoFilesIsSaidTo) {
  const absl::Status status = OutputFile::Open("/proc/out.svg").status();
  EXPECT_EQ(status.message(), "cannot write /proc/out.svg: no files can be made in /proc");
  EXPECT_EQ(HintOf(status), "choose another directory: -o FILE");
}

TEST_F(OutputFileTest, AnUnwritableDirectoryIsToldBeforeAnythingIsWritten) {
  ASSERT_EQ(::chmod(directory_.c_str(), 0555), 0);
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);  // permissions do not bind root
  }
  absl::Status status = OutputFile::Open(Path("out.svg")).status();
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(status.message(), "cannot write " + Path("out.svg") + ": Permission denied");
  EXPECT_THAT(HintOf(status), HasSubstr("-o FILE"));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(OutputFileTest, OfALinkTheFileBehindItIsReplaced) {
  std::filesystem::create_directory(Path("far"));
  Put(Path("far/file"), "old");
  ASSERT_EQ(::symlink("far/next", Path("out.svg").c_str()), 0);
  ASSERT_EQ(::symlink("file", Path("far/next").c_str()), 0);
  for (const char* text : {"new", "created"}) {
    auto file = OutputFile::Open(Path("out.svg"));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Append(text).ok() && (*file)->Commit().ok());
    EXPECT_EQ(Content(Path("far/file")), text);
    EXPECT_TRUE(std::filesystem::is_symlink(Path("out.svg")));
    EXPECT_TRUE(std::filesystem::is_symlink(Path("far/next")));
    ASSERT_EQ(::unlink(Path("far/file").c_str()), 0);  // next: a link to nothing
  }
}

TEST_F(OutputFileTest, ALinkThatAnotherUserMadeIsNotFollowed) {
  JPROF_REQUIRE_ROOT();  // to give a link away
  Put(Path("precious"), "old");
  ASSERT_EQ(::symlink("precious", Path("out.svg").c_str()), 0);
  ASSERT_EQ(::lchown(Path("out.svg").c_str(), 65534, 65534), 0);
  absl::Status status = OutputFile::Open(Path("out.svg")).status();
  EXPECT_EQ(status.message(), "cannot write " + Path("out.svg") +
                                  ": it is a symbolic link that user 65534 made");
  EXPECT_EQ(HintOf(status), "name the file itself: -o FILE");
  EXPECT_EQ(Content(Path("precious")), "old");
}

TEST_F(OutputFileTest, ACircleOfLinksIsRefused) {
  ASSERT_EQ(::symlink("b.svg", Path("a.svg").c_str()), 0);
  ASSERT_EQ(::symlink("a.svg", Path("b.svg").c_str()), 0);
  EXPECT_THAT(std::string(OutputFile::Open(Path("a.svg")).status().message()),
              HasSubstr("Too many levels of symbolic links"));
}

TEST_F(OutputFileTest, AnOpenDescriptorIsWrittenInPlace) {
  Put(Path("log"), "before ");
  UniqueFd log(::open(Path("log").c_str(), O_WRONLY | O_APPEND));
  for (const std::string folder : {"/dev/fd/", "/proc/self/fd/"}) {
    auto file = OutputFile::Open(folder + std::to_string(log.get()));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Append("text ").ok() && (*file)->Commit().ok());
  }
  EXPECT_EQ(Content(Path("log")), "before text text ");
  EXPECT_THAT(Names(), ElementsAre("log"));
  const std::string closed = "/dev/fd/" + std::to_string(log.get());
  log.Reset();
  absl::Status status = OutputFile::Open(closed).status();
  EXPECT_EQ(status.message(), "cannot write " + closed + ": Bad file descriptor");
}

TEST_F(OutputFileTest, NothingIsWrittenToTheNullDevice) {
  auto file = OutputFile::Open("/dev/null");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->Append("text").ok() && (*file)->Commit().ok());
}

TEST_F(OutputFileTest, ASocketIsRefused) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {AF_UNIX, {}};
  Path("s").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_THAT(std::string(OutputFile::Open(Path("s")).status().message()), HasSubstr("a socket"));
  ::close(fd);
}

TEST_F(OutputFileTest, APipeIsWrittenInPlace) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  UniqueFd reader(::open(Path("pipe").c_str(), O_RDONLY | O_NONBLOCK));
  auto file = OutputFile::Open(Path("pipe"));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Append("text").ok());
  ASSERT_TRUE((*file)->Commit().ok());
  char text[8] = {};
  EXPECT_EQ(::read(reader.get(), text, sizeof(text)), 4);
  EXPECT_STREQ(text, "text");
  EXPECT_THAT(Names(), ElementsAre("pipe"));
}

TEST_F(OutputFileTest, APipeWithoutAReaderIsRefusedAtOnce) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  const absl::Status status = OutputFile::Open(Path("pipe")).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot write " + Path("pipe")));
  EXPECT_EQ(HintOf(status), "nobody reads the pipe: start its reader first");
}

TEST_F(OutputFileTest, AnothersPipeInASharedFolderIsRefused) {
  JPROF_REQUIRE_ROOT();  // to give a pipe away
  ASSERT_EQ(::chmod(directory_.c_str(), 01777), 0);
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0666), 0);
  const UniqueFd reader(::open(Path("pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(OutputFile::Open(Path("pipe")).ok());
  ASSERT_EQ(::chown(Path("pipe").c_str(), 65534, 65534), 0);
  EXPECT_EQ(OutputFile::Open(Path("pipe")).status().message(),
            "cannot write " + Path("pipe") +
                ": it belongs to user 65534, in a folder that all may write to");
}

TEST_F(OutputFileTest, AClosedPipeIsAnErrorNotASignal) {
  ::signal(SIGPIPE, SIG_IGN);  // as the command does
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  UniqueFd reader(::open(Path("pipe").c_str(), O_RDONLY | O_NONBLOCK));
  auto file = OutputFile::Open(Path("pipe"));
  ASSERT_TRUE(file.ok()) << file.status();
  reader.Reset();
  ASSERT_TRUE((*file)->Append("text").ok());  // buffered
  absl::Status status = (*file)->Commit();
  EXPECT_EQ(status.message(), "cannot write " + Path("pipe") + ": Broken pipe");
  EXPECT_EQ(HintOf(status), "the reader of the pipe has gone");
}

TEST_F(OutputFileTest, APipeThatDoesNotBlockIsWaitedFor) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  UniqueFd reader(ends[0]), writer(ends[1]);
  auto file = OutputFile::Open(absl::StrCat("/dev/fd/", writer.get()));
  ASSERT_TRUE(file.ok()) << file.status();
  writer.Reset();
  constexpr size_t kBytes = 300'000;  // several times what the pipe holds
  absl::Status status;
  std::thread write([&] {
    status = (*file)->Append(std::string(kBytes, 'x'));
    if (status.ok()) status = (*file)->Commit();
    file->reset();
  });
  std::string text(kBytes, '\0');
  size_t size = 0;
  for (pollfd ready = {reader.get(), POLLIN, 0}; ::poll(&ready, 1, -1) == 1;) {
    const ssize_t n = ::read(reader.get(), text.data(), text.size());
    if (n <= 0) break;
    size += static_cast<size_t>(n);
  }
  write.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(size, kBytes);
}

TEST_F(OutputFileTest, AFullDeviceIsAnErrorOfAppendOrCommit) {
  auto small = OutputFile::Open("/dev/full");
  ASSERT_TRUE(small.ok()) << small.status();
  ASSERT_TRUE((*small)->Append("text").ok());
  absl::Status status = (*small)->Commit();
  EXPECT_EQ(status.message(), "cannot write /dev/full: No space left on device");
  EXPECT_THAT(HintOf(status), HasSubstr("make room"));

  auto big = OutputFile::Open("/dev/full");
  ASSERT_TRUE(big.ok()) << big.status();
  EXPECT_FALSE((*big)->Append(std::string(200'000, 'x')).ok());
}

TEST_F(OutputFileTest, AFileIsNoTerminal) {
  auto file = OutputFile::Open(Path("out.svg"));
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE((*file)->is_terminal());
}

TEST_F(OutputFileTest, ATerminalIsKnownAsOne) {
  UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY));
  ASSERT_TRUE(master.valid());
  ASSERT_EQ(::grantpt(master.get()), 0);
  ASSERT_EQ(::unlockpt(master.get()), 0);
  auto file = OutputFile::Open(::ptsname(master.get()));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->is_terminal());
}

}  // namespace
}  // namespace jprof
