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
// What takes the time is memory that is not in the processor's cache: a file in any order leads to
// another place with each frame. So paths are looked up, not frames one below the other: of most
// stacks all is known but the last frame or two, whatever their depth. In the first reading a part
// of all paths is known at a time, those that were met lately and those that stacks have in common;
// what is below them is gathered there and goes into the sketch when there are too many (Settle).
// And what the stacks of one Read will need is fetched for all of them before it is looked at.
//
// Sources are read side by side, each into its own sketch, names and tree, which are merged.
#include "export/pruned_tree.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
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
#include "profiler/core/key_table.h"
#include "profiler/core/large_array.h"
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
  Sketch() : sums_(kCells) {}
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
    const double empty = static_cast<double>(std::count(sums_.begin(), sums_.end(), 0u));
    if (empty < kMinEmpty) return absl::UnimplementedError("too many nodes for the sketch");
    return std::llround(all * std::log(all / empty));
  }

 private:
  static constexpr uint32_t kMany = UINT32_MAX;  // or more
  static void Raise(uint32_t& sum, int64_t weight) {
    sum = weight < kMany - sum ? sum + static_cast<uint32_t>(weight) : kMany;
  }

  LargeArray<uint32_t> sums_;
};

// The cells that may hold a node which is drawn.
class WideCells {
 public:
  WideCells(const Sketch& sketch, int64_t total) : bits_(kCells / 64) {
    const int64_t least = LeastWide(total);
    for (size_t i = 0; i < kCells; ++i) {
      bits_[i / 64] |= uint64_t{sketch.Bound(i) >= least} << i % 64;
    }
  }
  bool Has(uint64_t hash) const {
    const size_t cell = CellOf(hash);
    return (bits_[cell / 64] >> cell % 64 & 1) != 0;
  }

 private:
  // The least that is not thin.
  static int64_t LeastWide(int64_t total) {
    int64_t thin = 0, wide = total;
    while (wide - thin > 1) {
      const int64_t middle = thin + (wide - thin) / 2;
      (FlameLayout::IsThin(middle, total) ? thin : wide) = middle;
    }
    return wide;
  }

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
  explicit Part(StackSource& source) : source_(source), known_(kMaxKnown) {}

  absl::Status Sum() {
    source_.Rewind();
    for (;;) {
      JPROF_ASSIGN_OR_RETURN(const Stacks stacks, source_.Read());
      if (stacks.empty()) break;
      JPROF_RETURN_IF_ERROR(SumStacks(stacks));
    }
    Settle();
    summed_ = {};
    known_.Clear();
    return absl::OkStatus();
  }

  Sketch TakeSketch() { return std::move(sketch_); }

  // `wide`: of all parts.
  absl::Status Grow(const WideCells& wide, size_t max_nodes) {
    source_.Rewind();
    std::array<uint32_t, StackSource::kMaxRead> nodes;
    for (;;) {
      JPROF_ASSIGN_OR_RETURN(const Stacks stacks, source_.Read());
      if (stacks.empty()) return absl::OkStatus();
      for (const StackSource::Stack& stack : stacks) {
        for (uint64_t path : stack.paths) known_.Expect(path);
      }
      for (size_t i = 0; i < stacks.size(); ++i) {
        JPROF_ASSIGN_OR_RETURN(nodes[i], GrowPath(i, stacks[i].paths, wide));
        JPROF_RETURN_IF_ERROR(CheckNodes(tree_, max_nodes));
        tree_.Expect(nodes[i]);
      }
      for (size_t i = 0; i < stacks.size(); ++i) tree_.AddSelf(nodes[i], stacks[i].weight);
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
  using Stacks = std::span<const StackSource::Stack>;
  static constexpr size_t kMaxKnown = size_t{1} << 16;  // paths, beside those of one Read

  struct Frame {
    uint64_t hash;  // of the label
    uint32_t label;
    CodeKind kind;
    bool inlined;
  };
  // A path that is known, and what was gathered there since the last Settle: of stacks that end
  // below it.
  struct Summed {
    uint64_t path = 0;
    uint64_t hash = 0;
    int64_t weight = 0;
    uint32_t stacks = 0;
    uint32_t caller = 0;
    CodeKind kind = CodeKind::kBase;
  };
  // A node of the tree. Value: as known_ has it.
  struct Grown {
    uint32_t node = 0;
    bool thin = false;

    static Grown Of(uint32_t value) { return {value >> 1, (value & 1) != 0}; }
    uint32_t Value() const { return node << 1 | (thin ? 1 : 0); }
  };

  absl::Status SumStacks(Stacks stacks) {
    size_t frames = 0;
    for (const StackSource::Stack& stack : stacks) {
      const std::span<const uint64_t> callers = CallersOf(stack);
      for (uint64_t path : callers) known_.Expect(path);
      frames += callers.size();
    }
    if (summed_.size() + frames > kMaxKnown) Settle();
    std::array<Found, StackSource::kMaxRead> found;
    for (size_t i = 0; i < stacks.size(); ++i) {
      found[i] = FindSummed(CallersOf(stacks[i]));
      __builtin_prefetch(&summed_[found[i].at]);
    }
    // Most stacks end at a path of their own, which need not be known.
    std::array<uint64_t, StackSource::kMaxRead> hashes;
    for (size_t i = 0; i < stacks.size(); ++i) {
      const int64_t weight = stacks[i].weight;
      if (weight > kMaxTotal - total_) return absl::UnimplementedError("too large a weight");
      total_ += weight;
      Summed& caller = summed_[AddCallers(i, CallersOf(stacks[i]), found[i])];
      caller.weight += weight;
      ++caller.stacks;
      const Frame& leaf = FrameOf(i, stacks[i].paths.size() - 1);
      hashes[i] = HashOf(caller.hash, leaf.hash);
      sketch_.Expect(hashes[i]);
      const CodeKind kind = PictureTree::KindBelow(caller.kind, leaf.kind);
      executing_.Meet(kind);
      executing_.Add(leaf.label, leaf.inlined, kind, weight);
    }
    for (size_t i = 0; i < stacks.size(); ++i) sketch_.Add(hashes[i], stacks[i].weight);
    return absl::OkStatus();
  }

  static std::span<const uint64_t> CallersOf(const StackSource::Stack& stack) {
    return stack.paths.first(stack.paths.size() - 1);
  }

  // The deepest of these paths that is known.
  struct Found {
    uint32_t at = 0;  // in summed_
    size_t depth = 0;
  };
  Found FindSummed(std::span<const uint64_t> paths) const {
    Found found = {.at = 0, .depth = paths.size()};
    while (found.depth > 0 && (found.at = known_.Find(paths[found.depth - 1])) == 0) --found.depth;
    return found;
  }

  // Where the weight of what is called from these is gathered.
  uint32_t AddCallers(size_t stack, std::span<const uint64_t> paths, Found found) {
    uint32_t at = found.at;
    for (size_t depth = found.depth; depth < paths.size(); ++depth) {
      // A stack that was read with this one may have added it.
      if (const uint32_t known = known_.Find(paths[depth]); known != 0) {
        at = known;
        continue;
      }
      const Frame& frame = FrameOf(stack, depth);
      const Summed& caller = summed_[at];
      const CodeKind kind = PictureTree::KindBelow(caller.kind, frame.kind);
      executing_.Meet(kind);
      summed_.push_back({.path = paths[depth],
                         .hash = HashOf(caller.hash, frame.hash),
                         .caller = at,
                         .kind = kind});
      at = static_cast<uint32_t>(summed_.size() - 1);
      known_.Add(paths[depth], at);
    }
    return at;
  }

  // Sums up what was gathered. Paths that several stacks had in common stay known: they are likely
  // to be met again.
  void Settle() {
    constexpr size_t kAhead = 16;
    size_t common = 0;
    // A caller is always older than its callees.
    for (size_t i = summed_.size(); i-- > 1;) {
      if (i > kAhead) {
        sketch_.Expect(summed_[i - kAhead].hash);
        __builtin_prefetch(&summed_[summed_[i - kAhead].caller]);
      }
      const Summed& path = summed_[i];
      sketch_.Add(path.hash, path.weight);
      summed_[path.caller].weight += path.weight;
      summed_[path.caller].stacks += path.stacks;
      if (path.stacks > 1) ++common;
    }
    const uint32_t min_stacks = common <= kMaxKnown / 2 ? 2 : UINT32_MAX;
    known_.Clear();
    std::vector<uint32_t> kept_as(summed_.size());
    uint32_t kept = 0;
    for (size_t i = 1; i < summed_.size(); ++i) {
      if (summed_[i].stacks < min_stacks) continue;
      Summed& path = summed_[kept_as[i] = ++kept] = summed_[i];
      path.caller = kept_as[path.caller];
      path.weight = path.stacks = 0;
      known_.Add(path.path, kept);
    }
    summed_.resize(1 + kept);
    summed_[0] = {};
  }

  // The node at which a stack with these paths ends, or is thin.
  absl::StatusOr<uint32_t> GrowPath(size_t stack, std::span<const uint64_t> paths,
                                    const WideCells& wide) {
    // Several texts may be one label: there may be more paths than nodes.
    if (known_.size() + paths.size() > kMaxKnown + tree_.size()) known_.Clear();
    Grown at;
    for (size_t depth = 0; depth < paths.size() && !at.thin; ++depth) {
      if (const uint32_t known = known_.Find(paths[depth]); known != 0) {
        at = Grown::Of(known);
        continue;
      }
      const uint32_t number = source_.FrameAt(stack, depth);
      if (number >= frames_.size()) return absl::AbortedError("changed while it was read");
      const Frame& frame = frames_[number];
      const uint64_t hash = HashOf(hashes_[at.node], frame.hash);
      at.node = tree_.Child(at.node, frame.label);
      hashes_.resize(tree_.size() + 1, hash);
      // Above the deepest level nothing is left out: there all is counted, thin or not.
      at.thin = depth <= kMaxSvgDepth && !wide.Has(hash);
      known_.Add(paths[depth], at.Value());
    }
    return at.node;
  }

  const Frame& FrameOf(size_t stack, size_t depth) {
    const uint32_t number = source_.FrameAt(stack, depth);
    if (number == frames_.size()) AddFrame(number);
    return frames_[number];
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

  StackSource& source_;
  Sketch sketch_;
  KeyTable known_;  // paths: of summed_, then of nodes (Grown)
  std::vector<Summed> summed_ = {Summed()};  // the first is the root
  std::vector<Frame> frames_;  // by number
  GrowingTree tree_;
  std::vector<uint64_t> hashes_ = {0};  // of the paths to its nodes
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
