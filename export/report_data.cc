#include "export/report_data.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "export/code_kind.h"
#include "export/text.h"
#include "export/tracks.h"

namespace jprof {
namespace {

constexpr uint64_t kVersion = 3;
constexpr size_t kMaxThreads = 10'000;
constexpr size_t kMaxThreadNameBytes = 256;
constexpr uint64_t kInlinedShade = 16;  // added to the shade

// A report of more nodes and samples has a head. Nodes narrower than the picture's width divided by
// kHeadPixels are not in it.
constexpr size_t kSmall = 20'000;
constexpr int64_t kHeadPixels = 4000;
constexpr size_t kMaxHeadNodes = 6000;
constexpr size_t kMaxHeadLabelBytes = 250'000;

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
  void Append(const Stream& other) { bytes_ += other.bytes_; }
  void Columns(std::initializer_list<const Stream*> columns) {
    for (const Stream* column : columns) String(column->bytes_);
  }
  std::string TakeBytes() && { return std::move(bytes_); }

 private:
  std::string bytes_;
};

uint64_t NonNegative(int64_t n) { return static_cast<uint64_t>(std::max<int64_t>(n, 0)); }

size_t Utf16Units(absl::string_view shown) {
  size_t units = 0;
  for (char c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) != 0x80) units += byte >= 0xf0 ? 2 : 1;
  }
  return units;
}

// The labels that a stream has, numbered as they are asked for.
class Labels {
 public:
  explicit Labels(const PictureTree& picture)
      : picture_(picture), number_(picture.tree().labels().size(), UINT32_MAX) {}

  bool Has(uint32_t label) const { return number_[label] != UINT32_MAX; }
  uint32_t NumberOf(uint32_t label) {
    if (!Has(label)) {
      number_[label] = static_cast<uint32_t>(labels_.size());
      labels_.push_back(label);
      bytes_ += BytesOf(label);
    }
    return number_[label];
  }
  size_t bytes() const { return bytes_; }
  size_t BytesOf(uint32_t label) const {
    return picture_.tree().labels()[label].text.size() + picture_.generated()[label].size();
  }

  // kinds of code: legend, from r g b, to r g b (code_kind.h)
  // packages                                      strings
  // labels: length in UTF-16 units, kind, shade + 16 * inlined, package + 1; then all text in one;
  //   then how many are shown by their originals, of each its number and the generated name and
  //   place
  void AppendLook(Stream& out) const {
    out.Number(kCodeKinds);
    for (const KindStyle& style : kKindStyles) {
      out.String(style.legend);
      for (int part : {style.from.r, style.from.g, style.from.b, style.to.r, style.to.g,
                       style.to.b}) {
        out.Number(static_cast<uint64_t>(part));
      }
    }
    std::vector<std::string> packages;
    absl::flat_hash_map<absl::string_view, uint64_t> numbers;
    Stream lengths, kinds, shades, own, generated;
    uint64_t with_generated = 0;
    std::string text;
    for (size_t i = 0; i < labels_.size(); ++i) {
      const uint32_t l = labels_[i];
      const FrameLabel& label = picture_.tree().labels()[l];
      if (!picture_.generated()[l].empty()) {
        ++with_generated;
        generated.Number(i);
        generated.String(picture_.generated()[l]);
      }
      lengths.Number(Utf16Units(label.text));
      kinds.Number(static_cast<uint64_t>(PictureTree::KindOf(label)));
      shades.Number(static_cast<uint64_t>(ShadeOf(label.text)) +
                    (PictureTree::IsInlined(label) ? kInlinedShade : 0));
      uint64_t package = 0;
      const std::string& name = picture_.packages()[l];
      if (!name.empty()) {
        auto [it, added] = numbers.try_emplace(name, packages.size() + 1);
        if (added) packages.push_back(name);
        package = it->second;
      }
      own.Number(package);
      text += label.text;
    }
    out.Strings(packages);
    out.Number(labels_.size());
    out.Columns({&lengths, &kinds, &shades, &own});
    out.String(text);
    out.Number(with_generated);
    out.Append(generated);
  }

 private:
  const PictureTree& picture_;
  std::vector<uint32_t> number_;  // by label of the tree
  std::vector<uint32_t> labels_;  // of the tree
  size_t bytes_ = 0;
};

// The call paths that are in the file.
struct ChosenNodes {
  std::vector<uint32_t> nodes = {0};  // of the tree, in preorder
  std::vector<uint32_t> number_of;  // by node of the tree: itself or its nearest caller that is in
};

// The widest, callers before callees; their labels are numbered by the way.
ChosenNodes Choose(const PictureTree& picture, const std::vector<int64_t>& widths,
                   const ReportLimits& limits, Labels& labels, std::vector<std::string>& notes) {
  const std::vector<CallTree::Node>& nodes = picture.nodes();
  std::vector<uint32_t> order(nodes.size() - 1);
  std::iota(order.begin(), order.end(), 1);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return widths[a] != widths[b] ? widths[a] > widths[b] : nodes[a].depth < nodes[b].depth;
  });
  std::vector<bool> is_in(nodes.size(), false);
  size_t count = 0;
  for (uint32_t i : order) {
    if (count == limits.nodes) break;
    const uint32_t label = nodes[i].label;
    const size_t bytes = labels.Has(label) ? 0 : labels.BytesOf(label);
    if (labels.bytes() + bytes > limits.label_bytes) break;
    labels.NumberOf(label);
    is_in[i] = true;
    ++count;
  }
  ChosenNodes chosen;
  chosen.number_of.assign(nodes.size(), 0);
  for (uint32_t i = 1; i < nodes.size(); ++i) {
    if (is_in[i]) {
      chosen.number_of[i] = static_cast<uint32_t>(chosen.nodes.size());
      chosen.nodes.push_back(i);
    } else {
      chosen.number_of[i] = chosen.number_of[nodes[i].parent];
    }
  }
  if (const size_t out = nodes.size() - chosen.nodes.size(); out > 0) {
    notes.push_back(absl::StrCat(out, " of ", nodes.size() - 1,
                                 " call paths are left out for the file's size, the thinnest; "
                                 "their samples count for their callers"));
  }
  return chosen;
}

void AppendNodes(const PictureTree& picture, const ChosenNodes& chosen, Labels& labels,
                 Stream& out) {
  Stream closed, label_numbers, lines;
  uint32_t depth = 0;
  for (size_t i = 1; i < chosen.nodes.size(); ++i) {
    const CallTree::Node& node = picture.nodes()[chosen.nodes[i]];
    closed.Number(depth + 1 - node.depth);
    depth = node.depth;
    label_numbers.Number(labels.NumberOf(node.label));
    lines.Number(node.line);
  }
  out.Number(chosen.nodes.size());
  out.Columns({&closed, &label_numbers, &lines});
}

void AppendThreads(const Profile& profile, const DistinctThreads& threads, Stream& out) {
  const size_t count = std::min(threads.first.size(), kMaxThreads);
  const bool more = threads.first.size() > kMaxThreads;
  out.Number(count + (more ? 1 : 0));
  for (size_t i = 0; i < count; ++i) {
    const Thread& thread = profile.threads[threads.first[i].value];
    out.Number(static_cast<uint32_t>(thread.pid));
    out.Number(static_cast<uint32_t>(thread.tid));
    out.String(ShownText(profile.String(thread.process_name), kMaxThreadNameBytes));
    out.String(ShownText(profile.String(thread.name), kMaxThreadNameBytes));
  }
  if (more) {
    out.Number(0);
    out.Number(0);
    out.String("[other]");
    out.String("[other threads]");
  }
}

struct TimedSample {
  int64_t time_us;
  uint32_t thread;
  uint32_t node;
  int64_t weight;
  uint8_t side;  // 1: of the profile that is compared with
};

// In the order of the profile: by time.
std::vector<TimedSample> SamplesOf(const Profile& profile, const PictureTree& picture,
                                   const ChosenNodes& chosen, const DistinctThreads& threads,
                                   std::vector<std::string>& notes) {
  std::vector<TimedSample> samples;
  int64_t negative = 0;
  const size_t types[] = {SummedType(profile), BaseType(profile).value_or(0)};
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    const ProfileSample& sample = profile.samples[i];
    for (uint8_t side = 0; side < (picture.compares() ? 2 : 1); ++side) {
      const int64_t weight = profile.Value(i, types[side]);
      if (weight < 0) ++negative;
      if (weight <= 0) continue;
      samples.push_back({std::max<int64_t>(sample.time_ns / 1000, 0),
                         std::min<uint32_t>(threads.number[sample.thread.value], kMaxThreads),
                         chosen.number_of[picture.tree().sample_nodes()[i]], weight, side});
    }
  }
  if (negative > 0) notes.push_back(absl::StrCat(negative, " samples of negative weight"));
  return samples;
}

// Until there are at most `most`, those of one thread and path that are close in time become one.
void Thin(std::vector<TimedSample>& samples, size_t most, std::vector<std::string>& notes) {
  const size_t before = samples.size();
  const int64_t end_us = samples.empty() ? 0 : samples.back().time_us;
  int64_t width_us = 0;
  while (samples.size() > most && width_us <= end_us) {
    width_us = width_us == 0 ? 1000 : width_us * 4;
    auto place = [width_us](const TimedSample& s) {
      return std::tuple(s.time_us / width_us, s.thread, s.node, s.side);
    };
    std::stable_sort(samples.begin(), samples.end(),
                     [&](const auto& a, const auto& b) { return place(a) < place(b); });
    std::vector<TimedSample> merged;
    for (const TimedSample& sample : samples) {
      if (!merged.empty() && place(merged.back()) == place(sample)) {
        merged.back().weight = SaturatingAdd(merged.back().weight, sample.weight);
      } else {
        merged.push_back(sample);
      }
    }
    samples = std::move(merged);
  }
  if (samples.size() == before) return;
  std::stable_sort(samples.begin(), samples.end(),
                   [](const auto& a, const auto& b) { return a.time_us < b.time_us; });
  notes.push_back(absl::StrCat("equal stacks within ", width_us / 1000,
                               " ms are one sample in time, for the file's size"));
}

void AppendSamples(const std::vector<TimedSample>& samples, bool compares, Stream& out) {
  Stream times, threads, nodes, weights, sides;
  int64_t time = 0, node = 0;
  for (const TimedSample& sample : samples) {
    times.Number(static_cast<uint64_t>(sample.time_us - std::exchange(time, sample.time_us)));
    threads.Number(sample.thread);
    nodes.Signed(int64_t{sample.node} - std::exchange(node, sample.node));
    weights.Number(static_cast<uint64_t>(sample.weight));
    sides.Number(sample.side);
  }
  out.Number(samples.size());
  out.Columns({&times, &threads, &nodes, &weights});
  if (compares) out.Columns({&sides});
}

// Nodes of equal functions below one caller, lines merged.
struct HeadNode {
  std::vector<uint32_t> places;  // the tree's
  uint32_t label = 0;
  uint32_t depth = 0;
  int64_t width = 0;
  int64_t self = 0, total = 0;  // saturate
  int64_t base_self = 0, base = 0;
};

// In preorder, siblings by name; what is narrower than `least` is left out. Empty: too many.
std::vector<HeadNode> HeadNodes(const PictureTree& picture, const std::vector<int64_t>& widths,
                                int64_t least) {
  const std::vector<CallTree::Node>& nodes = picture.nodes();
  std::vector<HeadNode> head, open(1);
  open[0].places = {0};
  open[0].total = nodes[0].total;
  open[0].base = nodes[0].base;
  while (!open.empty()) {
    HeadNode top = std::move(open.back());
    open.pop_back();
    absl::flat_hash_map<uint32_t, HeadNode> callees;
    top.base_self = top.base;
    for (uint32_t place : top.places) {
      top.self = SaturatingAdd(top.self, nodes[place].self);
      for (uint32_t i = place + 1; i < nodes[place].end; i = nodes[i].end) {
        top.base_self -= std::min(top.base_self, nodes[i].base);
        HeadNode& callee = callees[nodes[i].label];
        callee.places.push_back(i);
        callee.label = nodes[i].label;
        callee.depth = nodes[i].depth;
        callee.width = SaturatingAdd(callee.width, widths[i]);
        callee.total = SaturatingAdd(callee.total, nodes[i].total);
        callee.base = SaturatingAdd(callee.base, nodes[i].base);
      }
    }
    std::vector<HeadNode> kept;
    for (auto& [label, callee] : callees) {
      if (callee.width >= least && callee.width > 0) kept.push_back(std::move(callee));
    }
    // The last is taken first.
    std::sort(kept.begin(), kept.end(), [&](const HeadNode& a, const HeadNode& b) {
      return picture.tree().labels()[b.label] < picture.tree().labels()[a.label];
    });
    std::move(kept.begin(), kept.end(), std::back_inserter(open));
    top.places.clear();
    head.push_back(std::move(top));
    if (head.size() + open.size() > kMaxHeadNodes) return {};
  }
  return head;
}

}  // namespace

ReportData::ReportData(const Profile& profile, const PictureTree& picture)
    : profile_(profile), picture_(picture) {
  widths_.reserve(picture.nodes().size());
  for (const CallTree::Node& node : picture.nodes()) widths_.push_back(picture.Width(node));
}

std::string ReportData::Whole(const ReportLimits& limits) const {
  Labels labels(picture_);
  std::vector<std::string> notes;
  const ChosenNodes chosen = Choose(picture_, widths_, limits, labels, notes);
  const DistinctThreads threads = DistinctThreadsOf(profile_);
  std::vector<TimedSample> samples = SamplesOf(profile_, picture_, chosen, threads, notes);
  Thin(samples, limits.samples, notes);
  Stream out;
  out.Number(kVersion);
  out.Number(picture_.compares() ? 2 : 1);
  out.String(ShownText(profile_.title));
  out.String(SummedUnit(profile_));
  out.Number(NonNegative(profile_.start_time_ns / 1'000'000));
  out.Number(NonNegative(profile_.duration_ns / 1000));
  const bool is_time = profile_.period_type.unit == "nanoseconds";
  out.Number(is_time ? NonNegative(profile_.period / 1000) : 0);
  std::vector<std::string> comments;
  for (size_t i = 0; i < std::min(profile_.comments.size(), kMaxComments); ++i) {
    comments.push_back(ShownText(profile_.comments[i]));
  }
  out.Strings(comments);
  out.Strings(notes);
  labels.AppendLook(out);
  AppendThreads(profile_, threads, out);
  AppendNodes(picture_, chosen, labels, out);
  AppendSamples(samples, picture_.compares(), out);
  return std::move(out).TakeBytes();
}

std::string ReportData::Head() const {
  if (picture_.nodes().size() + profile_.samples.size() < kSmall) return "";
  for (int64_t pixels = kHeadPixels; pixels >= 1; pixels /= 2) {
    const std::vector<HeadNode> nodes = HeadNodes(picture_, widths_, widths_[0] / pixels);
    if (nodes.empty()) continue;
    Labels labels(picture_);
    Stream closed, numbers, self, total, base_self, base;
    uint32_t depth = 0;
    for (const HeadNode& node : nodes) {
      if (node.depth > 0) {
        closed.Number(depth + 1 - node.depth);
        numbers.Number(labels.NumberOf(node.label));
      }
      depth = node.depth;
      self.Number(static_cast<uint64_t>(node.self));
      total.Number(static_cast<uint64_t>(node.total));
      base_self.Number(static_cast<uint64_t>(node.base_self));
      base.Number(static_cast<uint64_t>(node.base));
    }
    if (labels.bytes() > kMaxHeadLabelBytes) continue;
    Stream out;
    out.Number(kVersion);
    out.Number(picture_.compares() ? 2 : 1);
    out.String(SummedUnit(profile_));
    labels.AppendLook(out);
    out.Number(nodes.size());
    out.Columns({&closed, &numbers, &self, &total});
    if (picture_.compares()) out.Columns({&base_self, &base});
    return std::move(out).TakeBytes();
  }
  return "";
}

}  // namespace jprof
