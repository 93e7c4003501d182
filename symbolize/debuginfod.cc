#include "symbolize/debuginfod.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr size_t kMaxBuildIdDigits = 2 * 64;
constexpr absl::Duration kClockStep = absl::Milliseconds(20);  // of the times of files

// Of the fetch that this thread makes; the library's callback gets nothing else to go by.
thread_local absl::Time fetch_deadline;

int IsTimeUp(void*, long, long) { return absl::Now() >= fetch_deadline ? 1 : 0; }

// Where the library notes what it was told, as debuginfod_find_debuginfo(3) has it.
std::string CacheFolder() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (std::string path = variable("DEBUGINFOD_CACHE_PATH"); !path.empty()) return path;
  const std::string home = variable("HOME");
  std::string old = home + "/.debuginfod_client_cache";
  if (::access(old.c_str(), F_OK) == 0) return old;
  std::string base = variable("XDG_CACHE_HOME");
  if (base.empty()) base = home + "/.cache";
  return base + "/debuginfod_client";
}

// A fetch that was given up is noted as if no server had the file (elfutils 0.188), and nobody who
// shares the cache asks again for some minutes. Empty files are such notes.
void ForgetMiss(const std::string& build_id, absl::Time begun) {
  const std::string path = absl::StrCat(CacheFolder(), "/", build_id, "/debuginfo");
  struct stat note;
  if (::stat(path.c_str(), &note) == 0 && S_ISREG(note.st_mode) && note.st_size == 0 &&
      absl::TimeFromTimespec(note.st_mtim) >= begun - kClockStep) {
    ::unlink(path.c_str());
  }
}

// The part of <elfutils/debuginfod.h> that is used. Stays loaded, for the threads that the HTTP
// library beneath it may have.
struct Library {
  void* (*begin)() = nullptr;
  void (*end)(void*) = nullptr;
  int (*find_debuginfo)(void*, const unsigned char* build_id, int length, char** path) = nullptr;
  void (*set_progress)(void*, int (*)(void*, long, long)) = nullptr;

  bool Load() {
    void* handle = ::dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
    auto find = [handle](const char* name, auto* function) {
      *function = reinterpret_cast<std::remove_pointer_t<decltype(function)>>(
          ::dlsym(handle, name));
      return *function != nullptr;
    };
    return handle != nullptr && find("debuginfod_begin", &begin) && find("debuginfod_end", &end) &&
           find("debuginfod_find_debuginfo", &find_debuginfo) &&
           find("debuginfod_set_progressfn", &set_progress);
  }
};

bool IsBuildId(absl::string_view text) {
  if (text.empty() || text.size() % 2 != 0 || text.size() > kMaxBuildIdDigits) return false;
  for (char c : text) {
    if (!absl::ascii_isdigit(c) && !(c >= 'a' && c <= 'f')) return false;
  }
  return true;
}

}  // namespace

struct Debuginfod::State {
  absl::Duration patience;
  absl::Mutex mutex;
  bool begun ABSL_GUARDED_BY(mutex) = false;
  Library library ABSL_GUARDED_BY(mutex);
  void* client ABSL_GUARDED_BY(mutex) = nullptr;  // nullptr: no library
  absl::Time deadline ABSL_GUARDED_BY(mutex);
  int late ABSL_GUARDED_BY(mutex) = 0;
  int failed ABSL_GUARDED_BY(mutex) = 0;
  int last_error ABSL_GUARDED_BY(mutex) = 0;  // of those that failed, an errno
  // What was answered, as a path in the library's cache, since descriptors are few: several images
  // may have one build ID.
  std::map<std::string, absl::StatusOr<std::string>, std::less<>> answers ABSL_GUARDED_BY(mutex);

  absl::StatusOr<std::string> Ask(const std::string& build_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!begun) {
      begun = true;
      deadline = absl::Now() + patience;
      if (library.Load()) client = library.begin();
      if (client != nullptr) library.set_progress(client, IsTimeUp);
    }
    if (client == nullptr) return absl::UnavailableError("libdebuginfod.so.1 is not installed");
    if (absl::Now() >= deadline) {
      ++late;
      return absl::UnavailableError("debuginfod: no time left");
    }
    fetch_deadline = deadline;
    const absl::Time begun_fetch = absl::Now();
    // Length 0: it is a string of hex digits.
    char* path = nullptr;
    const int result = library.find_debuginfo(
        client, reinterpret_cast<const unsigned char*>(build_id.c_str()), 0, &path);
    const UniqueFd fd(result);
    const std::string found = path == nullptr ? "" : path;
    std::free(path);
    if (fd.valid()) return found;
    if (absl::Now() >= deadline) {
      ++late;
      ForgetMiss(build_id, begun_fetch);
      return absl::UnavailableError("debuginfod: no time left");
    }
    if (result != -ENOENT) {
      ++failed;
      last_error = -result;
      return absl::UnavailableError("debuginfod: no answer");
    }
    return absl::NotFoundError(absl::StrCat("debuginfod has no file of build ID ", build_id));
  }
};

bool Debuginfod::IsConfigured() {
  const char* urls = std::getenv("DEBUGINFOD_URLS");
  return urls != nullptr && !absl::StripAsciiWhitespace(urls).empty();
}

std::unique_ptr<Debuginfod> Debuginfod::FromEnvironment(absl::Duration patience) {
  return IsConfigured() ? std::unique_ptr<Debuginfod>(new Debuginfod(patience)) : nullptr;
}

Debuginfod::Debuginfod(absl::Duration patience) : state_(std::make_unique<State>()) {
  state_->patience = patience;
}

Debuginfod::~Debuginfod() {
  absl::MutexLock lock(&state_->mutex);
  if (state_->client != nullptr) state_->library.end(state_->client);
}

absl::StatusOr<UniqueFd> Debuginfod::Fetch(absl::string_view build_id) {
  if (!IsBuildId(build_id)) return absl::InvalidArgumentError("not a build ID");
  absl::MutexLock lock(&state_->mutex);
  auto known = state_->answers.find(build_id);
  if (known == state_->answers.end()) {
    std::string id(build_id);
    absl::StatusOr<std::string> answer = state_->Ask(id);
    known = state_->answers.emplace(std::move(id), std::move(answer)).first;
  }
  if (!known->second.ok()) return known->second.status();
  UniqueFd file(::open(known->second->c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, *known->second);
  return file;
}

std::string Debuginfod::Trouble() const {
  absl::MutexLock lock(&state_->mutex);
  if (state_->begun && state_->client == nullptr) {
    return "DEBUGINFOD_URLS is set and libdebuginfod.so.1 is not installed: apt-get install "
           "libdebuginfod1";
  }
  if (state_->failed > 0) {
    return absl::StrCat(state_->failed, " debug files did not come from $DEBUGINFOD_URLS: ",
                        std::strerror(state_->last_error));
  }
  if (state_->late == 0) return "";
  return absl::StrCat(state_->late, " debug files did not come from $DEBUGINFOD_URLS within ",
                      absl::FormatDuration(state_->patience));
}

}  // namespace jprof
