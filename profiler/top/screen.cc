#include "profiler/top/screen.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "export/text.h"
#include "profiler/top/terminal_text.h"

namespace jprof {
namespace {

constexpr char kPlain[] = "\x1b[0m";
constexpr char kReverse[] = "\x1b[7m";
constexpr char kBold[] = "\x1b[1m";
constexpr size_t kHeaderLines = 4;  // with the table's own
constexpr size_t kFooterLines = 1;
constexpr size_t kNumbersColumns = 16;  // " self   total  "
constexpr size_t kKindColumns = 12;
constexpr size_t kMinNameColumns = 20;

double Percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

// Whole seconds; of a short time tenths, where it has such.
std::string SecondsText(int64_t ns) {
  const double seconds = static_cast<double>(ns) * 1e-9;
  const double tenths = std::round(10 * seconds);
  const bool has_tenths = tenths < 100 && std::fmod(tenths, 10) != 0;
  return absl::StrFormat("%.*f", has_tenths ? 1 : 0, seconds);
}

// The nearest of the cube of 6 x 6 x 6 colours.
int ColourNumber(const Rgb& rgb) {
  auto step = [](int value) { return value < 48 ? 0 : value < 115 ? 1 : (value - 35) / 40; };
  return 16 + 36 * step(rgb.r) + 6 * step(rgb.g) + step(rgb.b);
}

// "a::b(int) const" without "(int) const": what is said last is the function's name.
absl::string_view WithoutParameters(absl::string_view name) {
  absl::ConsumeSuffix(&name, " const");
  if (name.empty() || name.back() != ')') return name;
  size_t open = 0;
  for (size_t at = name.size(); at-- > 0;) {
    open += name[at] == ')';
    if (name[at] == '(' && --open == 0) return at == 0 ? name : name.substr(0, at);
  }
  return name;
}

// In so many cells.
std::string NameCell(const HotFunction& function, bool utf8, size_t cells) {
  TerminalText name(function.name, utf8);
  if (name.cells() > cells && function.place.find(':') == std::string::npos) {
    name = TerminalText(WithoutParameters(function.name), utf8);
  }
  return Padded(name.CutMiddle(cells), std::min(name.cells(), cells), cells);
}

class Screen {
 public:
  Screen(const HotTable& table, const TopView& view, const TopStatus& status,
         const ScreenSize& size, const ScreenStyle& style)
      : table_(table), view_(view), status_(status), size_(size), style_(style) {}

  std::vector<std::string> Draw();
  void DrawHeader();
  void DrawFunctions(size_t first, size_t count);
  std::vector<std::string> Take() { return std::move(lines_); }

 private:
  struct Columns {
    size_t name = 0;
    size_t place = 0;  // 0: it is not shown
    size_t kind = 0;
  };
  Columns ColumnsOfWidth() const;
  std::string Styled(absl::string_view attributes, const std::string& text) const {
    return style_.attributes ? absl::StrCat(attributes, text, kPlain) : text;
  }
  // One line over the whole width.
  void Line(absl::string_view text, absl::string_view attributes = "");
  std::string KindCell(CodeKind kind, size_t columns) const;
  std::string FunctionLine(const HotTable::Row& row, uint64_t samples, bool chosen) const;
  std::string FrameLine(uint32_t number, bool chosen) const;
  void DrawStacks();
  void DrawHelp();
  std::string Footer() const;

  const HotTable& table_;
  const TopView& view_;
  const TopStatus& status_;
  const ScreenSize size_;
  const ScreenStyle style_;
  std::vector<std::string> lines_;
};

Screen::Columns Screen::ColumnsOfWidth() const {
  Columns columns;
  size_t left = size_.columns - std::min(size_.columns, kNumbersColumns);
  if (left >= kMinNameColumns + 2 * kKindColumns) {
    columns.kind = kKindColumns;
    left -= kKindColumns + 1;
  }
  if (left >= 2 * kMinNameColumns) {
    columns.place = left * 2 / 5;
    left -= columns.place + 1;
  }
  columns.name = left;
  return columns;
}

void Screen::Line(absl::string_view text, absl::string_view attributes) {
  const TerminalText shown(ShownText(text), style_.utf8);
  const std::string cut = shown.CutEnd(size_.columns);
  if (attributes.empty()) {
    lines_.push_back(cut);
  } else {
    const size_t cells = std::min(shown.cells(), size_.columns);
    lines_.push_back(Styled(attributes, Padded(cut, cells, size_.columns)));
  }
}

void Screen::DrawHeader() {
  const HotTotals& last = table_.last();
  const HotTotals shown = table_.Totals(view_.what);
  const double seconds = std::max(static_cast<double>(last.duration_ns) * 1e-9, 1e-3);
  std::string rate = absl::StrFormat("%g Hz", status_.granted_hz);
  if (status_.granted_hz != status_.asked_hz)
    absl::StrAppendFormat(&rate, " (%g asked)", status_.asked_hz);
  std::vector<std::string> notes;
  if (!status_.target.empty()) notes.push_back(status_.target);
  notes.push_back(rate);
  notes.insert(notes.end(), status_.notes.begin(), status_.notes.end());
  Line(absl::StrCat("jprof top: ", absl::StrJoin(notes, ", ")), kBold);
  const double per_second = static_cast<double>(last.samples) / seconds;
  Line(absl::StrFormat(
      "%.2f CPUs, %.0f samples/s, %d lost, %.1f %% rooted, %.1f %% unnamed, jprof %.1f %% CPU",
      status_.granted_hz > 0 ? per_second / status_.granted_hz : 0.0, per_second, shown.lost,
      Percent(shown.rooted, shown.samples), Percent(shown.frames_unnamed, shown.frames),
      status_.own_cpu_percent));
  std::vector<std::string> choices = {
      absl::StrFormat("%s %s s: %d samples",
                      view_.what.since_start ? "since the start," : "the last",
                      SecondsText(shown.duration_ns), shown.samples),
      view_.sort == TopView::Sort::kSelf ? "by self" : "by total"};
  if (view_.what.hide_kernel) choices.push_back("without the kernel's functions");
  if (!view_.filter().empty()) choices.push_back(absl::StrCat("filter ", view_.filter()));
  if (view_.paused) choices.push_back("PAUSED");
  if (!status_.ended.empty()) choices.push_back(status_.ended);
  Line(absl::StrJoin(choices, ", "));
}

std::string Screen::KindCell(CodeKind kind, size_t columns) const {
  const KindStyle& kind_style = kKindStyles[static_cast<size_t>(kind)];
  const TerminalText text(kind_style.legend, style_.utf8);
  const std::string cell = Padded(text.CutEnd(columns), std::min(text.cells(), columns), columns);
  if (!style_.colours || !style_.attributes) return cell;
  return absl::StrCat("\x1b[30;48;5;", ColourNumber(kind_style.from), "m", cell, kPlain);
}

std::string Screen::FunctionLine(const HotTable::Row& row, uint64_t samples, bool chosen) const {
  const HotFunction& function = table_.function(row.function);
  const Columns columns = ColumnsOfWidth();
  std::string line = absl::StrFormat("%6.2f%% %6.2f%% ", Percent(row.self, samples),
                                     Percent(row.total, samples));
  line.resize(std::min(line.size(), size_.columns));
  absl::StrAppend(&line, NameCell(function, style_.utf8, columns.name));
  if (columns.place > 0) {
    const TerminalText place(function.place, style_.utf8);
    absl::StrAppend(&line, " ",
                    Padded(place.CutStart(columns.place),
                           std::min(place.cells(), columns.place), columns.place));
  }
  if (columns.kind == 0) return chosen ? Styled(kReverse, line) : line;
  absl::StrAppend(&line, " ");
  return absl::StrCat(chosen ? Styled(kReverse, line) : line,
                      KindCell(function.kind, columns.kind));
}

void Screen::DrawFunctions(size_t first, size_t count) {
  const Columns columns = ColumnsOfWidth();
  std::string titles = "   self   total ";
  absl::StrAppend(&titles, Padded("function", 8, columns.name));
  if (columns.place > 0) absl::StrAppend(&titles, " ", Padded("where", 5, columns.place));
  if (columns.kind > 0) absl::StrAppend(&titles, " kind");
  Line(titles, kReverse);
  const uint64_t samples = table_.Totals(view_.what).samples;
  const std::vector<HotTable::Row>& rows = view_.rows();
  for (size_t i = first; i < rows.size() && i < first + count; ++i) {
    lines_.push_back(FunctionLine(rows[i], samples, style_.attributes && i == view_.chosen()));
  }
  if (rows.empty()) {
    Line(!view_.filter().empty() && samples > 0 ? "no function matches the filter"
         : table_.snapshots() == 0              ? "the first samples are on their way"
                                                : "no samples: it sleeps, or is stopped");
  }
}

std::string Screen::FrameLine(uint32_t number, bool chosen) const {
  const HotFunction& function = table_.function(number);
  const TerminalText text(
      absl::StrCat("  ", function.kind == CodeKind::kBase ? "in process " : "", function.name,
                   function.place.empty() ? "" : "  ", function.place),
      style_.utf8);
  const std::string cut = text.CutMiddle(size_.columns);
  return chosen ? Styled(kBold, cut) : cut;
}

void Screen::DrawStacks() {
  const HotFunction& function = *view_.function();
  Line(
      absl::StrCat("stacks of ", function.name, function.place.empty() ? "" : "  ", function.place),
      kReverse);
  const size_t number = table_.Find(function);
  const std::vector<HotTable::HotStack>& stacks = view_.stacks();
  const uint64_t samples = table_.Totals(view_.what).samples;
  std::vector<std::string> text;
  for (size_t i = 0; i < stacks.size(); ++i) {
    const std::string title =
        absl::StrFormat("%.2f%%, %d samples: stack %d of %d", Percent(stacks[i].samples, samples),
                        stacks[i].samples, i + 1, view_.all_stacks());
    text.push_back(TerminalText(title, style_.utf8).CutEnd(size_.columns));
    for (uint32_t frame : stacks[i].functions) text.push_back(FrameLine(frame, frame == number));
    text.push_back("");
  }
  if (text.empty()) text.push_back("no samples of it now");
  const size_t page = PageLines(size_);
  const size_t first = std::min(view_.scrolled(), text.size() > page ? text.size() - page : 0);
  for (size_t i = first; i < text.size() && i < first + page; ++i) lines_.push_back(text[i]);
}

void Screen::DrawHelp() {
  constexpr absl::string_view kHelp[] = {
      "q             quit",
      "Up, Down      choose a function; PgUp, PgDn, Home, End",
      "Enter, Right  its stacks, the hottest first; Escape, Left: back",
      "s, t          sort by self, by total: without and with what the function calls",
      "w             the last seconds, or all since the start",
      "k             without the kernel's functions: their time is their callers'",
      "/             a regular expression that a function or its file matches; Escape: all",
      "p, Space      pause, go on",
      "c             clear: begin anew",
      "?, h          this help",
  };
  Line("keys", kReverse);
  for (absl::string_view line : kHelp) Line(line);
}

std::string Screen::Footer() const {
  if (view_.typed()) return absl::StrCat("filter: ", *view_.typed(), "_");
  if (!view_.message().empty()) return view_.message();
  return view_.page() == TopView::Page::kFunctions
             ? "q quit  Enter stacks  s/t self/total  w window  k kernel  / filter  p pause  c clear  ? help"
             : "Escape back  Up/Down move  q quit";
}

std::vector<std::string> Screen::Draw() {
  DrawHeader();
  const size_t page = PageLines(size_);
  switch (view_.page()) {
    case TopView::Page::kFunctions: {
      const size_t first = view_.chosen() < page ? 0 : view_.chosen() + 1 - page;
      DrawFunctions(first, page);
      break;
    }
    case TopView::Page::kStacks:
      DrawStacks();
      break;
    case TopView::Page::kHelp:
      DrawHelp();
      break;
  }
  lines_.resize(std::max(size_.rows, kFooterLines) - kFooterLines);
  Line(Footer());
  lines_.resize(std::min(lines_.size(), size_.rows));
  return Take();
}

}  // namespace

size_t PageLines(const ScreenSize& size) {
  constexpr size_t kOthers = kHeaderLines + kFooterLines;
  return size.rows > kOthers ? size.rows - kOthers : 1;
}

std::vector<std::string> DrawScreen(const HotTable& table, const TopView& view,
                                    const TopStatus& status, const ScreenSize& size,
                                    const ScreenStyle& style) {
  return Screen(table, view, status, size, style).Draw();
}

std::string DrawText(const HotTable& table, const TopView& view, const TopStatus& status,
                     size_t rows, size_t columns, bool utf8) {
  Screen screen(table, view, status, {rows + kHeaderLines, columns},
                {.utf8 = utf8, .attributes = false, .colours = false});
  screen.DrawHeader();
  screen.DrawFunctions(view.chosen() < rows ? 0 : view.chosen() + 1 - rows, rows);
  std::string text;
  for (std::string& line : screen.Take()) {
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace jprof
