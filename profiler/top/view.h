// What the user looks at, as a value: what is sorted by what, the line that is chosen, the filter.
// Keys change it; screen.h draws it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "profiler/top/hot_table.h"
#include "profiler/top/keys.h"
#include "re2/re2.h"

namespace jprof {

class TopView {
 public:
  enum class Sort { kSelf, kTotal };
  enum class Page { kFunctions, kStacks, kHelp };
  enum class Wish { kNothing, kQuit, kClear };

  // InvalidArgument: it is no regular expression.
  absl::Status SetFilter(const std::string& pattern);

  // What is to be shown of the table: sorted, filtered. The line that was chosen is so still.
  void Update(const HotTable& table);
  // `page_lines`: that a page has.
  Wish OnKey(const Key& key, const HotTable& table, size_t page_lines);

  HotView what;
  Sort sort = Sort::kSelf;
  bool paused = false;

  Page page() const { return page_; }
  const std::vector<HotTable::Row>& rows() const { return rows_; }
  // Into rows(), while there are any.
  size_t chosen() const { return chosen_; }
  // Of the page kStacks.
  const std::optional<HotFunction>& function() const { return function_; }
  // Some, the hottest first, and how many there are.
  const std::vector<HotTable::HotStack>& stacks() const { return stacks_; }
  size_t all_stacks() const { return all_stacks_; }
  // Lines that they take: one before each, and a blank one behind.
  size_t stack_lines() const;
  size_t scrolled() const { return scrolled_; }
  const std::string& filter() const { return pattern_; }
  // While it is typed.
  const std::optional<std::string>& typed() const { return typed_; }
  const std::string& message() const { return message_; }
  bool IsMatch(const HotFunction& function) const;

 private:
  void OnTypedKey(const Key& key);
  bool Move(Key::Kind key, size_t page_lines);
  Wish OnCommand(char command, const HotTable& table);
  void UpdateStacks(const HotTable& table);

  Page page_ = Page::kFunctions;
  std::vector<HotTable::Row> rows_;
  size_t chosen_ = 0;
  std::optional<HotFunction> chosen_function_;  // none: the first line, whatever it is
  std::optional<HotFunction> function_;
  std::vector<HotTable::HotStack> stacks_;
  size_t all_stacks_ = 0;
  size_t scrolled_ = 0;
  std::string pattern_;
  std::shared_ptr<const RE2> filter_;  // nullptr: all; shared by copies of the view
  std::optional<std::string> typed_;
  std::string message_;
};

}  // namespace jprof
