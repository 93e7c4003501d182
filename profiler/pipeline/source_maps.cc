#include "profiler/pipeline/source_maps.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "symbolize/source_url.h"

namespace jprof {
namespace {

constexpr size_t kMaxInlineBytes = size_t{64} << 20;  // of all maps within scripts
constexpr size_t kMaxMaps = 1 << 14;                  // closed ones, too, keep their numbers
constexpr size_t kMaxScripts = 1 << 16;               // of one process
constexpr size_t kMaxProcesses = 1 << 14;
constexpr int kMaxFolders = 16;  // of a script's path, in front of its name in the user's directory

absl::string_view BaseName(absl::string_view path) { return path.substr(path.rfind('/') + 1); }

// Of a data: URL behind "data:"; nullopt: damaged.
std::optional<std::string> DataOf(absl::string_view url) {
  const size_t comma = url.find(',');
  if (comma == absl::string_view::npos) return std::nullopt;
  const absl::string_view data = url.substr(comma + 1);
  std::string out;
  if (absl::EndsWith(url.substr(0, comma), ";base64")) {
    if (!absl::Base64Unescape(data, &out)) return std::nullopt;
    return out;
  }
  return DecodePercent(data);
}

UniqueFd MemoryFile(absl::string_view text) {
  UniqueFd fd(::memfd_create("source map", MFD_CLOEXEC));
  while (fd.valid() && !text.empty()) {
    const ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written <= 0) return UniqueFd();
    text.remove_prefix(static_cast<size_t>(written));
  }
  return fd;
}

}  // namespace

uint32_t SourceMaps::Find(Pid pid, uint32_t script, const std::string& file,
                          absl::FunctionRef<std::string()> url) {
  if (scripts_.size() >= kMaxProcesses && !scripts_.contains(pid)) {
    for (const auto& [of, known] : scripts_) Release(known);
    scripts_.clear();
  }
  Scripts& known = scripts_[pid];
  if (known.size() >= kMaxScripts) {
    Release(known);
    known.clear();
  }
  auto [it, added] = known.try_emplace(script, kNone);
  if (added) {
    it->second = Open(pid, file, url());
    if (it->second != kNone) ++maps_[it->second].scripts;
  }
  return it->second;
}

void SourceMaps::Forget(Pid pid) {
  const auto process = scripts_.find(pid);
  if (process == scripts_.end()) return;
  Release(process->second);
  scripts_.erase(process);
}

void SourceMaps::Release(const Scripts& scripts) {
  for (const auto& [script, map] : scripts) {
    if (map != kNone) --maps_[map].scripts;
  }
}

void SourceMaps::CloseUnused() {
  for (uint32_t number : std::exchange(unused_, {})) {
    Map& map = maps_[number];
    if (map.scripts > 0) continue;
    map.file.Reset();
    map.closed = true;
    inline_bytes_ -= map.inline_bytes;
    --open_;
    absl::erase_if(by_file_, [number](const auto& file) { return file.second == number; });
  }
  for (uint32_t i = 0; i < maps_.size(); ++i) {
    if (maps_[i].scripts == 0 && !maps_[i].closed) unused_.push_back(i);
  }
}

bool SourceMaps::HasRoom() const { return open_ < options_.max_open && maps_.size() < kMaxMaps; }

uint32_t SourceMaps::Add(Map map) {
  ++open_;
  inline_bytes_ += map.inline_bytes;
  maps_.push_back(std::move(map));
  return static_cast<uint32_t>(maps_.size() - 1);
}

uint32_t SourceMaps::Open(Pid pid, const std::string& file, const std::string& url) {
  constexpr absl::string_view kData = "data:";
  if (absl::StartsWith(url, kData)) {
    return FromUrl(absl::string_view(url).substr(kData.size()), file);
  }
  absl::Status worst;
  for (const std::string& path : Candidates(file, url)) {
    absl::StatusOr<UniqueFd> fd = opener_(pid, path);
    if (fd.ok()) return Keep(path, *std::move(fd));
    if (!absl::IsNotFound(fd.status())) worst.Update(fd.status());
  }
  if (!worst.ok()) {
    unopened_.Add(std::string(worst.message()));
  } else if (!url.empty() && PathOfUrl(ResolveSource(file, url)).empty()) {
    remote_.Add(absl::StrCat(file, ": ", url));
  } else if (!url.empty()) {
    missing_.Add(absl::StrCat(file, ": ", url));
  }
  return kNone;
}

std::vector<std::string> SourceMaps::Candidates(const std::string& file,
                                                const std::string& url) const {
  const std::string script = PathOfUrl(file);
  std::vector<std::string> paths;
  const auto add = [&paths](std::string path) {
    if (!absl::StartsWith(path, "/")) return;
    if (paths.empty() || paths.back() != path) paths.push_back(std::move(path));
  };
  if (!options_.in_directory) {
    const std::string named = url.empty() ? "" : PathOfUrl(ResolveSource(file, url));
    add(named);
    add(DecodePercent(named));
    if (absl::StartsWith(script, "/")) add(absl::StrCat(script, ".map"));
    return paths;
  }
  // Without "..", whatever the process says.
  const std::string clean = ResolveSource("/", script.empty() ? BaseName(file) : script);
  const std::string by_url = DecodePercent(BaseName(ResolveSource("/", url)));
  size_t slash = 0;
  for (int folders = 0; slash != std::string::npos && !BaseName(clean).empty(); ++folders) {
    // Of a path that is too deep, all but its last part is left out.
    if (folders == kMaxFolders) slash = clean.rfind('/');
    const std::string below = clean.substr(slash);
    if (!by_url.empty()) {
      add(absl::StrCat(below.substr(0, below.rfind('/') + 1), by_url));
    }
    add(absl::StrCat(below, ".map"));
    slash = clean.find('/', slash + 1);
  }
  return paths;
}

uint32_t SourceMaps::Keep(std::string path, UniqueFd fd) {
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return kNone;
  auto [it, added] = by_file_.try_emplace(
      Identity(st.st_dev, st.st_ino,
               int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec, path),
      static_cast<uint32_t>(maps_.size()));
  if (!added) return it->second;
  if (!HasRoom()) {
    by_file_.erase(it);
    ++over_limit_;
    return kNone;
  }
  // Where the user keeps a map says nothing of where its sources are.
  return Add({.path = path, .base = options_.in_directory ? "" : path, .file = std::move(fd)});
}

uint32_t SourceMaps::FromUrl(absl::string_view data, const std::string& file) {
  const std::optional<std::string> text = DataOf(data);
  if (!text) {
    unopened_.Add(absl::StrCat(file, ": the source map in it is damaged"));
    return kNone;
  }
  if (!HasRoom() || inline_bytes_ + text->size() > kMaxInlineBytes) {
    ++over_limit_;
    return kNone;
  }
  UniqueFd fd = MemoryFile(*text);
  if (!fd.valid()) {
    unopened_.Add(absl::StrCat(file, ": no memory for the source map in it"));
    return kNone;
  }
  return Add({.path = absl::StrCat("source map in ", file),
              .base = file,
              .file = std::move(fd),
              .inline_bytes = text->size()});
}

std::vector<std::string> SourceMaps::Troubles() const {
  std::vector<std::string> troubles;
  const auto tell = [&troubles](const Trouble& t, absl::string_view one, absl::string_view more) {
    if (t.count == 0) return;
    troubles.push_back(absl::StrCat(t.count, " ", t.count == 1 ? one : more, " (", t.first, ")"));
  };
  tell(missing_, "script names a source map that is not there",
       "scripts name a source map that is not there");
  tell(remote_, "script has its source map on the network, where jprof does not look",
       "scripts have their source maps on the network, where jprof does not look");
  tell(unopened_, "source map could not be opened", "source maps could not be opened");
  if (over_limit_ != 0) {
    troubles.push_back(absl::StrCat(over_limit_, " source maps are more than jprof keeps"));
  }
  return troubles;
}

}  // namespace jprof
