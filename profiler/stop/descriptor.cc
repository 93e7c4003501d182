#include "profiler/stop/descriptor.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "profiler/process/proc_status.h"
#include "profiler/stop/unix_socket.h"

namespace jprof {
namespace {

constexpr size_t kMaxProcText = 16 << 20;
constexpr absl::string_view kPidFd = "anon_inode:[pidfd]";

std::vector<absl::string_view> Words(absl::string_view text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
}

bool ParseHex(absl::string_view text, uint64_t& value) {
  if (absl::StartsWith(text, "0x")) text.remove_prefix(2);
  return !text.empty() && absl::SimpleHexAtoi(text, &value);
}

// "7F000001:1F90" as /proc/net/tcp has it: words in the host's order.
std::string EndpointText(absl::string_view text) {
  const size_t colon = text.find(':');
  uint64_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleHexAtoi(text.substr(colon + 1), &port)) {
    return "";
  }
  const absl::string_view hex = text.substr(0, colon);
  if (hex.size() != 8 && hex.size() != 32) return "";
  uint32_t address[4] = {};
  for (size_t i = 0; i < hex.size() / 8; ++i) {
    uint64_t word = 0;
    if (!absl::SimpleHexAtoi(hex.substr(8 * i, 8), &word)) return "";
    address[i] = static_cast<uint32_t>(word);
  }
  char shown[INET6_ADDRSTRLEN] = {};
  const bool six = hex.size() == 32;
  ::inet_ntop(six ? AF_INET6 : AF_INET, address, shown, sizeof(shown));
  if (port == 0) return absl::StrCat(six ? "[" : "", shown, six ? "]" : "", ":*");
  return absl::StrCat(six ? "[" : "", shown, six ? "]:" : ":", port);
}

constexpr absl::string_view kTcpStates[] = {"",          "established", "syn-sent",  "syn-received",
                                            "fin-wait1", "fin-wait2",   "time-wait", "closed",
                                            "close-wait", "last-ack",   "listening", "closing"};

// The row of a socket in a /proc/PID/net file: its words.
std::vector<std::string> FindSocket(Pid pid, absl::string_view table, absl::string_view inode,
                                    size_t column) {
  auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/net/", table), kMaxProcText);
  if (!text.ok()) return {};
  for (absl::string_view row : absl::StrSplit(*text, '\n')) {
    const std::vector<absl::string_view> words = Words(row);
    if (words.size() > column && words[column] == inode) {
      return {words.begin(), words.end()};
    }
  }
  return {};
}

std::string SocketText(Pid pid, absl::string_view inode) {
  for (absl::string_view table : {"tcp", "tcp6", "udp", "udp6"}) {
    const std::vector<std::string> row = FindSocket(pid, table, inode, 9);
    if (row.empty()) continue;
    uint64_t state = 0;
    const bool tcp = absl::StartsWith(table, "tcp");
    std::string text =
        absl::StrCat(table.substr(0, 3), " ", EndpointText(row[1]));
    if (tcp && absl::SimpleHexAtoi(row[3], &state) && state < std::size(kTcpStates)) {
      if (state == 10) return absl::StrCat(text, " listening");
      absl::StrAppend(&text, " -> ", EndpointText(row[2]));
      if (state != 1) absl::StrAppend(&text, " ", kTcpStates[state]);
    } else if (!absl::EndsWith(row[2], ":0000")) {
      absl::StrAppend(&text, " -> ", EndpointText(row[2]));
    }
    return text;
  }
  const std::vector<std::string> row = FindSocket(pid, "unix", inode, 6);
  if (row.empty()) return absl::StrCat("socket ", inode);
  if (row.size() > 7) return absl::StrCat("unix ", row[7]);
  uint32_t number = 0;
  if (absl::SimpleAtoi(inode, &number)) {
    const std::optional<UnixSocket> socket = AskUnixSocket(number);
    if (const uint32_t peer = socket ? socket->peer : 0; peer != 0) {
      const std::vector<std::string> other =
          FindSocket(pid, "unix", absl::StrCat(peer), 6);
      return absl::StrCat("unix ", inode, " -> ", peer,
                          other.size() > 7 ? absl::StrCat(" ", other[7]) : "");
    }
  }
  return absl::StrCat("unix ", inode);
}

std::string FdInfo(Pid pid, int fd) {
  auto text = ReadProcFile(absl::StrCat("/proc/", pid, "/fdinfo/", fd), kMaxProcText);
  return text.ok() ? *text : "";
}

std::string EpollText(Pid pid, int fd) {
  const size_t watched = WatchedFds(pid, fd).size();
  return absl::StrCat("epoll of ", watched, watched == 1 ? " file" : " files");
}

std::string PidText(Pid pid, int fd) {
  const Pid process = ProcessOfPidFd(pid, fd);
  return process == 0 ? "pidfd" : absl::StrCat("pidfd of process ", process);
}

std::string EventText(Pid pid, int fd) {
  for (absl::string_view line : absl::StrSplit(FdInfo(pid, fd), '\n')) {
    const std::vector<absl::string_view> words = Words(line);
    uint64_t count = 0;
    if (words.size() == 2 && words[0] == "eventfd-count:" && ParseHex(words[1], count)) {
      return absl::StrCat("eventfd, count ", count);
    }
  }
  return "eventfd";
}

}  // namespace

Pid ProcessOfPidFd(Pid pid, int fd) {
  for (absl::string_view line : absl::StrSplit(FdInfo(pid, fd), '\n')) {
    Pid process = 0;
    // -1: it is gone; 0: not of our pid namespace.
    if (absl::ConsumePrefix(&line, "Pid:") && absl::SimpleAtoi(line, &process)) {
      return std::max(process, 0);
    }
  }
  return 0;
}

std::vector<int> WatchedFds(Pid pid, int epoll) {
  std::vector<int> fds;
  for (absl::string_view line : absl::StrSplit(FdInfo(pid, epoll), '\n')) {
    const std::vector<absl::string_view> words = Words(line);
    int fd = -1;
    if (words.size() > 1 && words[0] == "tfd:" && absl::SimpleAtoi(words[1], &fd)) {
      fds.push_back(fd);
    }
  }
  return fds;
}

std::string DescribeFd(Pid pid, int fd) {
  char target[4096];
  const std::string link = absl::StrCat("/proc/", pid, "/fd/", fd);
  const ssize_t size = ::readlink(link.c_str(), target, sizeof(target));
  if (size <= 0) return "";
  const absl::string_view text(target, static_cast<size_t>(size));
  if (absl::StartsWith(text, "socket:[") && absl::EndsWith(text, "]")) {
    return SocketText(pid, text.substr(8, text.size() - 9));
  }
  if (text == "anon_inode:[eventpoll]") return EpollText(pid, fd);
  if (text == "anon_inode:[eventfd]") return EventText(pid, fd);
  if (text == kPidFd) return PidText(pid, fd);
  if (absl::StartsWith(text, "anon_inode:")) {
    absl::string_view name = text.substr(11);
    if (absl::StartsWith(name, "[") && absl::EndsWith(name, "]")) {
      name = name.substr(1, name.size() - 2);
    }
    return std::string(name);
  }
  return std::string(text);
}

}  // namespace jprof
