// The report.
//
// One HTML file that asks for nothing: no network, no other file. Its policy (CSP) says so to the
// browser, which then runs the two scripts and the one style whose hashes it names and nothing else,
// whatever a name in the profile may look like. The profile itself is a block of data that no
// browser interprets: numbers and names, deflated, in base64. web/report.js reads it, draws on
// canvas and puts names into text nodes. Where scripts are off, the title and the verdict remain.
//
// The data. After inflating, a stream of LEB128 numbers and of strings (bytes, then UTF-8); a table
// is its columns one after the other, which deflates better than rows and is read into typed arrays:
//
//   version, title, start (Unix ms), duration (us), period (us)
//   comments; notes on what was left out           strings
//   kinds: legend, from r g b, to r g b             code_kind.h
//   packages                                        strings
//   labels: length in UTF-16 units, kind, shade + 16 * inlined, package + 1; then all text in one
//   threads: pid, tid, process, name
//   nodes but the first, in preorder: levels closed before it, label, line
//   samples by time: us since the one before, thread, node (zigzag of the difference), weight
//
// A column is preceded by its size in bytes.
//
// A node is a call path of (function, executing line): the pictures merge the lines, and the lines
// of a function are found by the same arrays.
//
// What is left out. Nodes are taken by weight, callers before callees, until names and nodes use up
// their limits; a sample below a node that is left out counts for the node above. Beyond their limit
// samples of one path and thread that are close in time become one. If the file is still too large,
// the limits are halved. Notes in the report count all of it.
#include "export/html.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "export/call_tree.h"
#include "export/code_kind.h"
#include "export/text.h"
#include "export/tracks.h"
#include "profiler/core/status.h"
#include "web/assets.h"

namespace jprof {
namespace {

constexpr uint64_t kVersion = 1;
constexpr uint8_t kInlinedBit = 0x80;  // in FrameLabel::category, beside the kind
constexpr size_t kMaxNodes = 2'000'000;
constexpr size_t kMaxSamples = 2'000'000;
constexpr size_t kMaxLabelBytes = 16'000'000;
constexpr size_t kMaxComments = 100;
constexpr size_t kMaxThreads = 10'000;

class Stream {
 public:
  void Number(uint64_t n) {
    for (; n >= 0x80; n >>= 7) bytes_ += static_cast<char>(n | 0x80);
    bytes_ += static_cast<char>(n);
  }
  void Signed(int64_t n) {
    Number(static_cast<uint64_t>(n) << 1 ^ static_cast<uint64_t>(n >> 63));
  }
  void String(absl::string_view shown) {
    Number(shown.size());
    absl::StrAppend(&bytes_, shown);
  }
  void Strings(const std::vector<std::string>& shown) {
    Number(shown.size());
    for (const std::string& text : shown) String(text);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

size_t Utf16Units(absl::string_view shown) {
  size_t units = 0;
  for (char c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) != 0x80) units += byte >= 0xf0 ? 2 : 1;
  }
  return units;
}

struct Limits {
  size_t nodes;
  size_t samples;
  size_t label_bytes;
};

struct TimedSample {
  int64_t time_us;
  uint32_t thread;
  uint32_t node;
  int64_t weight;
};

class Report {
 public:
  Report(const Profile& profile, const CallTree& tree, const std::vector<std::string>& package_of)
      : profile_(profile), tree_(tree), package_of_(package_of) {}

  std::string Data(const Limits& limits) {
    notes_.clear();
    ChooseNodes(limits);
    ChooseSamples(limits);
    Stream out;
    out.Number(kVersion);
    out.String(ShownText(profile_.title));
    out.Number(static_cast<uint64_t>(std::max<int64_t>(profile_.start_time_ns / 1'000'000, 0)));
    out.Number(static_cast<uint64_t>(std::max<int64_t>(profile_.duration_ns / 1000, 0)));
    const bool is_time = profile_.period_type.unit == "nanoseconds" && profile_.period > 0;
    out.Number(is_time ? static_cast<uint64_t>(profile_.period / 1000) : 0);
    std::vector<std::string> comments;
    for (size_t i = 0; i < std::min(profile_.comments.size(), kMaxComments); ++i) {
      comments.push_back(ShownText(profile_.comments[i]));
    }
    out.Strings(comments);
    out.Strings(notes_);
    out.Number(kCodeKinds);
    for (const KindStyle& style : kKindStyles) {
      out.String(style.legend);
      for (int part : {style.from.r, style.from.g, style.from.b, style.to.r, style.to.g,
                       style.to.b}) {
        out.Number(static_cast<uint64_t>(part));
      }
    }
    Labels(out);
    Threads(out);
    Nodes(out);
    Samples(out);
    return out.bytes();
  }

 private:
  // The heaviest, callers before callees.
  void ChooseNodes(const Limits& limits) {
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    std::vector<uint32_t> order(nodes.size() - 1);
    std::iota(order.begin(), order.end(), 1);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return nodes[a].total != nodes[b].total ? nodes[a].total > nodes[b].total
                                              : nodes[a].depth < nodes[b].depth;
    });
    std::vector<bool> chosen(nodes.size(), false);
    chosen[0] = true;
    label_number_.assign(tree_.labels().size(), UINT32_MAX);
    labels_.clear();
    size_t label_bytes = 0, count = 0;
    for (uint32_t i : order) {
      const CallTree::Node& node = nodes[i];
      if (count == limits.nodes) break;
      if (label_number_[node.label] == UINT32_MAX) {
        label_bytes += tree_.label(node).text.size();
        if (label_bytes > limits.label_bytes) break;
        label_number_[node.label] = static_cast<uint32_t>(labels_.size());
        labels_.push_back(node.label);
      }
      chosen[i] = true;
      ++count;
    }
    // Those in the file, in preorder; the others are the nearest caller that is.
    number_.assign(nodes.size(), 0);
    nodes_ = {0};
    for (uint32_t i = 1; i < nodes.size(); ++i) {
      if (chosen[i]) {
        number_[i] = static_cast<uint32_t>(nodes_.size());
        nodes_.push_back(i);
      } else {
        number_[i] = number_[nodes[i].parent];
      }
    }
    if (size_t out = nodes.size() - nodes_.size(); out > 0) {
      notes_.push_back(absl::StrCat(out, " of ", nodes.size() - 1,
                                    " call paths are left out for the file's size, the thinnest; "
                                    "their samples count for their callers"));
    }
  }

  void ChooseSamples(const Limits& limits) {
    samples_.clear();
    int64_t negative = 0;
    const size_t type = SummedType(profile_);
    for (size_t i = 0; i < profile_.samples.size(); ++i) {
      const ProfileSample& sample = profile_.samples[i];
      const int64_t weight = profile_.Value(i, type);
      if (weight < 0) ++negative;
      if (weight <= 0) continue;
      samples_.push_back({std::max<int64_t>(sample.time_ns / 1000, 0),
                          std::min<uint32_t>(sample.thread.value, kMaxThreads),
                          number_[tree_.sample_nodes()[i]], weight});
    }
    if (negative > 0) notes_.push_back(absl::StrCat(negative, " samples of negative weight"));
    int64_t width_us = 0;
    const size_t before = samples_.size();
    const int64_t end_us = samples_.empty() ? 0 : samples_.back().time_us;
    while (samples_.size() > limits.samples && width_us <= end_us) {
      width_us = width_us == 0 ? 1000 : width_us * 4;
      auto place = [width_us](const TimedSample& s) {
        return std::tuple(s.time_us / width_us, s.thread, s.node);
      };
      std::stable_sort(samples_.begin(), samples_.end(),
                       [&](const auto& a, const auto& b) { return place(a) < place(b); });
      std::vector<TimedSample> merged;
      for (const TimedSample& sample : samples_) {
        if (!merged.empty() && place(merged.back()) == place(sample)) {
          merged.back().weight = SaturatingAdd(merged.back().weight, sample.weight);
        } else {
          merged.push_back(sample);
        }
      }
      samples_ = std::move(merged);
    }
    if (samples_.size() < before) {
      std::stable_sort(samples_.begin(), samples_.end(),
                       [](const auto& a, const auto& b) { return a.time_us < b.time_us; });
      notes_.push_back(absl::StrCat("equal stacks within ", width_us / 1000,
                                    " ms are one sample in time, for the file's size"));
    }
  }

  void Labels(Stream& out) {
    std::vector<std::string> packages;
    absl::flat_hash_map<std::string, uint64_t> numbers;
    Stream lengths, kinds, shades, own;
    std::string text;
    for (uint32_t l : labels_) {
      const FrameLabel& label = tree_.labels()[l];
      lengths.Number(Utf16Units(label.text));
      kinds.Number(label.category & ~kInlinedBit);
      shades.Number(static_cast<uint64_t>(ShadeOf(label.text)) +
                    ((label.category & kInlinedBit) != 0 ? 16 : 0));
      uint64_t package = 0;
      if (!package_of_[l].empty()) {
        auto [it, added] = numbers.try_emplace(package_of_[l], packages.size() + 1);
        if (added) packages.push_back(package_of_[l]);
        package = it->second;
      }
      own.Number(package);
      text += label.text;
    }
    out.Strings(packages);
    out.Number(labels_.size());
    for (const Stream* column : {&lengths, &kinds, &shades, &own}) Append(out, *column);
    out.String(text);
  }

  void Threads(Stream& out) {
    const size_t count = std::min(profile_.threads.size(), kMaxThreads);
    const bool more = profile_.threads.size() > kMaxThreads;
    out.Number(count + (more ? 1 : 0));
    for (size_t i = 0; i < count; ++i) {
      const Thread& thread = profile_.threads[i];
      out.Number(static_cast<uint32_t>(thread.pid));
      out.Number(static_cast<uint32_t>(thread.tid));
      out.String(ShownText(profile_.String(thread.process_name), 256));
      out.String(ShownText(profile_.String(thread.name), 256));
    }
    if (more) {
      out.Number(0);
      out.Number(0);
      out.String("[other]");
      out.String("[other threads]");
    }
  }

  void Nodes(Stream& out) {
    const std::vector<CallTree::Node>& nodes = tree_.nodes();
    out.Number(nodes_.size());
    Stream closed, labels, lines;
    uint32_t depth = 0;
    for (size_t i = 1; i < nodes_.size(); ++i) {
      const CallTree::Node& node = nodes[nodes_[i]];
      closed.Number(depth + 1 - node.depth);
      depth = node.depth;
      labels.Number(label_number_[node.label]);
      lines.Number(node.line);
    }
    for (const Stream* column : {&closed, &labels, &lines}) Append(out, *column);
  }

  void Samples(Stream& out) {
    Stream times, threads, nodes, weights;
    int64_t time = 0, node = 0;
    for (const TimedSample& sample : samples_) {
      times.Number(static_cast<uint64_t>(sample.time_us - std::exchange(time, sample.time_us)));
      threads.Number(sample.thread);
      nodes.Signed(int64_t{sample.node} - std::exchange(node, sample.node));
      weights.Number(static_cast<uint64_t>(sample.weight));
    }
    out.Number(samples_.size());
    for (const Stream* column : {&times, &threads, &nodes, &weights}) Append(out, *column);
  }

  static void Append(Stream& out, const Stream& column) { out.String(column.bytes()); }

  const Profile& profile_;
  const CallTree& tree_;
  const std::vector<std::string>& package_of_;  // by label, shown
  std::vector<std::string> notes_;
  std::vector<uint32_t> number_;        // by node of the tree: in the file
  std::vector<uint32_t> nodes_;         // in the file: of the tree
  std::vector<uint32_t> label_number_;  // by label of the tree: in the file
  std::vector<uint32_t> labels_;        // in the file: of the tree
  std::vector<TimedSample> samples_;
};

absl::StatusOr<std::string> Deflated(const std::string& bytes) {
  uLongf size = compressBound(bytes.size());
  std::string out(size, '\0');
  const int result = compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                               reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(), 6);
  if (result != Z_OK) return absl::ResourceExhaustedError("deflating the report failed");
  out.resize(size);
  return out;
}

// The only way into the file: string literals, constants of the program, and text that is escaped.
class Html {
 public:
  template <size_t N>
  Html& Markup(const char (&literal)[N]) {
    text_.append(literal, N - 1);
    return *this;
  }
  // A file of web/, or base64.
  Html& Constant(absl::string_view constant) {
    absl::StrAppend(&text_, constant);
    return *this;
  }
  Html& Hash(absl::string_view sha256) {
    absl::StrAppend(&text_, "'sha256-", absl::Base64Escape(sha256), "'");
    return *this;
  }
  Html& Text(const XmlText& text) {
    text_ += text.text();
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class HtmlExporter : public Exporter {
 public:
  explicit HtmlExporter(int64_t max_bytes) : max_bytes_(max_bytes) {}

  absl::Status Write(const Profile& profile, OutputSink& sink) const override {
    const Packages packages(profile);
    absl::flat_hash_map<std::string, std::string> package_of_name;
    auto frame_label = [&](const Function& function, uint32_t line, bool inlined) {
      FrameLabel label{ShownName(profile, function, line),
                       static_cast<uint8_t>(KindOf(profile, function))};
      package_of_name.try_emplace(label.text, ShownText(packages.Of(function), 64));
      if (inlined) label.category |= kInlinedBit;
      return label;
    };
    auto process_label = [](absl::string_view name) {
      std::string shown = ShownText(name);
      return FrameLabel{shown.empty() ? "[unknown]" : std::move(shown),
                        static_cast<uint8_t>(CodeKind::kBase)};
    };
    CallTree::Options options{.sample_type = SummedType(profile),
                              .frame_label = frame_label, .process_label = process_label};
    options.by_line = true;
    const CallTree tree = CallTree::Build(profile, options);
    std::vector<std::string> package_of;
    for (const FrameLabel& label : tree.labels()) package_of.push_back(package_of_name[label.text]);

    Html html;
    Head(profile, html);
    const int64_t room = max_bytes_ - static_cast<int64_t>(html.text().size() + 1000 +
                                                           assets::tree_js().size() +
                                                           assets::report_js().size());
    Report report(profile, tree, package_of);
    Limits limits = {kMaxNodes, kMaxSamples, kMaxLabelBytes};
    std::string data;
    while (true) {
      JPROF_ASSIGN_OR_RETURN(data, Deflated(report.Data(limits)));
      if (static_cast<int64_t>(data.size()) / 3 * 4 < room || limits.samples == 0) break;
      limits = {std::min(limits.nodes, tree.nodes().size()) / 2,
                std::min(limits.samples, profile.samples.size()) / 2, limits.label_bytes / 2};
    }
    html.Markup("<script type=\"application/octet-stream\" id=\"profile\">")
        .Constant(absl::Base64Escape(data))
        .Markup("</script>\n<script>")
        .Constant(assets::tree_js())
        .Markup("</script>\n<script>")
        .Constant(assets::report_js())
        .Markup("</script>\n</body>\n</html>\n");
    return sink.Append(html.text());
  }

 private:
  static void Head(const Profile& profile, Html& html) {
    const absl::string_view title =
        profile.title.empty() ? absl::string_view("Profile") : absl::string_view(profile.title);
    html.Markup(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src ")
        .Hash(assets::tree_js_sha256())
        .Markup(" ")
        .Hash(assets::report_js_sha256())
        .Markup("; style-src ")
        .Hash(assets::report_css_sha256())
        .Markup(
            "; base-uri 'none'; form-action 'none'\">\n"
            "<meta name=\"viewport\" content=\"width=device-width\">\n<title>")
        .Text(XmlText::Escape(title))
        .Markup("</title>\n<style>")
        .Constant(assets::report_css())
        .Markup("</style>\n</head>\n<body>\n<header>\n<h1>")
        .Text(XmlText::Escape(title))
        .Markup("</h1>\n<div id=\"verdict\">\n");
    for (size_t i = 0; i < std::min(profile.comments.size(), kMaxComments); ++i) {
      html.Markup("<p>").Text(XmlText::Escape(profile.comments[i])).Markup("</p>\n");
    }
    html.Markup(
        "</div>\n</header>\n"
        "<noscript>The pictures need JavaScript; an SVG (-o out.svg) does not.</noscript>\n"
        "<div id=\"report\"></div>\n");
  }

  const int64_t max_bytes_;
};

}  // namespace

std::unique_ptr<Exporter> MakeHtmlExporter(int64_t max_bytes) {
  return std::make_unique<HtmlExporter>(max_bytes);
}
std::unique_ptr<Exporter> MakeHtmlExporter() { return MakeHtmlExporter(kMaxHtmlBytes); }

}  // namespace jprof
