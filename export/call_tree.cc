#include "export/call_tree.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "export/growing_tree.h"

namespace jprof {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

// Puts the samples of a profile into a tree.
class SampleTree {
 public:
  SampleTree(const Profile& profile, const CallTree::Options& options)
      : profile_(profile), options_(options) {}

  CallTree Build() && {
    AddSamples();
    if (options_.max_path_bytes > 0) {
      tree_.CutLongPaths(options_.max_path_bytes, options_.cut_label);
    }
    return std::move(tree_).Finish(std::move(sample_nodes_));
  }

 private:
  void AddSamples() {
    sample_nodes_.resize(profile_.samples.size());
    node_of_stack_.assign(profile_.stacks.size(), kNone);
    StringId process;
    uint32_t root = 0;
    for (uint32_t i : ByProcess()) {
      const ProfileSample& sample = profile_.samples[i];
      const StringId name = profile_.threads[sample.thread.value].process_name;
      if (name != process) {
        process = name;
        root = tree_.Child(0, tree_.Intern(options_.process_label(profile_.String(process))));
        for (StackId s : found_) node_of_stack_[s.value] = kNone;
        found_.clear();
      }
      const uint32_t node = sample.stack.valid() ? NodeOf(root, sample.stack) : root;
      const int64_t base = options_.base_type ? profile_.Value(i, *options_.base_type) : 0;
      tree_.AddSelf(node, std::max<int64_t>(profile_.Value(i, options_.sample_type), 0),
                    std::max<int64_t>(base, 0));
      sample_nodes_[i] = node;
    }
  }

  uint32_t LabelOf(const Line& line, bool inlined) {
    const uint32_t number = profile_.show_lines ? line.line : 0;
    auto [it, added] = label_of_.try_emplace(std::tuple(line.function, number, inlined), 0);
    if (added) {
      const Function& function = profile_.functions[line.function.value];
      it->second = tree_.Intern(options_.frame_label(function, number, inlined));
    }
    return it->second;
  }

  // The samples' numbers, those of a process together, processes and their samples as they come.
  std::vector<uint32_t> ByProcess() const {
    absl::flat_hash_map<StringId, uint32_t> numbers;
    std::vector<uint32_t> begins, process_of(profile_.samples.size());
    for (size_t i = 0; i < process_of.size(); ++i) {
      const StringId name = profile_.threads[profile_.samples[i].thread.value].process_name;
      process_of[i] =
          numbers.try_emplace(name, static_cast<uint32_t>(numbers.size())).first->second;
      begins.resize(numbers.size() + 1);
      ++begins[process_of[i] + 1];
    }
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    std::vector<uint32_t> order(process_of.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[begins[process_of[i]]++] = i;
    return order;
  }

  // The node of a stack in the process whose node is `process`; callers that were met before are
  // looked up, not walked.
  uint32_t NodeOf(uint32_t process, StackId stack) {
    walk_.clear();
    uint32_t node = process;
    for (StackId s = stack; s.valid(); s = profile_.stacks[s.value].caller) {
      if (node_of_stack_[s.value] != kNone) {
        node = node_of_stack_[s.value];
        break;
      }
      walk_.push_back(s);
    }
    for (; !walk_.empty(); walk_.pop_back()) {
      StackId s = walk_.back();
      std::span<const Line> lines =
          profile_.Lines(profile_.locations[profile_.stacks[s.value].location.value]);
      for (size_t i = lines.size(); i-- > 0;) {
        node = tree_.Child(node, LabelOf(lines[i], i + 1 < lines.size()),
                           options_.by_line ? lines[i].line : 0);
      }
      node_of_stack_[s.value] = node;
      found_.push_back(s);
    }
    return node;
  }

  const Profile& profile_;
  const CallTree::Options& options_;
  GrowingTree tree_;
  // By function, line if it is shown, whether it is inlined.
  absl::flat_hash_map<std::tuple<FunctionId, uint32_t, bool>, uint32_t> label_of_;
  // Of the process whose samples are being added; kNone: not yet found.
  std::vector<uint32_t> node_of_stack_;
  std::vector<StackId> found_;
  std::vector<StackId> walk_;
  std::vector<uint32_t> sample_nodes_;
};

}  // namespace

CallTree CallTree::Build(const Profile& profile, const Options& options) {
  return SampleTree(profile, options).Build();
}

}  // namespace jprof
