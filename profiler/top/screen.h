// From state to lines: pure functions. What comes from the target is shown as export/text.h and
// terminal_text.h have it; no line is wider than the screen.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "profiler/top/hot_table.h"
#include "profiler/top/view.h"

namespace jprof {

struct ScreenSize {
  size_t rows = 24;
  size_t columns = 80;
};

struct ScreenStyle {
  bool utf8 = true;
  bool attributes = true;  // reverse, bold
  bool colours = true;     // of the kinds of code, in 256 of them; with attributes
};

// What is known besides samples.
struct TopStatus {
  std::string target;
  std::vector<std::string> notes;  // the level of capture, the runtimes
  double asked_hz = 0;
  double granted_hz = 0;
  double own_cpu_percent = 0;
  std::string ended;  // why it is over; "": it goes on
};

// Lines that a page of functions or frames has on a screen of that height.
size_t PageLines(const ScreenSize& size);

// `size.rows` lines at most, without line ends.
std::vector<std::string> DrawScreen(const HotTable& table, const TopView& view,
                                    const TopStatus& status, const ScreenSize& size,
                                    const ScreenStyle& style);

// The table of functions as plain text: the header and so many rows.
std::string DrawText(const HotTable& table, const TopView& view, const TopStatus& status,
                     size_t rows, size_t columns, bool utf8);

}  // namespace jprof
