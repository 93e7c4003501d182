#include "symbolize/symbolizer_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "symbolize/byte_cursor.h"
#include "symbolize/image_threads.h"
#include "symbolize/message_fields.h"
#include "symbolize/sandbox.h"
#include "symbolize/source_map_message.h"
#include "symbolize/symbolizer_message.h"

namespace jprof {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kMaxMessageBytes = uint64_t{64} << 20;
constexpr size_t kMaxDescriptors = 16;
constexpr int kWorkerSocket = 3;
constexpr std::chrono::seconds kTimeOfAllMaps{20};

enum class MessageType : uint32_t {
  kWork,       // to the worker: an image
  kFind,       // from it: what debug file it wants
  kFound,      // to it: candidates, as descriptors
  kDone,       // from it: names
  kMap,        // to the worker: a source map, which it answers with kDone
  kErrand,     // to the stand-in
  kReturned,   // from it, with what it has got; then kDone, when it has nothing of it any more
  kNewWorker,  // to the forker, with the worker's socket
  kNewStandIn,  // the same of a stand-in
  kForked,     // from it: the errno, 0 for none, and the new process
  kSandboxed,  // from the worker, first of all: the parts of its sandbox that took effect
};

struct Header {
  MessageType type;
  uint32_t descriptors;
  uint64_t bytes;  // that follow
};

struct Message {
  MessageType type = MessageType::kWork;
  std::string bytes;
  std::vector<UniqueFd> descriptors;
};

// Waits until the socket is ready for `events`. False: it is not, by then.
bool Await(int socket, short events, Clock::time_point deadline) {
  for (;;) {
    int timeout_ms = -1;
    if (deadline != Clock::time_point::max()) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
      timeout_ms = static_cast<int>(std::clamp<int64_t>(left.count() + 1, 0, 1'000'000));
    }
    pollfd fd = {socket, events, 0};
    const int ready = ::poll(&fd, 1, timeout_ms);
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

constexpr Clock::time_point kForever = Clock::time_point::max();

// With a deadline the socket does not block; without one it does, which a worker needs, having no
// poll().
bool SendBytes(int socket, const char* bytes, size_t size, Clock::time_point deadline) {
  while (size > 0) {
    const ssize_t sent = ::send(socket, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN && Await(socket, POLLOUT, deadline)) continue;
    if (sent <= 0) return false;
    bytes += sent;
    size -= static_cast<size_t>(sent);
  }
  return true;
}

bool ReceiveBytes(int socket, char* bytes, size_t size, Clock::time_point deadline) {
  while (size > 0) {
    // A sender that never ends has its deadline, too.
    if (Clock::now() > deadline) return false;
    const ssize_t got = ::recv(socket, bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN && Await(socket, POLLIN, deadline)) continue;
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool Send(int socket, MessageType type, absl::string_view bytes, std::span<const int> descriptors,
          Clock::time_point deadline) {
  Header header = {type, static_cast<uint32_t>(descriptors.size()), bytes.size()};
  iovec part = {&header, sizeof(header)};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN && Await(socket, POLLOUT, deadline)) continue;
    // So little is never sent in part.
    return sent == sizeof(header) && SendBytes(socket, bytes.data(), bytes.size(), deadline);
  }
}

// False: the other end is gone, silent, or says what is no message.
bool Receive(int socket, Message* out, Clock::time_point deadline) {
  Header header = {};
  iovec part = {&header, sizeof(header)};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  msghdr message = {};
  ssize_t got;
  do {
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 &&
           (errno == EINTR || (errno == EAGAIN && Await(socket, POLLIN, deadline))));
  out->descriptors.clear();
  for (cmsghdr* c = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr; c != nullptr;
       c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
      out->descriptors.emplace_back(fd);
    }
  }
  if (got <= 0 ||
      !ReceiveBytes(socket, reinterpret_cast<char*>(&header) + got,
                    sizeof(header) - static_cast<size_t>(got), deadline) ||
      header.bytes > kMaxMessageBytes || header.descriptors != out->descriptors.size()) {
    return false;
  }
  out->type = header.type;
  out->bytes.clear();
  // Memory for what has come; for what is announced an address range alone.
  constexpr uint64_t kPiece = 1 << 20;
  out->bytes.reserve(header.bytes);
  while (out->bytes.size() < header.bytes) {
    const size_t at = out->bytes.size();
    out->bytes.resize(std::min(header.bytes, at + kPiece));
    if (!ReceiveBytes(socket, &out->bytes[at], out->bytes.size() - at, deadline)) return false;
  }
  return true;
}

class RemoteFinder : public DebugFileFinder {
 public:
  std::vector<UniqueFd> Find(size_t, const Request& request) override {
    Message answer;
    if (!Send(kWorkerSocket, MessageType::kFind, EncodeRequest(request), {}, kForever) ||
        !Receive(kWorkerSocket, &answer, kForever) || answer.type != MessageType::kFound) {
      ::_exit(1);
    }
    return std::move(answer.descriptors);
  }
};

// What the worker answers; nullopt: the work is nonsense.
std::optional<std::string> ReadImage(const std::string& work, UniqueFd file) {
  std::vector<ImageQuery> queries(1);
  if (!DecodeWork(work, &queries[0])) return std::nullopt;
  queries[0].file = std::move(file);
  RemoteFinder finder;
  SymbolizeImages(queries, 1, &finder);
  return EncodeResult(queries[0]);
}

std::optional<std::string> ReadMap(const std::string& work, UniqueFd file) {
  SourceMapQuery query;
  if (!DecodeMap(work, &query)) return std::nullopt;
  query.file = std::move(file);
  ReadSourceMap(query);
  return EncodeOriginals(query);
}

[[noreturn]] void RunWorker(const SymbolizerProcess::Limits& limits) {
  MessageWriter sandbox;
  sandbox.U32(GiveUpEverything(limits.memory_bytes));
  Message work;
  if (!Send(kWorkerSocket, MessageType::kSandboxed, std::move(sandbox).bytes(), {}, kForever)) {
    ::_exit(1);
  }
  while (Receive(kWorkerSocket, &work, kForever) && work.descriptors.size() <= 1) {
    UniqueFd file = work.descriptors.empty() ? UniqueFd() : std::move(work.descriptors[0]);
    const itimerval cpu_time = {{}, {limits.cpu_seconds, 0}};
    ::setitimer(ITIMER_PROF, &cpu_time, nullptr);  // SIGPROF ends it
    const std::optional<std::string> answer = work.type == MessageType::kWork
                                                  ? ReadImage(work.bytes, std::move(file))
                                              : work.type == MessageType::kMap
                                                  ? ReadMap(work.bytes, std::move(file))
                                                  : std::nullopt;
    if (!answer || !Send(kWorkerSocket, MessageType::kDone, *answer, {}, kForever)) break;
  }
  ::_exit(0);
}

[[noreturn]] void RunStandIn(SymbolizerProcess::Errand errand) {
  ::prctl(PR_SET_NAME, "jprof-files");
  Message message;
  while (Receive(kWorkerSocket, &message, kForever) && message.type == MessageType::kErrand) {
    SymbolizerProcess::Parcel result =
        errand({std::move(message.bytes), std::exchange(message.descriptors, {})});
    std::vector<int> descriptors;
    for (const UniqueFd& fd : result.descriptors) descriptors.push_back(fd.get());
    if (!Send(kWorkerSocket, MessageType::kReturned, result.text, descriptors, kForever)) break;
    result.descriptors.clear();  // closing may wait as well
    if (!Send(kWorkerSocket, MessageType::kDone, "", {}, kForever)) break;
  }
  ::_exit(0);
}

// Leaves `socket` alone of all descriptors, as number 3.
void KeepOnly(int socket) {
  const int null = ::open("/dev/null", O_RDWR);
  for (int fd : {0, 1, 2}) ::dup2(null, fd);
  if (socket != kWorkerSocket) ::dup2(socket, kWorkerSocket);
  ::syscall(SYS_close_range, kWorkerSocket + 1, ~0u, 0);
}

// Whenever one ends: it leaves no zombie, and its CPU time counts as that of a child. With SIGCHLD
// ignored it would be lost.
void WaitForWorkers() {
  struct sigaction action = {};
  action.sa_handler = [](int) {
    const int before = errno;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    errno = before;
  };
  action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  ::sigaction(SIGCHLD, &action, nullptr);
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_UNBLOCK, &child, nullptr);
}

// Demanglers recurse, whatever ulimit -s jprof was started with. The limit holds for what a stack
// grows from now on; of who may not raise it beyond its maximum, up to that.
void RaiseStackLimit() {
  constexpr rlim_t kStackBytes = rlim_t{8} << 20;
  rlimit limit;
  if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= kStackBytes) return;
  const rlimit enough = {kStackBytes, std::max(limit.rlim_max, kStackBytes)};
  if (::setrlimit(RLIMIT_STACK, &enough) == 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_STACK, &limit);
}

[[noreturn]] void RunForker(int socket, const SymbolizerProcess::Limits& limits,
                            SymbolizerProcess::Errand errand) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "jprof-symbols");
  // Ctrl-C and Ctrl-Z are for jprof, which ends us when it is done.
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU}) {
    ::signal(number, SIG_IGN);
  }
  WaitForWorkers();
  RaiseStackLimit();
  for (int number : {SIGPROF, SIGPIPE}) ::signal(number, SIG_DFL);
  KeepOnly(socket);
  Message message;
  while (Receive(kWorkerSocket, &message, kForever)) {
    const bool is_stand_in = message.type == MessageType::kNewStandIn && errand != nullptr;
    if ((message.type != MessageType::kNewWorker && !is_stand_in) ||
        message.descriptors.size() != 1) {
      break;
    }
    const pid_t started = ::fork();
    if (started == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      KeepOnly(message.descriptors[0].Release());
      if (is_stand_in) RunStandIn(errand);
      RunWorker(limits);
    }
    const int error = started < 0 ? errno : 0;
    message.descriptors.clear();
    MessageWriter answer;
    answer.U32(static_cast<uint32_t>(error)).U32(static_cast<uint32_t>(started));
    if (!Send(kWorkerSocket, MessageType::kForked, std::move(answer).bytes(), {}, kForever)) break;
  }
  ::_exit(0);
}

// Its state, which comes behind the name.
bool IsRunnable(pid_t pid) {
  char text[256] = {};
  const UniqueFd stat(::open(absl::StrCat("/proc/", pid, "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  if (!stat.valid() || ::read(stat.get(), text, sizeof(text) - 1) <= 0) return false;
  const char* const name_end = std::strrchr(text, ')');
  return name_end != nullptr && std::strncmp(name_end, ") R", 3) == 0;
}

// How long it has run, waited for a CPU, and how often it got one; empty: it has ended, or the
// kernel does not count that.
std::string ScheduledText(pid_t pid) {
  char text[128] = {};
  const UniqueFd file(
      ::open(absl::StrCat("/proc/", pid, "/schedstat").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() || ::read(file.get(), text, sizeof(text) - 1) <= 0) return "";
  return text;
}

// Waits until there is something to read. False: there is nothing, and the process waits for
// something else than a CPU, which `patience` and a second look have not changed.
bool AwaitProcess(int socket, pid_t pid, std::chrono::milliseconds patience) {
  constexpr std::chrono::seconds kAtMost{10};
  const auto give_up = Clock::now() + kAtMost;
  while (!Await(socket, POLLIN, Clock::now() + patience)) {
    if (Clock::now() >= give_up) return false;
    if (IsRunnable(pid)) continue;
    // It may have had no CPU until now, and wait for a page or have answered since.
    const std::string before = ScheduledText(pid);
    if (Await(socket, POLLIN, Clock::now() + patience / 4)) return true;
    if (ScheduledText(pid) == before) return false;
  }
  return true;
}

constexpr absl::string_view kCannotStart = "cannot start a process that reads files";

}  // namespace

absl::StatusOr<std::unique_ptr<SymbolizerProcess>> SymbolizerProcess::Start(const Limits& limits,
                                                                            Errand errand) {
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    return ErrnoStatus(errno, absl::StrCat(kCannotStart, ": socketpair"));
  }
  UniqueFd ours(sockets[0]);
  const UniqueFd theirs(sockets[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return ErrnoStatus(errno, absl::StrCat(kCannotStart, ": fork"));
  if (pid == 0) RunForker(theirs.get(), limits, errand);
  if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, absl::StrCat(kCannotStart, ": fcntl"));
  }
  return std::unique_ptr<SymbolizerProcess>(
      new SymbolizerProcess(limits, errand != nullptr, std::move(ours), pid));
}

SymbolizerProcess::~SymbolizerProcess() {
  // Not by closing the socket: a child of ours that has yet to exec has it, too.
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

absl::StatusOr<SymbolizerProcess::Peer> SymbolizerProcess::StartOne(Role role) {
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    return ErrnoStatus(errno, kCannotStart);
  }
  UniqueFd ours(sockets[0]);
  const UniqueFd theirs(sockets[1]);
  const int descriptor = theirs.get();
  if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, kCannotStart);
  Peer peer{std::move(ours)};
  {
    absl::MutexLock lock(&mutex_);
    JPROF_ASSIGN_OR_RETURN(peer.pid, AskForker(role, descriptor));
  }
  if (role == Role::kStandIn) return peer;
  Message sandbox;
  if (!Receive(peer.socket.get(), &sandbox, Clock::now() + limits_.patience) ||
      sandbox.type != MessageType::kSandboxed) {
    return absl::UnavailableError(absl::StrCat(kCannotStart, ": it ended, or did not answer"));
  }
  ByteCursor c = CursorOf(sandbox.bytes);
  sandbox_.fetch_and(c.U32() & kWholeSandbox);
  return peer;
}

bool SymbolizerProcess::HasAnswered() {
  Message late;
  if (awaits_answer_ && Await(forker_.get(), POLLIN, Clock::now())) {
    awaits_answer_ = !Receive(forker_.get(), &late, Clock::now() + limits_.patience);
  }
  return !awaits_answer_;
}

namespace {

// Where hundreds of threads are runnable, one of ordinary priority gets its turn every few seconds:
// who is waited for has the priority of the one who waits. The number of one that ended may be
// another's.
void LendPriority(int socket, pid_t pid) {
  char byte;
  if (::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) return;
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid), ::getpriority(PRIO_PROCESS, 0));
}

}  // namespace

absl::StatusOr<pid_t> SymbolizerProcess::AskForker(Role role, int socket) {
  if (!HasAnswered()) {
    return absl::UnavailableError(absl::StrCat(
        kCannotStart, ": the one that starts them has ended, or does not answer any more"));
  }
  LendPriority(forker_.get(), pid_);  // and to those that it starts
  const auto deadline = Clock::now() + limits_.patience;
  Message answer;
  awaits_answer_ = true;
  const MessageType type =
      role == Role::kStandIn ? MessageType::kNewStandIn : MessageType::kNewWorker;
  if (!Send(forker_.get(), type, "", {&socket, 1}, deadline) ||
      !Receive(forker_.get(), &answer, deadline)) {
    return absl::UnavailableError(
        absl::StrCat(kCannotStart, ": the one that starts them ended, or did not answer"));
  }
  awaits_answer_ = false;
  ByteCursor c = CursorOf(answer.bytes);
  const auto error = static_cast<int>(c.U32());
  if (error != 0) return ErrnoStatus(error, absl::StrCat(kCannotStart, ": fork"));
  return static_cast<pid_t>(c.U32());
}

absl::StatusOr<SymbolizerProcess::Peer> SymbolizerProcess::StartStandIn() {
  return StartOne(Role::kStandIn);
}

absl::StatusOr<SymbolizerProcess::Parcel> SymbolizerProcess::Ask(
    const Peer& stand_in, const std::string& text, std::span<const int> descriptors,
    std::chrono::milliseconds patience) {
  const int socket = stand_in.socket.get();
  LendPriority(socket, stand_in.pid);
  bool in_time = true;
  auto receive = [&](Message* message) {
    in_time = AwaitProcess(socket, stand_in.pid, patience);
    return in_time && Receive(socket, message, Clock::now() + limits_.patience);
  };
  Message answer, end;
  const bool answered = Send(socket, MessageType::kErrand, text, descriptors,
                             Clock::now() + limits_.patience) &&
                        receive(&answer) && answer.type == MessageType::kReturned &&
                        receive(&end) && end.type == MessageType::kDone;
  progress_.fetch_add(1, std::memory_order_relaxed);
  if (answered) return Parcel{std::move(answer.bytes), std::move(answer.descriptors)};
  if (!in_time) return absl::DeadlineExceededError("no answer in time");
  return absl::UnavailableError("the process that opens files ended");
}

bool SymbolizerProcess::HasComeBack(const Peer& stand_in) {
  return Await(stand_in.socket.get(), POLLIN, Clock::now());
}

bool SymbolizerProcess::Ask(const UniqueFd& worker, size_t image, ImageQuery& query,
                            DebugFileFinder* finder) {
  auto deadline = Clock::now() + limits_.patience;
  const int file = query.file.get();
  const std::span<const int> files(&file, query.file.valid() ? 1 : 0);
  bool sent = Send(worker.get(), MessageType::kWork, EncodeWork(query), files, deadline);
  query.file = UniqueFd();
  Message answer;
  // A worker asks for a handful of debug files; one that goes on asking is none of ours any more.
  constexpr int kMaxRequests = 8;
  for (int requests = 0; sent && Receive(worker.get(), &answer, deadline); ++requests) {
    progress_.fetch_add(1, std::memory_order_relaxed);
    if (answer.type == MessageType::kDone) return DecodeResult(answer.bytes, &query);
    DebugFileFinder::Request request;
    if (answer.type != MessageType::kFind || requests == kMaxRequests ||
        !DecodeRequest(answer.bytes, &request)) {
      return false;
    }
    const auto asked = Clock::now();
    std::vector<UniqueFd> found;
    if (finder != nullptr) found = finder->Find(image, request);
    deadline += Clock::now() - asked;
    progress_.fetch_add(1, std::memory_order_relaxed);
    std::vector<int> descriptors;
    for (const UniqueFd& fd : found) descriptors.push_back(fd.get());
    descriptors.resize(std::min(descriptors.size(), kMaxDescriptors));
    sent = Send(worker.get(), MessageType::kFound, "", descriptors, deadline);
  }
  return false;
}

void SymbolizerProcess::Symbolize(std::vector<ImageQuery>& queries, int max_threads,
                                  DebugFileFinder* finder) {
  const auto deadline = Clock::now() + limits_.altogether;
  absl::Mutex mutex;
  absl::Status why_unread;  // guarded by it
  std::vector<char> asked(queries.size(), 0);
  ForImagesOnThreads(queries, max_threads, [&](NextImage next) {
    UniqueFd worker;
    for (;;) {
      // First, so that an image is left to those who have one.
      if (!worker.valid()) {
        absl::StatusOr<Peer> started = StartOne(Role::kWorker);
        if (!started.ok()) {
          absl::MutexLock lock(&mutex);
          why_unread.Update(started.status());
          return;
        }
        worker = std::move(started->socket);
      }
      if (Clock::now() >= deadline) {
        absl::MutexLock lock(&mutex);
        why_unread.Update(absl::DeadlineExceededError("those before took too long to read"));
        return;
      }
      const std::optional<size_t> image = next();
      if (!image) return;
      asked[*image] = 1;
      ImageQuery& query = queries[*image];
      query.names.assign(query.offsets.size(), SymbolName());
      const bool done = Ask(worker, *image, query, finder);
      progress_.fetch_add(1, std::memory_order_relaxed);
      if (done) continue;
      worker = UniqueFd();
      query.lost = true;
      query.status = absl::UnavailableError(
          absl::StrCat(query.path, ": the process that read it ended, or did not answer"));
    }
  });
  for (size_t i = 0; i < queries.size(); ++i) {
    if (asked[i]) continue;
    queries[i].names.assign(queries[i].offsets.size(), SymbolName());
    queries[i].file = UniqueFd();
    queries[i].unread = true;
    queries[i].status = why_unread;
  }
}

bool SymbolizerProcess::AskMap(const UniqueFd& worker, SourceMapQuery& query) {
  const auto deadline = Clock::now() + limits_.patience;
  const int file = query.file.get();
  Message answer;
  const bool done =
      Send(worker.get(), MessageType::kMap, EncodeMap(query), {&file, 1}, deadline) &&
      Receive(worker.get(), &answer, deadline) && answer.type == MessageType::kDone &&
      DecodeOriginals(answer.bytes, &query);
  query.file = UniqueFd();
  progress_.fetch_add(1, std::memory_order_relaxed);
  return done;
}

void SymbolizerProcess::ReadSourceMaps(std::vector<SourceMapQuery>& queries) {
  const auto deadline = Clock::now() + kTimeOfAllMaps;
  UniqueFd worker;
  for (SourceMapQuery& query : queries) {
    absl::Status failed;
    if (Clock::now() >= deadline) {
      failed = absl::ResourceExhaustedError("those before it took too long to read");
    } else if (!worker.valid()) {
      absl::StatusOr<Peer> started = StartOne(Role::kWorker);
      failed = started.status();
      if (started.ok()) worker = std::move(started->socket);
    }
    if (failed.ok() && AskMap(worker, query)) continue;
    worker = UniqueFd();
    query.file = UniqueFd();
    query.originals.assign(query.positions.size(), OriginalPosition());
    if (failed.ok()) {
      failed = absl::UnavailableError("the process that read it ended, or did not answer");
    }
    query.status = Annotate(failed, query.path);
  }
}

}  // namespace jprof
