// Against a server of our own on the loopback interface.
#include "symbolize/debuginfod.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace jprof {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Answers each request with "file", "404" or not at all.
class Server {
 public:
  enum class Answer { kFile, kNotFound, kNever };

  explicit Server(Answer answer) : answer_(answer), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address_), size), 0);
    EXPECT_EQ(::listen(socket_.get(), 8), 0);
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address_), &size);
    url_ = absl::StrCat("http://127.0.0.1:", ntohs(address_.sin_port));
    thread_ = std::thread([this] { Serve(); });
  }
  ~Server() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }

  const std::string& url() const { return url_; }
  // Of all requests whose connections were made before: they are served in their order.
  std::vector<std::string> paths() {
    static const std::string kLast = "/last";
    const UniqueFd client(::socket(AF_INET, SOCK_STREAM, 0));
    const auto* address = reinterpret_cast<const sockaddr*>(&address_);
    EXPECT_EQ(::connect(client.get(), address, sizeof(address_)), 0);
    const std::string request = absl::StrCat("GET ", kLast, " HTTP/1.1\r\n\r\n");
    EXPECT_EQ(::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    const auto has_last = [this] {
      mutex_.AssertReaderHeld();
      return !paths_.empty() && paths_.back() == kLast;
    };
    absl::MutexLock lock(&mutex_, absl::Condition(&has_last));
    paths_.pop_back();
    return paths_;
  }

 private:
  void Serve() {
    std::vector<UniqueFd> unanswered;
    for (;;) {
      UniqueFd client(::accept(socket_.get(), nullptr, nullptr));
      if (!client.valid()) return;
      std::string request;
      char byte;
      while (request.find("\r\n\r\n") == std::string::npos &&
             ::read(client.get(), &byte, 1) == 1) {
        request.push_back(byte);
      }
      const std::vector<std::string> words = absl::StrSplit(request, ' ');
      if (words.size() < 2) continue;  // the client has gone before it asked
      {
        absl::MutexLock lock(&mutex_);
        paths_.push_back(words[1]);
      }
      if (answer_ == Answer::kNever) {
        unanswered.push_back(std::move(client));
        continue;
      }
      const std::string reply =
          answer_ == Answer::kFile
              ? "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfile"
              : "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
      EXPECT_EQ(::send(client.get(), reply.data(), reply.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(reply.size()));
    }
  }

  const Answer answer_;
  UniqueFd socket_;
  sockaddr_in address_ = {};
  std::string url_;
  std::thread thread_;
  absl::Mutex mutex_;
  std::vector<std::string> paths_;
};

class DebuginfodTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string directory = absl::StrCat(testing::TempDir(), "debuginfod-XXXXXX");
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    ::setenv("DEBUGINFOD_CACHE_PATH", directory.c_str(), 1);
    ::unsetenv("http_proxy");
    cache_ = directory;
  }
  void TearDown() override {
    EXPECT_EQ(std::system(absl::StrCat("rm -r '", cache_, "'").c_str()), 0);
  }

  std::string cache_;
};

TEST_F(DebuginfodTest, IsNotThereWithoutServers) {
  ::unsetenv("DEBUGINFOD_URLS");
  EXPECT_EQ(Debuginfod::FromEnvironment(), nullptr);
  ::setenv("DEBUGINFOD_URLS", " ", 1);
  EXPECT_EQ(Debuginfod::FromEnvironment(), nullptr);
}

TEST_F(DebuginfodTest, FetchesByBuildIdOnce) {
  Server server(Server::Answer::kFile);
  ::setenv("DEBUGINFOD_URLS", server.url().c_str(), 1);
  auto debuginfod = Debuginfod::FromEnvironment();
  for (int i = 0; i < 2; ++i) {
    auto file = debuginfod->Fetch("0123abcd");
    ASSERT_TRUE(file.ok()) << file.status();
    char text[8] = {};
    EXPECT_EQ(::pread(file->get(), text, sizeof(text), 0), 4);
    EXPECT_STREQ(text, "file");
  }
  EXPECT_THAT(server.paths(), ElementsAre("/buildid/0123abcd/debuginfo"));
  EXPECT_EQ(debuginfod->Trouble(), "");
}

TEST_F(DebuginfodTest, FilesThatWereFetchedAreNotHeldOpen) {
  Server server(Server::Answer::kFile);
  ::setenv("DEBUGINFOD_URLS", server.url().c_str(), 1);
  auto debuginfod = Debuginfod::FromEnvironment();
  for (const char* id : {"01", "02", "03"}) ASSERT_TRUE(debuginfod->Fetch(id).ok());
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the descriptor of the listing itself
    const std::string file = std::filesystem::read_symlink(entry, gone);
    EXPECT_FALSE(absl::StartsWith(file, cache_)) << file;
  }
}

TEST_F(DebuginfodTest, NothingButABuildIdIsSent) {
  Server server(Server::Answer::kFile);
  ::setenv("DEBUGINFOD_URLS", server.url().c_str(), 1);
  auto debuginfod = Debuginfod::FromEnvironment();
  for (const std::string& id : {std::string(""), std::string("abc"), std::string("../../etc"),
                                std::string("ABCD"), std::string(130, 'a')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(debuginfod->Fetch(id).status())) << id;
  }
  EXPECT_THAT(server.paths(), IsEmpty());
}

TEST_F(DebuginfodTest, WhatNoServerHasIsNotFound) {
  Server server(Server::Answer::kNotFound);
  ::setenv("DEBUGINFOD_URLS", server.url().c_str(), 1);
  auto debuginfod = Debuginfod::FromEnvironment();
  EXPECT_TRUE(absl::IsNotFound(debuginfod->Fetch("0123abcd").status()));
  EXPECT_EQ(debuginfod->Trouble(), "");
}

TEST_F(DebuginfodTest, ServerThatDoesNotAnswerIsGivenUp) {
  Server server(Server::Answer::kNever);
  ::setenv("DEBUGINFOD_URLS", server.url().c_str(), 1);
  // On a busy machine the time may be over before the library has asked.
  absl::Duration patience = absl::Milliseconds(100);
  for (; server.paths().empty() && patience < absl::Minutes(1); patience *= 2) {
    auto debuginfod = Debuginfod::FromEnvironment(patience);
    EXPECT_FALSE(debuginfod->Fetch("0123abcd").ok());
    EXPECT_TRUE(absl::IsUnavailable(debuginfod->Fetch("4567").status()));
    EXPECT_THAT(debuginfod->Trouble(), HasSubstr("2 debug files did not come"));
  }
  EXPECT_THAT(server.paths(), ElementsAre("/buildid/0123abcd/debuginfo"));
  // Nor is it noted in the cache that there is none.
  Server better(Server::Answer::kFile);
  ::setenv("DEBUGINFOD_URLS", better.url().c_str(), 1);
  EXPECT_TRUE(Debuginfod::FromEnvironment()->Fetch("0123abcd").ok());
}

TEST_F(DebuginfodTest, AServerThatCannotBeReachedIsTold) {
  for (const auto& [build_id, url] : std::map<std::string, std::string>{
           {"01", "http://127.0.0.1:1/"}, {"02", "http://[nonsense/"}}) {
    ::setenv("DEBUGINFOD_URLS", url.c_str(), 1);
    auto debuginfod = Debuginfod::FromEnvironment();
    EXPECT_TRUE(absl::IsUnavailable(debuginfod->Fetch(build_id).status())) << url;
    EXPECT_THAT(debuginfod->Trouble(),
                HasSubstr("1 debug files did not come from $DEBUGINFOD_URLS: "));
  }
}

}  // namespace
}  // namespace jprof
