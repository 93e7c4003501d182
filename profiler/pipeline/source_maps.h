// The source maps of a recording's scripts. Each is found and opened when a function of its script
// is first seen, since process and file may be gone later, and read at the end, for the positions
// alone that the frames need (original_names.h).
//
// A map is where the script's last comment says: in it (a data: URL) or in a file; else in
// SCRIPT.map beside it. In a directory of the user's, it is looked for by the script's name, its
// folders in front as far as there are such: DIR/srv/app/main.js.map, DIR/app/main.js.map,
// DIR/main.js.map. Never on the network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "profiler/core/ids.h"
#include "profiler/core/unique_fd.h"

namespace jprof {

class SourceMaps {
 public:
  // A regular file by its absolute path, in the process's root or the user's directory.
  using Opener = std::function<absl::StatusOr<UniqueFd>(Pid, const std::string& path)>;
  struct Options {
    bool in_directory = false;  // the opener's paths are in the user's directory
    size_t max_open = 1024;
  };
  struct Map {
    std::string path;  // for messages
    std::string base;  // what its sources are relative to: a path or URL; "": not known
    UniqueFd file;
    size_t inline_bytes = 0;  // 0: it is a file
    size_t scripts = 0;       // of processes that are there; it is theirs
    bool closed = false;      // for good
  };

  SourceMaps(Opener opener, const Options& options)
      : opener_(std::move(opener)), options_(options) {}

  static constexpr uint32_t kNone = UINT32_MAX;
  // The number in maps() of the map of a script, which a process numbers so; `url` is what the
  // script says of its map, asked for once. kNone: there is none.
  uint32_t Find(Pid pid, uint32_t script, const std::string& file,
                absl::FunctionRef<std::string()> url);
  // The process is gone, and its numbers of scripts.
  void Forget(Pid pid);
  // Closes maps of which all processes were gone when this was called before: what their last
  // samples need was read since. For a recording that reads maps again and again.
  void CloseUnused();

  std::vector<Map>& maps() { return maps_; }

  // What keeps functions from being shown by their originals, for the user.
  std::vector<std::string> Troubles() const;

 private:
  // Things of one kind that went wrong, and the first of them.
  struct Trouble {
    uint64_t count = 0;
    std::string first;
    void Add(std::string what) {
      if (count++ == 0) first = std::move(what);
    }
  };
  uint32_t Open(Pid pid, const std::string& file, const std::string& url);
  uint32_t Keep(std::string path, UniqueFd fd);
  uint32_t FromUrl(absl::string_view data, const std::string& file);
  // Whether another one may be opened.
  bool HasRoom() const;
  uint32_t Add(Map map);
  using Scripts = absl::flat_hash_map<uint32_t, uint32_t>;  // to their maps
  void Release(const Scripts& scripts);
  std::vector<std::string> Candidates(const std::string& file, const std::string& url) const;

  const Opener opener_;
  const Options options_;
  std::vector<Map> maps_;
  absl::flat_hash_map<Pid, Scripts> scripts_;
  using Identity = std::tuple<uint64_t, uint64_t, int64_t, std::string>;
  absl::flat_hash_map<Identity, uint32_t> by_file_;
  size_t inline_bytes_ = 0;  // of those that are open
  size_t open_ = 0;
  std::vector<uint32_t> unused_;  // when CloseUnused was called
  Trouble missing_;
  Trouble remote_;
  Trouble unopened_;
  uint64_t over_limit_ = 0;
};

}  // namespace jprof
