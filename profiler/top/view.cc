#include "profiler/top/view.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace jprof {
namespace {

constexpr size_t kMaxPatternBytes = 256;
constexpr size_t kMaxStacks = 20;
constexpr int64_t kMaxRegexBytes = 1 << 20;

}  // namespace

absl::Status TopView::SetFilter(const std::string& pattern) {
  std::shared_ptr<const RE2> filter;
  if (!pattern.empty()) {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kMaxRegexBytes);
    filter = std::make_shared<const RE2>(pattern, options);
    if (!filter->ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", pattern, "' is no regular expression: ", filter->error()));
    }
  }
  pattern_ = pattern;
  filter_ = std::move(filter);
  return absl::OkStatus();
}

bool TopView::IsMatch(const HotFunction& function) const {
  return filter_ == nullptr ||
         RE2::PartialMatch(absl::StrCat(function.name, " ", function.place), *filter_);
}

void TopView::Update(const HotTable& table) {
  if (page_ == Page::kStacks) UpdateStacks(table);
  rows_ = table.Rows(what);
  std::erase_if(rows_, [&](const HotTable::Row& row) {
    return !IsMatch(table.function(row.function));
  });
  auto key = [&](const HotTable::Row& row) {
    const HotFunction& f = table.function(row.function);
    const bool by_self = sort == Sort::kSelf;
    return std::tuple(-static_cast<int64_t>(by_self ? row.self : row.total),
                      -static_cast<int64_t>(by_self ? row.total : row.self),
                      absl::string_view(f.name), absl::string_view(f.place), row.function);
  };
  std::sort(rows_.begin(), rows_.end(), [&](const HotTable::Row& a, const HotTable::Row& b) {
    return key(a) < key(b);
  });
  if (chosen_function_) {
    const size_t number = table.Find(*chosen_function_);
    const auto row = std::find_if(rows_.begin(), rows_.end(), [number](const HotTable::Row& r) {
      return r.function == number;
    });
    if (row != rows_.end()) chosen_ = static_cast<size_t>(row - rows_.begin());
  } else {
    chosen_ = 0;
  }
  chosen_ = std::min(chosen_, rows_.empty() ? 0 : rows_.size() - 1);
}

void TopView::OnTypedKey(const Key& key) {
  switch (key.kind) {
    case Key::Kind::kText:
      if (typed_->size() < kMaxPatternBytes) *typed_ += key.text;
      break;
    case Key::Kind::kBackspace:
      while (!typed_->empty() && (typed_->back() & 0xc0) == 0x80) typed_->pop_back();
      if (!typed_->empty()) typed_->pop_back();
      break;
    case Key::Kind::kEscape:
      typed_.reset();
      break;
    case Key::Kind::kEnter: {
      const absl::Status set = SetFilter(*typed_);
      message_ = set.ok() ? "" : std::string(set.message());
      typed_.reset();
      break;
    }
    default:
      break;
  }
}

bool TopView::Move(Key::Kind key, size_t page_lines) {
  size_t& line = page_ == Page::kStacks ? scrolled_ : chosen_;
  const size_t page = std::max<size_t>(page_lines, 1);
  switch (key) {
    case Key::Kind::kUp:
      line -= std::min<size_t>(line, 1);
      return true;
    case Key::Kind::kDown:
      line += line < SIZE_MAX;
      return true;
    case Key::Kind::kPageUp:
      line -= std::min(line, page);
      return true;
    case Key::Kind::kPageDown:
      line += page;
      return true;
    case Key::Kind::kHome:
      line = 0;
      return true;
    case Key::Kind::kEnd:
      line = SIZE_MAX;
      return true;
    default:
      return false;
  }
}

void TopView::UpdateStacks(const HotTable& table) {
  const size_t number = table.Find(*function_);
  stacks_.clear();
  if (number != SIZE_MAX) stacks_ = table.StacksOf(static_cast<uint32_t>(number), what);
  all_stacks_ = stacks_.size();
  stacks_.resize(std::min(stacks_.size(), kMaxStacks));
}

size_t TopView::stack_lines() const {
  size_t lines = 0;
  for (const HotTable::HotStack& stack : stacks_) lines += stack.functions.size() + 2;
  return lines;
}

TopView::Wish TopView::OnCommand(char command, const HotTable& table) {
  switch (command) {
    case 'q':
      return Wish::kQuit;
    case 'c':
      return Wish::kClear;
    case 's':
      sort = Sort::kSelf;
      break;
    case 't':
      sort = Sort::kTotal;
      break;
    case 'p':
    case ' ':
      paused = !paused;
      break;
    case 'k':
      what.hide_kernel = !what.hide_kernel;
      break;
    case 'w':
      what.since_start = !what.since_start;
      break;
    case '/':
      typed_ = pattern_;
      break;
    case '?':
    case 'h':
      page_ = page_ == Page::kHelp ? Page::kFunctions : Page::kHelp;
      break;
    default:
      break;
  }
  Update(table);
  return Wish::kNothing;
}

TopView::Wish TopView::OnKey(const Key& key, const HotTable& table, size_t page_lines) {
  message_.clear();
  if (typed_) {
    OnTypedKey(key);
    Update(table);
    return Wish::kNothing;
  }
  if (key.kind == Key::Kind::kText) return OnCommand(key.text[0], table);
  if (page_ != Page::kFunctions &&
      (key.kind == Key::Kind::kEscape || key.kind == Key::Kind::kLeft ||
       key.kind == Key::Kind::kBackspace || key.kind == Key::Kind::kEnter)) {
    page_ = Page::kFunctions;
  } else if (page_ == Page::kFunctions &&
             (key.kind == Key::Kind::kEnter || key.kind == Key::Kind::kRight)) {
    if (rows_.empty()) return Wish::kNothing;
    function_ = table.function(rows_[chosen_].function);
    scrolled_ = 0;
    page_ = Page::kStacks;
    UpdateStacks(table);
  } else if (page_ == Page::kFunctions && key.kind == Key::Kind::kEscape) {
    static_cast<void>(SetFilter(""));
    Update(table);
  } else if (page_ != Page::kHelp && Move(key.kind, page_lines)) {
    scrolled_ = std::min(scrolled_, stack_lines() - std::min(stack_lines(), page_lines));
    if (page_ == Page::kStacks) return Wish::kNothing;
    chosen_ = std::min(chosen_, rows_.empty() ? 0 : rows_.size() - 1);
    // Back at the top, whatever is hottest is chosen.
    chosen_function_.reset();
    if (chosen_ > 0) chosen_function_ = table.function(rows_[chosen_].function);
  }
  return Wish::kNothing;
}

}  // namespace jprof
