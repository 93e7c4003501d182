// A terminal while it is ours: alternate screen, no echo, key by key. It is given back as it was,
// however that ends; a terminal that reads no more holds nobody up.
#pragma once

#include <termios.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "profiler/core/unique_fd.h"
#include "profiler/top/keys.h"
#include "profiler/top/screen.h"

namespace jprof {

// Gives the terminal back if it is ours. For signal handlers as well.
void GiveBackTerminal();

class Terminal {
 public:
  // Whether standard output is one that can be drawn on.
  static bool IsUsable();

  // Standard output's, with keys of standard input or the controlling terminal. One in a process.
  static absl::StatusOr<std::unique_ptr<Terminal>> Open();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  ScreenSize size() const;
  // Writes the lines that differ from what is there.
  void Show(const std::vector<std::string>& lines);

  struct Happened {
    std::vector<Key> keys;
    bool redraw = false;  // the size changed, or the process was stopped
    bool stop = false;    // a signal asks for it, or the terminal is gone
  };
  // Waits for keys or signals. Stops the process if it is to be.
  Happened Wait(int timeout_ms);

 private:
  Terminal(UniqueFd output, UniqueFd input)
      : output_(std::move(output)), input_(std::move(input)) {}

  absl::Status Take();
  // False: the terminal is gone.
  bool ReadKeys(std::vector<Key>& keys);
  void Write(const std::string& bytes);

  UniqueFd output_;
  UniqueFd input_;
  KeyDecoder decoder_;
  std::vector<std::string> shown_;
  bool all_ = true;  // of the next Show() all is written
};

}  // namespace jprof
