// The flame graph.
//
// One SVG 1.1 file that needs nothing else: a picture where scripts are off (mail, wikis, viewers),
// a tool where they are on. Two halves make it. This file does what must hold without a script:
// geometry, colours, labels, escaping, limits. web/flamegraph.js does what needs a reader: zoom,
// search, keys, the window's width.
//
// What others rely on. Fifteen years of scripts and bookmarks know the classic file, so its outside
// is kept: the ids title, subtitle, details, unzoom, search, ignorecase, matched and frames; each
// child of `frames` a <g> of <title>, <rect>, <text>; the title "name (1,234 samples, 5.67%)"; the
// classes hide, parent, show; the URL's s, x and y, where x and y are the very attribute strings of
// an unzoomed <rect>. The script therefore never changes the geometry attributes of the unzoomed
// picture, not even to fit it into a wider window: it scales the group instead.
//
// Geometry. The root is at the bottom, a row is 16 px, 1,180 px are all samples. x and width are
// written with two decimals: the difference of two rounded edges, so neighbours neither overlap nor
// gape, and a zoom into one pixel still has a hundred steps.
//
// Labels. A frame is labelled with its name but without the folders of a script: `render
// app.js:12`. The title, which is what hovering shows and what search looks through, has the whole
// path.
//
// What is left out. A frame narrower than 0.1 px is not seen and would make the file as large as
// the profile; rows beyond kMaxSvgDepth and frames beyond kMaxSvgBytes neither. For the latter the
// frames are taken by width, callers before callees, until the room is used up, so what is drawn is
// always whole from the root. A million stacks and names of 4 KiB stay below the limit, and the
// subtitle counts what is missing.
//
// Colour says what kind of code a frame is, in ten hues that stay apart for most colour-blind
// eyes by their lightness as well; the shade within the hue is a hash of the name, so a function
// looks the same in two pictures. Children are sorted by name and nothing is random: equal
// profiles give equal bytes.
//
// Hostile names. They pass ShownText (no control character, no direction mark, valid UTF-8, 4 KiB
// at most) and XmlText; Svg::Text takes nothing else. Markup comes from string literals only, the
// script and the style are constants in CDATA. No name is part of an id, a class, an attribute, or
// a selector.
#include "export/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "export/call_tree.h"
#include "export/text.h"
#include "profiler/core/status.h"
#include "web/assets.h"

namespace jprof {
namespace {

constexpr int kWidth = 1200;
constexpr int kPadding = 10;
constexpr int kHeader = 76;  // title, subtitle, legend
constexpr int kFooter = 34;  // details, matched
constexpr int kRow = 16;
constexpr int kFontSize = 12;
constexpr double kCharWidth = 0.59;  // of the font size
constexpr int kUnitsPerPixel = 100;  // the two decimals of x and width
constexpr int64_t kUnits = int64_t{kWidth - 2 * kPadding} * kUnitsPerPixel;
constexpr int64_t kMinUnits = kUnitsPerPixel / 10;  // 0.1 px
constexpr size_t kFlushBytes = 256 * 1024;

enum Category : uint8_t {
  kBase,  // "all" and the processes
  kUserScript,
  kModuleScript,   // under node_modules/
  kRuntimeScript,  // the runtime's own library: node:fs
  kBuiltin,
  kWasm,
  kAwaiting,
  kNative,
  kKernel,
  kJit,
  kUnknown,
};

struct Rgb {
  int r, g, b;
};
struct CategoryStyle {
  absl::string_view legend;
  Rgb from;  // shades lie between these two
  Rgb to;
};
constexpr std::array<CategoryStyle, 11> kStyles = {{
    {"no stack", {0xd8, 0xd2, 0xc4}, {0xe4, 0xdf, 0xd4}},
    {"JavaScript", {0x6f, 0xc2, 0x6b}, {0xae, 0xe0, 0x88}},
    {"node_modules", {0xbc, 0x9c, 0xea}, {0xdc, 0xc9, 0xf9}},
    {"Node library", {0x5f, 0xc7, 0xb8}, {0xa6, 0xe3, 0xd6}},
    {"builtins", {0x7f, 0xb6, 0xef}, {0xb5, 0xd8, 0xfa}},
    {"WebAssembly", {0xd9, 0xa0, 0x7a}, {0xee, 0xc9, 0xae}},
    {"awaiting", {0xe3, 0xd6, 0x9a}, {0xf0, 0xe8, 0xc2}},
    {"C++, native", {0xf0, 0xcc, 0x4e}, {0xfa, 0xe7, 0x9c}},
    {"kernel", {0xf0, 0x96, 0x4e}, {0xf9, 0xc2, 0x8f}},
    {"JIT", {0xee, 0x88, 0xa4}, {0xf8, 0xbc, 0xcb}},
    {"unnamed", {0xb9, 0xbe, 0xc6}, {0xd9, 0xdd, 0xe2}},
}};

Category CategoryOf(const Profile& profile, const Function& function) {
  switch (function.kind) {
    case FrameKind::kScript: {
      absl::string_view file = profile.String(function.file);
      if (absl::StartsWith(file, "node:")) return kRuntimeScript;
      if (absl::StrContains(file, "/node_modules/") || absl::StartsWith(file, "node_modules/")) {
        return kModuleScript;
      }
      return kUserScript;
    }
    case FrameKind::kAsync:
      return kAwaiting;
    case FrameKind::kBuiltin:
      return kBuiltin;
    case FrameKind::kWasm:
      return kWasm;
    case FrameKind::kNative:
      return kNative;
    case FrameKind::kKernel:
      return kKernel;
    case FrameKind::kJit:
      return kJit;
    case FrameKind::kUnknown:
    case FrameKind::kMarker:
      return kUnknown;
  }
  return kUnknown;
}

// FNV-1a, folded to the sixteen shades.
int ShadeOf(absl::string_view name) {
  uint32_t hash = 2166136261u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return static_cast<int>((hash ^ hash >> 16) & 15);
}

// 1234567 -> "1,234,567"
std::string Grouped(int64_t n) {
  std::string digits = absl::StrCat(n);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

int64_t Scale(int64_t part, int64_t whole, int64_t to) {
  if (whole <= 0) return 0;
  return static_cast<int64_t>((static_cast<__int128>(part) * to + whole / 2) / whole);
}

// "5.67%"
std::string Percent(int64_t part, int64_t whole) {
  int64_t hundredths = Scale(part, whole, 10000);
  return absl::StrFormat("%d.%02d%%", hundredths / 100, hundredths % 100);
}

// "5.7%"
std::string ShortPercent(int64_t part, int64_t whole) {
  int64_t tenths = Scale(part, whole, 1000);
  return absl::StrFormat("%d.%d%%", tenths / 10, tenths % 10);
}

std::string TitleOf(absl::string_view name, int64_t part, int64_t whole) {
  return absl::StrCat(name, " (", Grouped(part), " samples, ", Percent(part, whole), ")");
}

// "render /srv/app.js:12" -> "render app.js:12"; other names as they are. The same as labelOf in
// web/flamegraph.js.
std::string LabelOf(absl::string_view name) {
  const size_t slash = name.rfind('/');
  if (slash == absl::string_view::npos) return std::string(name);
  const size_t digits = name.find_last_not_of("0123456789");
  if (digits < slash + 2 || name[digits] != ':' || digits + 1 == name.size()) {
    return std::string(name);
  }
  // The path begins with a slash or a scheme ("file:", "node:") behind a blank.
  for (size_t blank = 0; (blank = name.find(' ', blank)) < slash; ++blank) {
    const size_t begin = blank + 1;
    size_t end = begin;
    while (name[end] >= 'a' && name[end] <= 'z') ++end;
    if (name[begin] == '/' || (end > begin && name[end] == ':')) {
      return absl::StrCat(name.substr(0, begin), name.substr(slash + 1));
    }
  }
  return std::string(name);
}

// The longest beginning of shown text that fits, with ".." where it is cut; "" below three
// characters. East Asian wide characters count as wide as the font is high.
std::string FitText(absl::string_view shown, double width_px, double font_size) {
  const double narrow = font_size * kCharWidth;
  double used = 0;
  size_t fits_with_dots = 0;
  int characters = 0;
  for (size_t i = 0; i < shown.size();) {
    Utf8Char c = DecodeUtf8(shown.substr(i));
    size_t length = std::max<size_t>(c.length, 1);
    used += c.code >= 0x1100 ? font_size : narrow;
    if (used > width_px) {
      if (characters < 3) return "";
      return absl::StrCat(shown.substr(0, fits_with_dots), "..");
    }
    i += length;
    ++characters;
    if (used + 2 * narrow <= width_px) fits_with_dots = i;
  }
  return width_px < 3 * narrow ? "" : std::string(shown);
}

// The only way into the file: string literals, numbers, and text that is escaped.
class Svg {
 public:
  explicit Svg(OutputSink& sink) : sink_(sink) {}

  template <size_t N>
  Svg& Markup(const char (&literal)[N]) {
    buffer_.append(literal, N - 1);
    return *this;
  }
  Svg& Number(int64_t n) {
    absl::StrAppend(&buffer_, n);
    return *this;
  }
  // `units` in hundredths.
  Svg& Decimal(int64_t units) {
    absl::StrAppendFormat(&buffer_, "%d.%02d", units / kUnitsPerPixel, units % kUnitsPerPixel);
    return *this;
  }
  Svg& Colour(Rgb c) {
    absl::StrAppendFormat(&buffer_, "#%02x%02x%02x", c.r, c.g, c.b);
    return *this;
  }
  Svg& Text(const XmlText& text) {
    buffer_ += text.text();
    return *this;
  }
  // A file of web/: a constant of the program, without the sequence that ends CDATA.
  Svg& Asset(absl::string_view asset) {
    buffer_.append(asset.data(), asset.size());
    return *this;
  }

  absl::Status FlushIfLarge() { return buffer_.size() < kFlushBytes ? absl::OkStatus() : Flush(); }
  absl::Status Flush() {
    absl::Status status = sink_.Append(buffer_);
    buffer_.clear();
    return status;
  }

 private:
  OutputSink& sink_;
  std::string buffer_;
};

size_t EscapedBytes(absl::string_view shown) {
  size_t bytes = shown.size();
  for (char c : shown) {
    if (c == '&' || c == '\'') bytes += 4;
    if (c == '<' || c == '>') bytes += 3;
    if (c == '"') bytes += 5;
  }
  return bytes;
}

class FlameGraph {
 public:
  FlameGraph(const Profile& profile, const CallTree& tree)
      : profile_(profile), tree_(tree), total_(tree.nodes()[0].total) {
    Choose();
    height_ = kHeader + (deepest_ + 1) * kRow + kFooter;
  }

  absl::Status Write(OutputSink& sink) {
    Svg svg(sink);
    Head(svg);
    JPROF_RETURN_IF_ERROR(Frames(svg));
    Header(svg);
    Footer(svg);
    svg.Markup("</svg>\n");
    return svg.Flush();
  }

 private:
  // Decides which frames are drawn, and counts the others by reason.
  void Choose() {
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    drawn_.assign(nodes.size(), false);
    drawn_[0] = true;
    // All that is wide enough, in preorder.
    std::vector<uint32_t> chosen;
    for (uint32_t i = 1; i < nodes.size();) {
      bool thin = static_cast<__int128>(nodes[i].total) * kUnits <
                  static_cast<__int128>(total_) * kMinUnits;
      if (thin || nodes[i].depth > kMaxSvgDepth) {
        (thin ? thin_ : deep_) += nodes[i].end - i;
        i = nodes[i].end;
        continue;
      }
      chosen.push_back(i++);
    }
    // Of these, the widest that fit; a caller is never narrower than its callees, nor deeper.
    std::stable_sort(chosen.begin(), chosen.end(), [&](uint32_t a, uint32_t b) {
      return nodes[a].total != nodes[b].total ? nodes[a].total > nodes[b].total
                                              : nodes[a].depth < nodes[b].depth;
    });
    constexpr int64_t kMarkupBytes = 220;      // of one frame, numbers included
    constexpr int64_t kSurroundings = 64'000;  // header and footer
    int64_t room = kMaxSvgBytes - kSurroundings -
                   static_cast<int64_t>(assets::flamegraph_js().size()) -
                   static_cast<int64_t>(assets::flamegraph_css().size());
    size_t taken = 0;
    for (; taken < chosen.size(); ++taken) {
      const CallTree::Node& node = nodes[chosen[taken]];
      int64_t name = static_cast<int64_t>(EscapedBytes(tree_.label(node).text));
      // The label is a part of the name; a character of at least 7 px has 6 bytes at most.
      int64_t label = std::min(name, Scale(node.total, total_, kUnits) / kUnitsPerPixel + 2);
      room -= kMarkupBytes + name + label;
      if (room < 0) break;
      drawn_[chosen[taken]] = true;
      deepest_ = std::max(deepest_, static_cast<int>(node.depth));
    }
    crowded_ = chosen.size() - taken;
  }

  std::string LeftOut() const {
    std::vector<std::string> parts;
    if (thin_ > 0) parts.push_back(absl::StrCat(Grouped(thin_), " frames thinner than 0.1 px"));
    if (deep_ > 0) {
      parts.push_back(absl::StrCat(Grouped(deep_), " frames above level ", kMaxSvgDepth));
    }
    if (crowded_ > 0) {
      parts.push_back(absl::StrCat(Grouped(crowded_), " thin frames for the file's size"));
    }
    if (parts.empty()) return "";
    return absl::StrCat("not drawn: ", absl::StrJoin(parts, ", "));
  }

  void Head(Svg& svg) {
    svg.Markup(
           "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
           "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"")
        .Number(kWidth)
        .Markup("\" height=\"")
        .Number(height_)
        .Markup("\" viewBox=\"0 0 ")
        .Number(kWidth)
        .Markup(" ")
        .Number(height_)
        .Markup("\" onload=\"init(evt)\">\n<title>")
        .Text(XmlText::Escape(Title()))
        .Markup("</title>\n<style type=\"text/css\"><![CDATA[\n")
        .Asset(assets::flamegraph_css())
        .Markup("]]></style>\n<script type=\"text/ecmascript\"><![CDATA[\n")
        .Asset(assets::flamegraph_js())
        .Markup(
            "]]></script>\n"
            "<rect id=\"background\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
  }

  absl::string_view Title() const {
    return profile_.title.empty() ? absl::string_view("Flame graph") : profile_.title;
  }

  absl::Status Frames(Svg& svg) {
    svg.Markup("<g id=\"frames\" font-family=\"Verdana, 'DejaVu Sans', sans-serif\" font-size=\"")
        .Number(kFontSize)
        .Markup("\" fill=\"#111111\">\n");
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    // Where each open caller's next callee begins, by depth. Skipped frames take their room too.
    std::vector<int64_t> next_start = {0};
    Frame(svg, nodes[0], 0);
    for (uint32_t i = 1; i < nodes.size();) {
      const CallTree::Node& node = nodes[i];
      next_start.resize(node.depth);
      int64_t start = next_start.back();
      next_start.back() = SaturatingAdd(start, node.total);
      if (!drawn_[i]) {
        i = node.end;
        continue;
      }
      Frame(svg, node, start);
      next_start.push_back(start);
      JPROF_RETURN_IF_ERROR(svg.FlushIfLarge());
      ++i;
    }
    svg.Markup("</g>\n");
    return absl::OkStatus();
  }

  void Frame(Svg& svg, const CallTree::Node& node, int64_t start) {
    bool is_root = node.depth == 0;
    absl::string_view name = is_root ? absl::string_view("all") : tree_.label(node).text;
    int64_t left = Scale(start, total_, kUnits);
    int64_t right = is_root ? kUnits : Scale(SaturatingAdd(start, node.total), total_, kUnits);
    int64_t x = int64_t{kPadding} * kUnitsPerPixel + left;
    int64_t y = height_ - kFooter - (int64_t{node.depth} + 1) * kRow;
    double width_px = static_cast<double>(right - left) / kUnitsPerPixel;
    std::string title = is_root ? absl::StrCat("all (", Grouped(total_), " samples, 100%)")
                                : TitleOf(name, node.total, total_);
    const CategoryStyle& style = kStyles[is_root ? uint8_t{kBase} : tree_.label(node).category];
    int shade = ShadeOf(name);
    auto mix = [shade](int from, int to) { return from + (to - from) * shade / 15; };
    // A frame of some width has an edge, a hair would be all edge.
    if (width_px >= 3) {
      svg.Markup("<g class=\"w\"><title>");
    } else {
      svg.Markup("<g><title>");
    }
    svg.Text(XmlText::EscapeShown(title))
        .Markup("</title><rect x=\"")
        .Decimal(x)
        .Markup("\" y=\"")
        .Number(y)
        .Markup("\" width=\"")
        .Decimal(right - left)
        .Markup("\" height=\"")
        .Number(kRow - 1)
        .Markup("\" fill=\"")
        .Colour({mix(style.from.r, style.to.r), mix(style.from.g, style.to.g),
                 mix(style.from.b, style.to.b)})
        .Markup("\"/><text x=\"")
        .Decimal(x + 3 * kUnitsPerPixel)
        .Markup("\" y=\"")
        .Number(y + 11)
        .Markup("\">")
        .Text(XmlText::EscapeShown(FitText(LabelOf(name), width_px - 6, kFontSize)))
        .Markup("</text></g>\n");
  }

  void Header(Svg& svg) {
    svg.Markup(
           "<g id=\"header\" font-family=\"Verdana, 'DejaVu Sans', sans-serif\" "
           "font-size=\"12\" fill=\"#24292f\">\n<rect class=\"bar\" width=\"100%\" height=\"")
        .Number(kHeader - 6)
        .Markup(
            "\" fill=\"#ffffff\"/>\n"
            "<text id=\"title\" x=\"10\" y=\"25\" font-size=\"17\">")
        .Text(XmlText::EscapeShown(FitText(ShownText(Title()), 840, 17)))
        .Markup("</text>\n");
    Subtitle(svg);
    Legend(svg);
    svg.Markup(
        "<text id=\"unzoom\" class=\"button hide\" x=\"985\" y=\"25\" "
        "text-anchor=\"end\">Reset Zoom</text>\n"
        "<text id=\"ignorecase\" class=\"button hide\" x=\"1085\" y=\"25\" "
        "text-anchor=\"end\">Ignore Case</text>\n"
        "<text id=\"search\" class=\"button hide\" x=\"1190\" y=\"25\" "
        "text-anchor=\"end\">Search</text>\n</g>\n");
  }

  // The verdict gives way to the count of what is left out; its full text is in the tooltip.
  void Subtitle(Svg& svg) {
    constexpr double kSize = 11;
    std::string verdict =
        profile_.comments.empty() ? std::string() : ShownText(profile_.comments[0]);
    std::string left_out = LeftOut();
    double room = kWidth - 2 * kPadding - static_cast<double>(left_out.size()) * kSize * kCharWidth;
    std::string line = FitText(verdict, room - 3 * kSize, kSize);
    if (!line.empty() && !left_out.empty()) absl::StrAppend(&line, " \xc2\xb7 ");
    absl::StrAppend(&line, left_out);
    svg.Markup("<text id=\"subtitle\" x=\"10\" y=\"44\" font-size=\"11\" fill=\"#57606a\">");
    if (!verdict.empty()) {
      svg.Markup("<title>").Text(XmlText::EscapeShown(verdict)).Markup("</title>");
    }
    svg.Text(XmlText::EscapeShown(line)).Markup("</text>\n");
  }

  // What kinds of code there are, and the share of samples that each was executing.
  void Legend(Svg& svg) {
    std::array<int64_t, kStyles.size()> self = {};
    std::array<bool, kStyles.size()> present = {};
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    for (size_t i = 1; i < nodes.size(); ++i) {
      uint8_t category = tree_.label(nodes[i]).category;
      self[category] = SaturatingAdd(self[category], nodes[i].self);
      present[category] = present[category] || category != kBase || nodes[i].self > 0;
    }
    svg.Markup(
        "<g id=\"legend\" font-size=\"11\">"
        "<title>share of the samples in which this kind of code was executing</title>\n");
    // The script lays this out anew: it knows the window's width.
    int x = kPadding;
    auto room = [](absl::string_view text) {
      return static_cast<int>(std::lround(static_cast<double>(text.size()) * 11 * kCharWidth)) + 12;
    };
    constexpr char kHeading[] = "executing:";
    svg.Markup("<text x=\"").Number(x).Markup("\" y=\"63\">").Markup(kHeading).Markup("</text>\n");
    x += room(kHeading);
    for (size_t i = 0; i < kStyles.size(); ++i) {
      // "no stack" goes last.
      size_t category = (i + 1) % kStyles.size();
      if (!present[category]) continue;
      const CategoryStyle& style = kStyles[category];
      std::string text(style.legend);
      // Who awaits is not executing.
      if (category != kAwaiting) absl::StrAppend(&text, " ", ShortPercent(self[category], total_));
      svg.Markup("<rect x=\"")
          .Number(x)
          .Markup("\" y=\"54\" width=\"11\" height=\"11\" fill=\"")
          .Colour({(style.from.r + style.to.r) / 2, (style.from.g + style.to.g) / 2,
                   (style.from.b + style.to.b) / 2})
          .Markup("\"/><text x=\"")
          .Number(x + 15)
          .Markup("\" y=\"63\">")
          .Text(XmlText::EscapeShown(text))
          .Markup("</text>\n");
      x += 15 + room(text);
    }
    svg.Markup("</g>\n");
  }

  void Footer(Svg& svg) {
    svg.Markup(
           "<g id=\"footer\" font-family=\"Verdana, 'DejaVu Sans', sans-serif\" "
           "font-size=\"12\" fill=\"#24292f\">\n<rect class=\"bar\" y=\"")
        .Number(height_ - kFooter + 6)
        .Markup("\" width=\"100%\" height=\"")
        .Number(kFooter - 6)
        .Markup("\" fill=\"#ffffff\"/>\n<text id=\"details\" x=\"10\" y=\"")
        .Number(height_ - 10)
        .Markup("\"> </text>\n<text id=\"matched\" class=\"hide\" x=\"1190\" y=\"")
        .Number(height_ - 10)
        .Markup("\" text-anchor=\"end\"> </text>\n</g>\n");
  }

  const Profile& profile_;
  const CallTree& tree_;
  const int64_t total_;
  std::vector<bool> drawn_;
  int64_t thin_ = 0;
  int64_t deep_ = 0;
  int64_t crowded_ = 0;
  int deepest_ = 0;
  int64_t height_ = 0;
};

class SvgExporter : public Exporter {
 public:
  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    auto frame_label = [&](const Function& function, bool) {
      return FrameLabel{ShownName(profile, function), CategoryOf(profile, function)};
    };
    auto process_label = [](absl::string_view name) {
      std::string shown = ShownText(name);
      return FrameLabel{shown.empty() ? "[unknown]" : std::move(shown), kBase};
    };
    CallTree tree =
        CallTree::Build(profile, {.frame_label = frame_label, .process_label = process_label});
    return FlameGraph(profile, tree).Write(sink);
  }
};

}  // namespace

std::unique_ptr<Exporter> MakeSvgExporter() { return std::make_unique<SvgExporter>(); }

}  // namespace jprof
