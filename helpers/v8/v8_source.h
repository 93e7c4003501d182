// What the text of a script says that V8 does not keep: where its lines begin and its source map
// is, and where in it a function has its name from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/string_view.h"

namespace jprof::v8 {

// Where the lines of a source begin, in UTF-16 units: V8's line terminators are \n, \r, \r\n,
// U+2028 and U+2029. Built from pieces of text, in order.
class LineTable {
 public:
  LineTable() : starts_{0} {}
  void Append(std::u16string_view units);
  // 1-based line of a position; 0 when the position lies behind the end.
  uint32_t LineOf(uint32_t position) const;
  // 1-based column, in UTF-16 units; 0 when the position lies behind the end.
  uint32_t ColumnOf(uint32_t position) const;
  size_t size() const { return starts_.size(); }
  uint32_t length() const { return length_; }  // of the text, in UTF-16 units

 private:
  std::vector<uint32_t> starts_;
  uint32_t length_ = 0;
  bool after_return_ = false;
};

// Finds the comment "//# sourceMappingURL=..." at the end of a script, that is: behind its last
// line that is neither blank nor a comment. Built from pieces of text, in order.
class SourceMapComment {
 public:
  void Append(std::u16string_view units);
  // "" where there is none, it is longer than 16 MiB or not ASCII. To be called once, at the end.
  std::string Url();

 private:
  void EndLine();

  std::u16string line_;     // the current one, without leading blanks; of code, its beginning
  bool is_comment_ = false;  // line_ goes on as kPrefix says
  std::string url_;
};

// Where the identifier `name` begins in `before`, the text in front of a function's parameters, if
// the function has its name from there: "function name", "name" of a method, "name = async
// function", "name: ", "class name { constructor". For a qualified `name`, its last part. nullopt:
// it is not there.
std::optional<size_t> FindName(std::u16string_view before, absl::string_view name);

}  // namespace jprof::v8
