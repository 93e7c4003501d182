// Keys from the bytes that a terminal sends: VT and xterm sequences, UTF-8 characters.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace jprof {

struct Key {
  enum class Kind {
    kText,  // a character
    kEnter,
    kEscape,
    kBackspace,
    kUp,
    kDown,
    kLeft,
    kRight,
    kPageUp,
    kPageDown,
    kHome,
    kEnd,
    kOther,
  };
  Kind kind = Kind::kOther;
  std::string text;  // of kText: the bytes of one character

  friend bool operator==(const Key&, const Key&) = default;
};

class KeyDecoder {
 public:
  // Appends what the bytes complete.
  void Feed(absl::string_view bytes, std::vector<Key>& keys);
  // A sequence has begun: an Escape alone if nothing follows within some 50 ms.
  bool IsWaiting() const { return !pending_.empty(); }
  void Timeout(std::vector<Key>& keys);

 private:
  // Whether the first key could be taken.
  bool TakeOne(std::vector<Key>& keys);

  std::string pending_;
};

}  // namespace jprof
