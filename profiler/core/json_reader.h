// Reads JSON in place, value by value, in the order of the text. What is not what the caller
// expects is skipped; what is no JSON ends all reading, see ok(). Nothing is kept, and nothing
// recurses here.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace jprof {

class JsonReader {
 public:
  explicit JsonReader(absl::string_view text) : rest_(text) {}

  bool ok() const { return ok_; }

  // The next value is an object or array: calls `each` for its members or elements, which has to
  // take the value. Else the value is skipped.
  template <typename Each>
  void Object(const Each& each) {
    if (!Open('{')) return;
    std::string key;
    for (bool first = true; More('}', first); first = false) {
      if (!TakeString(key) || !Take(':')) return Fail();
      each(absl::string_view(key));
    }
  }
  template <typename Each>
  void Array(const Each& each) {
    if (!Open('[')) return;
    for (bool first = true; More(']', first); first = false) each();
  }

  // The value, or "" and 0 where it is something else.
  std::string String();
  double Number();
  int64_t Integer();
  // A whole number from 0 on; -1 where it is something else.
  int64_t Index();
  void Skip() { Text(); }
  // The value as it is written, within the text that is read.
  absl::string_view Text();

  // No more is read, as behind damage.
  void Stop() { Fail(); }

 private:
  bool Open(char bracket);
  // Whether another element follows; takes the comma before it, or `end`.
  bool More(char end, bool first);
  bool Take(char c);
  bool TakeString(std::string& out);
  bool SkipString();
  bool SkipValue();
  void SkipBlanks();
  void Fail() {
    ok_ = false;
    rest_ = {};
  }

  absl::string_view rest_;
  bool ok_ = true;
};

}  // namespace jprof
