#include "profiler/top/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/core/status.h"
#include "profiler/top/signals.h"

namespace jprof {
namespace {

// Alternate screen, no cursor, lines are cut at the edge; and back.
constexpr char kTake[] = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
constexpr char kGiveBack[] = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr int kSequenceMs = 50;    // within which the bytes of one key come
constexpr int kStalledMs = 300;    // a terminal that takes nothing for so long
constexpr size_t kMaxSide = 1000;  // of a screen

// For GiveBackTerminal().
std::atomic<bool> g_taken{false};
int g_output = -1;
termios g_before;

UniqueFd OpenInput() {
  if (::isatty(STDIN_FILENO) == 1) return UniqueFd(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  return UniqueFd(::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC));
}

// One of our own, so that it does not block and the shell's still does.
UniqueFd OpenOutput() {
  UniqueFd own(::open("/proc/self/fd/1", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (own.valid() && ::isatty(own.get()) == 1) return own;
  return UniqueFd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
}

// To a terminal that may take nothing for a moment; safe in handlers of signals.
void WriteSoon(const char* bytes, size_t size) {
  constexpr int kTries = 10, kTryMs = 100;
  for (int i = 0; size > 0 && i < kTries; ++i) {
    const ssize_t written = ::write(g_output, bytes, size);
    if (written > 0) {
      bytes += written;
      size -= static_cast<size_t>(written);
    } else {
      pollfd fd = {g_output, POLLOUT, 0};
      ::poll(&fd, 1, kTryMs);
    }
  }
}

}  // namespace

void GiveBackTerminal() {
  if (!g_taken.exchange(false)) return;
  const int before = errno;
  // In the background it would stop us.
  ::signal(SIGTTOU, SIG_IGN);
  ::tcflow(g_output, TCOON);
  WriteSoon(kGiveBack, sizeof(kGiveBack) - 1);
  ::tcsetattr(g_output, TCSANOW, &g_before);
  errno = before;
}

bool Terminal::IsUsable() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && term != nullptr && *term != '\0' &&
         std::strcmp(term, "dumb") != 0;
}

absl::StatusOr<std::unique_ptr<Terminal>> Terminal::Open() {
  UniqueFd output = OpenOutput();
  if (!output.valid()) return ErrnoStatus(errno, "cannot open the terminal");
  auto terminal = std::unique_ptr<Terminal>(new Terminal(std::move(output), OpenInput()));
  JPROF_RETURN_IF_ERROR(terminal->Take());
  return terminal;
}

Terminal::~Terminal() {
  GiveBackTerminal();
  g_output = -1;
}

absl::Status Terminal::Take() {
  ::signal(SIGTTOU, SIG_DFL);
  termios before;
  if (::tcgetattr(output_.get(), &before) != 0)
    return ErrnoStatus(errno, "cannot read the terminal's modes");
  termios ours = before;
  ours.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);
  ours.c_cc[VMIN] = 1;
  ours.c_cc[VTIME] = 0;
  g_before = before;
  g_output = output_.get();
  g_taken = true;
  // A job in the background is stopped here until it is in the foreground.
  if (::tcsetattr(output_.get(), TCSANOW, &ours) != 0) {
    g_taken = false;
    return ErrnoStatus(errno, "cannot set the terminal's modes");
  }
  Write(kTake);
  all_ = true;
  return absl::OkStatus();
}

ScreenSize Terminal::size() const {
  winsize size = {};
  if (::ioctl(output_.get(), TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    return {};
  }
  return {std::min<size_t>(size.ws_row, kMaxSide), std::min<size_t>(size.ws_col, kMaxSide)};
}

void Terminal::Write(const std::string& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::write(output_.get(), bytes.data() + at, bytes.size() - at);
    if (n > 0) {
      at += static_cast<size_t>(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    pollfd fd = {output_.get(), POLLOUT, 0};
    if (n == 0 || errno != EAGAIN || ::poll(&fd, 1, kStalledMs) <= 0) {
      all_ = true;  // what is there now is not known
      return;
    }
  }
}

void Terminal::Show(const std::vector<std::string>& lines) {
  std::string bytes;
  const bool all = std::exchange(all_, false);
  if (all) {
    bytes = "\x1b[0m\x1b[2J";
    shown_.clear();  // there may have been more lines than there are now
  }
  for (size_t i = 0; i < std::max(lines.size(), shown_.size()); ++i) {
    const std::string line = i < lines.size() ? lines[i] : "";
    if (i < shown_.size() && shown_[i] == line) continue;
    absl::StrAppend(&bytes, "\x1b[", i + 1, ";1H", line, "\x1b[0m\x1b[K");
  }
  shown_ = lines;
  Write(bytes);
}

bool Terminal::ReadKeys(std::vector<Key>& keys) {
  char bytes[256];
  const ssize_t n = ::read(input_.get(), bytes, sizeof(bytes));
  if (n <= 0) return n < 0 && (errno == EINTR || errno == EAGAIN);
  decoder_.Feed({bytes, static_cast<size_t>(n)}, keys);
  return true;
}

Terminal::Happened Terminal::Wait(int timeout_ms) {
  Happened happened;
  pollfd fds[] = {{SignalDescriptor(), POLLIN, 0}, {input_.get(), POLLIN, 0}};
  const int wait_ms = decoder_.IsWaiting() ? std::min(timeout_ms, kSequenceMs) : timeout_ms;
  const int ready = ::poll(fds, 2, wait_ms);
  if (ready == 0 && decoder_.IsWaiting()) decoder_.Timeout(happened.keys);
  if (ready > 0 && fds[1].revents != 0) happened.stop = !ReadKeys(happened.keys);
  DrainSignals();
  if (TakeSignal(SignalFlag::kSuspend)) {
    GiveBackTerminal();
    StopSelf();
    static_cast<void>(TakeSignal(SignalFlag::kContinued));
    happened.stop |= !Take().ok();
    happened.redraw = true;
  } else if (TakeSignal(SignalFlag::kContinued)) {
    // Whoever stopped us has used the terminal meanwhile.
    GiveBackTerminal();
    happened.stop |= !Take().ok();
    happened.redraw = true;
  }
  if (TakeSignal(SignalFlag::kResized)) happened.redraw = all_ = true;
  happened.stop |= TakeSignal(SignalFlag::kStop);
  return happened;
}

}  // namespace jprof
