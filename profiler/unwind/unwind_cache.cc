#include "profiler/unwind/unwind_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

constexpr char kKeyName[] = "key";
constexpr absl::string_view kUnfinished = "new-";
constexpr time_t kUnfinishedSeconds = 3600;  // older ones were left behind
constexpr time_t kTouchSeconds = 24 * 3600;
constexpr uint64_t kMagic = 0x31656c626174706a;  // "jptable1"

struct Header {
  uint64_t magic;
  Fingerprint source;
  Fingerprint content;  // of all else: header and words
  uint64_t begin;
  uint32_t size;
  uint32_t rows;
  uint32_t rules;
  uint32_t words;
};

bool ReadAll(int fd, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t n = ::read(fd, out.data(), out.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    out = out.subspan(static_cast<size_t>(n));
  }
  return true;
}

bool WriteAll(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return true;
}

bool IsOurs(const struct stat& st) { return st.st_uid == ::geteuid() && (st.st_mode & 022) == 0; }

// A file of ours in the directory. Invalid: there is none.
UniqueFd OpenEntry(const UniqueFd& directory, const std::string& name, struct stat& st) {
  UniqueFd fd(::openat(directory.get(), name.c_str(),
                       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (fd.valid() && (::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode) || !IsOurs(st))) {
    fd.Reset();
  }
  return fd;
}

// Writes the file under another name and gives it its own: `replace`, or only if there is none.
bool WriteEntry(const UniqueFd& directory, const std::string& name,
                std::initializer_list<std::span<const std::byte>> parts, bool replace) {
  uint64_t random = 0;
  if (::getrandom(&random, sizeof(random), 0) != sizeof(random)) return false;
  const std::string unfinished = absl::StrCat(kUnfinished, absl::Hex(random));
  UniqueFd fd(::openat(directory.get(), unfinished.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return false;
  bool ok = true;
  for (std::span<const std::byte> part : parts) ok = ok && WriteAll(fd.get(), part);
  ok = ok && ::close(fd.Release()) == 0;
  if (ok && replace) {
    ok = ::renameat(directory.get(), unfinished.c_str(), directory.get(), name.c_str()) == 0;
    if (ok) return true;
  } else if (ok) {
    ok = ::linkat(directory.get(), unfinished.c_str(), directory.get(), name.c_str(), 0) == 0;
  }
  ::unlinkat(directory.get(), unfinished.c_str(), 0);
  return ok;
}

// Each component that is not there is made for the user alone.
absl::StatusOr<UniqueFd> MakeDirectory(const std::string& path) {
  std::string at;
  for (absl::string_view component : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    absl::StrAppend(&at, "/", component);
    if (::mkdir(at.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, at);
  }
  UniqueFd fd(::open(at.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  struct stat st;
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0) return ErrnoStatus(errno, path);
  if (!IsOurs(st)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": not the user's alone"));
  }
  return fd;
}

absl::StatusOr<FingerprintKey> ReadKey(const UniqueFd& directory) {
  FingerprintKey key;
  const auto bytes = std::as_writable_bytes(std::span(key));
  // The first one to make it wins.
  for (int attempt = 0; attempt < 2; ++attempt) {
    struct stat st;
    UniqueFd fd = OpenEntry(directory, kKeyName, st);
    if (fd.valid() && ReadAll(fd.get(), bytes)) return key;
    if (::getrandom(key.data(), sizeof(key), 0) != sizeof(key)) break;
    WriteEntry(directory, kKeyName, {std::as_bytes(std::span(key))}, /*replace=*/fd.valid());
  }
  return absl::UnavailableError("the cache's key cannot be read");
}

Fingerprint ContentOf(const FingerprintKey& key, Header header, std::span<const uint64_t> words) {
  header.content = {};
  return Fingerprinter(key).AddValue(header).Add(std::as_bytes(words)).Finish();
}

}  // namespace

std::string UnwindCache::DefaultDirectory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return absl::StrCat(cache, "/jprof/unwind");
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') return "";
  return absl::StrCat(home, "/.cache/jprof/unwind");
}

absl::StatusOr<UnwindCache> UnwindCache::Open(const std::string& directory, uint64_t max_bytes) {
  if (directory.empty() || directory[0] != '/') {
    return absl::NotFoundError("no directory for the cache");
  }
  JPROF_ASSIGN_OR_RETURN(UniqueFd fd, MakeDirectory(directory));
  JPROF_ASSIGN_OR_RETURN(FingerprintKey key, ReadKey(fd));
  UnwindCache cache(std::move(fd), key, max_bytes);
  cache.Trim();
  return cache;
}

std::optional<UnwindTable> UnwindCache::Find(const Fingerprint& source) const {
  struct stat st;
  const UniqueFd fd = OpenEntry(directory_, ToText(source), st);
  Header header;
  if (!fd.valid() || !ReadAll(fd.get(), std::as_writable_bytes(std::span(&header, 1))) ||
      header.magic != kMagic || header.source != source ||
      header.words > UnwindTable::kMaxWords ||
      static_cast<uint64_t>(st.st_size) != sizeof(header) + uint64_t{header.words} * 8) {
    return std::nullopt;
  }
  std::vector<uint64_t> words(header.words);
  if (!ReadAll(fd.get(), std::as_writable_bytes(std::span(words))) ||
      ContentOf(key_, header, words) != header.content) {
    return std::nullopt;
  }
  if (std::time(nullptr) - st.st_mtime > kTouchSeconds) ::futimens(fd.get(), nullptr);
  return UnwindTable::FromWords({header.begin}, header.size, header.rows, header.rules,
                                std::move(words));
}

void UnwindCache::Put(const Fingerprint& source, const UnwindTable& table) {
  Header header = {.magic = kMagic,
                   .source = source,
                   .content = {},
                   .begin = table.begin().value,
                   .size = table.size(),
                   .rows = table.row_count(),
                   .rules = table.rule_count(),
                   .words = static_cast<uint32_t>(table.words().size())};
  header.content = ContentOf(key_, header, table.words());
  const uint64_t bytes = sizeof(header) + table.words().size() * 8;
  if (bytes > max_bytes_) return;
  if (!WriteEntry(directory_, ToText(source),
                  {std::as_bytes(std::span(&header, 1)), std::as_bytes(std::span(table.words()))},
                  /*replace=*/true)) {
    return;
  }
  bytes_ += bytes;
  if (bytes_ > max_bytes_) Trim();
}

void UnwindCache::Trim() {
  struct Entry {
    time_t used;
    uint64_t bytes;
    std::string name;
  };
  std::vector<Entry> entries;
  bytes_ = 0;
  const int fd = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(fd < 0 ? nullptr : ::fdopendir(fd),
                                                    ::closedir);
  if (listing == nullptr) {
    if (fd >= 0) ::close(fd);
    return;
  }
  const time_t now = std::time(nullptr);
  while (const dirent* e = ::readdir(listing.get())) {
    const std::string name = e->d_name;
    struct stat st;
    if (name == kKeyName || ::fstatat(fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        S_ISDIR(st.st_mode)) {
      continue;
    }
    if (absl::string_view(name).substr(0, kUnfinished.size()) == kUnfinished) {
      if (now - st.st_mtime > kUnfinishedSeconds) ::unlinkat(fd, name.c_str(), 0);
      continue;
    }
    bytes_ += static_cast<uint64_t>(st.st_size);
    entries.push_back({st.st_mtime, static_cast<uint64_t>(st.st_size), name});
  }
  if (bytes_ <= max_bytes_) return;
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& entry : entries) {
    if (bytes_ <= max_bytes_ / 4 * 3) break;
    if (::unlinkat(fd, entry.name.c_str(), 0) == 0) bytes_ -= entry.bytes;
  }
}

}  // namespace jprof
