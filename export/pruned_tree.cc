// A flame graph draws some ten thousand frames; a profile of a million distinct stacks has
// millions. Nearly all are thinner than a tenth of a pixel, and a tree of them all would be built
// to be thrown away. What is thin is known only at the end. Hence two readings:
//
// 1. The sum of each node is added to a cell that the hash of its path chooses among two million
//    (the sketch). Nodes that share a cell make its sum too large, never too small: it is an upper
//    bound of each. What the picture says of all frames, executing functions and kinds, is summed
//    as well.
// 2. A tree takes the nodes whose bound is wide enough (a bit for each cell says so, a quarter of a
//    megabyte, which stays in the processor's cache). At the first that is not, a stack ends: what
//    lies behind is no wider. That thin node is taken as well, for its room between its neighbours,
//    and carries the weight of all that is behind it.
//
// So widths and places are exact; a bound that is too large costs a node that is not drawn. Memory
// is the sketch, the names, the wide nodes and their children, and what lies beyond the deepest
// level that is drawn. Of most profiles that is little; those of which it is not, made on purpose
// or not, are given up at a limit. How many nodes are not in the tree is estimated from the share
// of the cells that are empty (linear counting; a percent or better).
//
// Sources are read side by side, each into its own sketch, names and tree, which are merged.
#include "export/pruned_tree.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "export/call_tree.h"
#include "export/code_kind.h"
#include "export/flame_layout.h"
#include "export/growing_tree.h"
#include "export/svg.h"
#include "profiler/core/status.h"

namespace jprof {
namespace {

// A limit of width stays below the largest sum that a cell holds.
constexpr int64_t kMaxTotal = int64_t{1} << 45;

constexpr int kCellBits = 21;
constexpr size_t kCells = size_t{1} << kCellBits;
size_t CellOf(uint64_t hash) { return hash >> (64 - kCellBits); }

class Sketch {
 public:
  Sketch() : sums_(Allocate()) {}
  void Expect(uint64_t hash) const { __builtin_prefetch(&sums_[CellOf(hash)], 1); }
  void Add(uint64_t hash, int64_t weight) { Raise(sums_[CellOf(hash)], weight); }
  void Add(const Sketch& other) {
    for (size_t i = 0; i < kCells; ++i) Raise(sums_[i], other.sums_[i]);
  }
  // No node of this cell weighs more.
  int64_t Bound(size_t cell) const { return sums_[cell] == kMany ? kMaxTotal : sums_[cell]; }
  // Nearly how many hashes there were. Unimplemented: too many to tell.
  absl::StatusOr<int64_t> Hashes() const {
    constexpr double kMinEmpty = 100;
    const double all = static_cast<double>(kCells);
    const double empty = static_cast<double>(std::count(&sums_[0], &sums_[0] + kCells, 0));
    if (empty < kMinEmpty) return absl::UnimplementedError("too many nodes for the sketch");
    return std::llround(all * std::log(all / empty));
  }

 private:
  struct Free {
    void operator()(uint32_t* sums) const { std::free(sums); }
  };
  using Sums = std::unique_ptr<uint32_t[], Free>;
  // In large pages, if there are any: neighbours in time are seldom on one small page.
  static Sums Allocate() {
    constexpr size_t kBytes = kCells * sizeof(uint32_t), kHugePage = size_t{2} << 20;
    Sums sums(static_cast<uint32_t*>(std::aligned_alloc(kHugePage, kBytes)));
    if (sums == nullptr) throw std::bad_alloc();
    ::madvise(sums.get(), kBytes, MADV_HUGEPAGE);
    std::fill_n(sums.get(), kCells, 0);
    return sums;
  }
  static constexpr uint32_t kMany = UINT32_MAX;  // or more
  static void Raise(uint32_t& sum, int64_t weight) {
    sum = weight < kMany - sum ? sum + static_cast<uint32_t>(weight) : kMany;
  }

  Sums sums_;
};

// The cells that may hold a node which is drawn.
class WideCells {
 public:
  WideCells(const Sketch& sketch, int64_t total) : bits_(kCells / 64) {
    for (size_t i = 0; i < kCells; ++i) {
      if (!FlameLayout::IsThin(sketch.Bound(i), total)) bits_[i / 64] |= uint64_t{1} << i % 64;
    }
  }
  bool Has(uint64_t hash) const {
    const size_t cell = CellOf(hash);
    return (bits_[cell / 64] >> cell % 64 & 1) != 0;
  }

 private:
  std::vector<uint64_t> bits_;
};

// Neither is seeded: equal profiles give equal bytes.
uint64_t HashOf(const FrameLabel& label) {
  uint64_t hash = 14695981039346656037u ^ label.category;  // FNV-1a
  for (char c : label.text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}
uint64_t HashOf(uint64_t caller, uint64_t label) {
  const uint64_t mixed = (std::rotl(caller, 23) ^ label) * 0x9e3779b97f4a7c15u;
  return mixed ^ mixed >> 32;
}

absl::Status CheckNodes(const GrowingTree& tree, size_t max_nodes) {
  return tree.size() <= max_nodes ? absl::OkStatus() : absl::UnimplementedError("too many nodes");
}

// What one source gives.
class Part {
 public:
  explicit Part(StackSource& source) : source_(source) {}

  absl::Status Sum() {
    source_.Rewind();
    std::vector<Summed> path;
    for (;;) {
      JPROF_ASSIGN_OR_RETURN(const bool more, source_.Next());
      Close(path, more ? source_.kept() : 0);
      if (!more) return absl::OkStatus();
      while (const std::optional<uint32_t> number = source_.TakeFrame()) Open(path, *number);
      const int64_t weight = source_.weight();
      if (weight > kMaxTotal - total_) return absl::UnimplementedError("too large a weight");
      total_ += weight;
      Summed& leaf = path.back();
      leaf.sum += weight;
      executing_.Add(leaf.frame.label, leaf.frame.inlined, leaf.kind, weight);
    }
  }

  Sketch TakeSketch() { return std::move(sketch_); }

  // `wide`: of all parts.
  absl::Status Grow(const WideCells& wide, size_t max_nodes) {
    source_.Rewind();
    std::vector<Grown> path;
    for (;;) {
      JPROF_ASSIGN_OR_RETURN(const bool more, source_.Next());
      if (!more) return absl::OkStatus();
      path.resize(source_.kept());
      while (path.empty() || !path.back().thin) {
        const std::optional<uint32_t> number = source_.TakeFrame();
        if (!number) break;
        if (*number >= frames_.size()) return absl::AbortedError("changed while it was read");
        const Frame& frame = frames_[*number];
        const uint32_t caller = path.empty() ? 0 : path.back().node;
        const uint64_t hash = HashOf(path.empty() ? 0 : path.back().hash, frame.hash);
        // Above the deepest level nothing is left out: there all is counted, thin or not.
        const bool thin = path.size() <= kMaxSvgDepth && !wide.Has(hash);
        path.push_back({tree_.Child(caller, frame.label), hash, thin});
        JPROF_RETURN_IF_ERROR(CheckNodes(tree_, max_nodes));
      }
      tree_.AddSelf(path.back().node, source_.weight());
    }
  }

  int64_t total() const { return total_; }

  // Adds what another part has grown.
  absl::Status Merge(const Part& other, size_t max_nodes) {
    const std::vector<uint32_t> labels = tree_.Add(other.tree_);
    executing_.Add(other.executing_, labels);
    return CheckNodes(tree_, max_nodes);
  }

  void Tell(LabelFacts& facts) const {
    const Profile& tables = source_.tables();
    const Packages packages(tables);
    for (uint32_t i = 0; i < frames_.size(); ++i) {
      const FunctionId function = source_.frame(i).function;
      if (!function.valid()) continue;
      const FrameLabel& label = tree_.labels()[frames_[i].label];
      facts.Add(label, tables, tables.functions[function.value], packages);
    }
  }

  // `nodes`: of the tree of all, nearly.
  PictureTree Finish(int64_t nodes, const LabelFacts& facts) && {
    const int64_t hidden = std::max<int64_t>(nodes - static_cast<int64_t>(tree_.size()), 0);
    return PictureTree(std::move(tree_).Finish({}), facts,
                       PictureTree::Hidden{hidden, std::move(executing_)});
  }

 private:
  struct Frame {
    uint64_t hash;  // of the label
    uint32_t label;
    CodeKind kind;
    bool inlined;
  };
  // Nodes on the way to the leaf.
  struct Summed {
    Frame frame;
    CodeKind kind;
    uint64_t hash;
    int64_t sum;
  };
  struct Grown {
    uint32_t node;
    uint64_t hash;
    bool thin;
  };

  void Open(std::vector<Summed>& path, uint32_t number) {
    if (number == frames_.size()) AddFrame(number);
    const Frame& frame = frames_[number];
    const bool outermost = path.empty();
    const CodeKind kind =
        PictureTree::KindBelow(outermost ? CodeKind::kBase : path.back().kind, frame.kind);
    const uint64_t hash = HashOf(outermost ? 0 : path.back().hash, frame.hash);
    sketch_.Expect(hash);
    executing_.Meet(kind);
    path.push_back({frame, kind, hash, 0});
  }

  void AddFrame(uint32_t number) {
    const StackSource::Frame frame = source_.frame(number);
    const Profile& tables = source_.tables();
    FrameLabel label =
        frame.function.valid()
            ? PictureTree::LabelOf(tables, tables.functions[frame.function.value], 0, frame.inlined)
            : PictureTree::LabelOfProcess(tables.String(frame.process));
    frames_.push_back({HashOf(label), 0, PictureTree::KindOf(label), frame.inlined});
    frames_.back().label = tree_.Intern(std::move(label));
  }

  void Close(std::vector<Summed>& path, size_t kept) {
    while (path.size() > kept) {
      const Summed& closed = path.back();
      sketch_.Add(closed.hash, closed.sum);
      if (path.size() > 1) path[path.size() - 2].sum += closed.sum;
      path.pop_back();
    }
  }

  StackSource& source_;
  Sketch sketch_;
  std::vector<Frame> frames_;  // by number
  GrowingTree tree_;
  int64_t total_ = 0;
  PictureTree::Executing executing_;
};

// Runs `step` for each part, in threads as far as there are any. The first error there is.
template <typename Step>
absl::Status InThreads(std::vector<Part>& parts, const Step& step) {
  std::vector<absl::Status> results(parts.size());
  std::vector<std::thread> threads;
  size_t here = 1;  // parts of this thread: the first, and those that get none of their own
  for (size_t i = parts.size(); i-- > 1;) {
    try {
      threads.emplace_back([&, i] { results[i] = step(parts[i]); });
    } catch (const std::system_error&) {
      here = i + 1;
      break;
    }
  }
  for (size_t i = 0; i < here; ++i) results[i] = step(parts[i]);
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& result : results) JPROF_RETURN_IF_ERROR(result);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PictureTree> PruneStacks(std::span<StackSource* const> sources,
                                        size_t max_nodes) {
  std::vector<Part> parts;
  for (StackSource* source : sources) parts.emplace_back(*source);
  JPROF_RETURN_IF_ERROR(InThreads(parts, [](Part& part) { return part.Sum(); }));
  int64_t total = 0;
  std::optional<Sketch> sketch = parts[0].TakeSketch();
  for (size_t i = 0; i < parts.size(); ++i) {
    total += parts[i].total();
    if (i > 0) sketch->Add(parts[i].TakeSketch());
  }
  if (total == 0 || total > kMaxTotal) return absl::UnimplementedError("no sum for a sketch");
  JPROF_ASSIGN_OR_RETURN(const int64_t nodes, sketch->Hashes());
  const WideCells wide(*sketch, total);
  sketch.reset();
  JPROF_RETURN_IF_ERROR(
      InThreads(parts, [&](Part& part) { return part.Grow(wide, max_nodes); }));

  LabelFacts facts;
  parts[0].Tell(facts);
  for (; parts.size() > 1; parts.pop_back()) {
    parts.back().Tell(facts);
    JPROF_RETURN_IF_ERROR(parts[0].Merge(parts.back(), max_nodes));
  }
  return std::move(parts[0]).Finish(nodes, facts);
}

}  // namespace jprof
