#include "import/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "import/frame_text.h"
#include "import/profile_copy.h"

namespace jprof {
namespace {

// Of a type in both profiles.
struct Pair {
  size_t before;
  size_t after;
};

std::string Text(const ValueType& type) { return absl::StrCat(type.type, "/", type.unit); }

std::string Text(const std::vector<ValueType>& types) {
  std::string text;
  for (const ValueType& type : types) absl::StrAppend(&text, text.empty() ? "" : ", ", Text(type));
  return text;
}

// The one to show first.
std::vector<Pair> CommonTypes(const Profile& before, const Profile& after) {
  std::vector<Pair> pairs;
  for (size_t a = 0; a < after.sample_types.size(); ++a) {
    for (size_t b = 0; b < before.sample_types.size(); ++b) {
      if (Text(before.sample_types[b]) != Text(after.sample_types[a])) continue;
      pairs.push_back({b, a});
      break;
    }
  }
  if (pairs.empty()) return pairs;
  auto first = std::prev(pairs.end());
  const std::optional<size_t> counted = CountedType(after, first->after);
  if (counted && CountedType(before, first->before)) {
    first = std::find_if(pairs.begin(), first, [&](const Pair& p) { return p.after == *counted; });
  }
  std::rotate(pairs.begin(), first, std::next(first));
  return pairs;
}

// Where the functions of a name in a file begin.
using FunctionKey = std::tuple<absl::string_view, absl::string_view, FrameKind>;
struct Beginning {
  const Function* function;
  bool is_one = true;  // whether all of them begin in that line
};

FunctionKey KeyOf(const Profile& p, const Function& f) {
  return {p.String(f.name), p.String(f.file), f.kind};
}

absl::flat_hash_map<FunctionKey, Beginning> Beginnings(const Profile& p) {
  absl::flat_hash_map<FunctionKey, Beginning> beginnings;
  for (const Function& f : p.functions) {
    const auto [it, added] = beginnings.try_emplace(KeyOf(p, f), Beginning{&f});
    it->second.is_one = it->second.is_one && it->second.function->start_line == f.start_line;
  }
  return beginnings;
}

// A function that only begins in another line than before is the one that it was. Where a file has
// several of one name, the line tells which.
void FindMoved(const Profile& before, const Profile& after, ProfileBuilder& builder,
               ProfileCopy& copy) {
  const auto old = Beginnings(before), now = Beginnings(after);
  for (uint32_t i = 0; i < before.functions.size(); ++i) {
    const FunctionKey key = KeyOf(before, before.functions[i]);
    const auto it = now.find(key);
    if (it == now.end() || !it->second.is_one || !old.find(key)->second.is_one) continue;
    const Function& f = *it->second.function;
    if (f.start_line == before.functions[i].start_line) continue;
    copy.Replace(FunctionId{i},
                 builder.AddFunction(after.String(f.name), after.String(f.system_name),
                                     after.String(f.file), f.start_line, f.kind));
  }
}

// The process that all samples are of.
std::optional<absl::string_view> OnlyProcess(const Profile& p) {
  std::optional<absl::string_view> only;
  for (const ProfileSample& s : p.samples) {
    const absl::string_view name = p.String(p.threads[s.thread.value].process_name);
    if (only && *only != name) return std::nullopt;
    only = name;
  }
  return only;
}

}  // namespace

absl::StatusOr<Profile> Compare(const Profile& before, const Profile& after) {
  if (BaseType(before) || BaseType(after)) {
    return absl::InvalidArgumentError("one of them is a comparison already");
  }
  const std::vector<Pair> pairs = CommonTypes(before, after);
  if (pairs.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("they measure nothing in common: ", Text(before.sample_types), " and ",
                     Text(after.sample_types)));
  }
  std::vector<ValueType> types;
  for (const Pair& p : pairs) types.push_back(after.sample_types[p.after]);
  for (size_t i = 0; i < pairs.size(); ++i) {
    types.push_back(
        {i == 0 ? kBaseType : absl::StrCat(kBaseType, "_", types[i].type), types[i].unit});
  }
  ProfileBuilder builder(std::move(types), after.period_type, after.period);
  builder.SetTitle(absl::StrCat(after.title.empty() ? "after" : after.title, ", compared with ",
                                before.title.empty() ? "before" : before.title));
  builder.SetTimes(after.start_time_ns, after.duration_ns);
  builder.ShowLines(after.show_lines && before.show_lines);
  for (const std::string& comment : after.comments)
    builder.AddComment(absl::StrCat("after: ", comment));
  for (const std::string& comment : before.comments) {
    builder.AddComment(absl::StrCat("before: ", comment));
  }
  std::vector<int64_t> values(pairs.size() * 2);
  ProfileCopy after_copy(after, builder), before_copy(before, builder);
  if (!builder.profile().show_lines) FindMoved(before, after, builder, before_copy);
  // Programs rename their main thread from version to version, and some formats have no names. What
  // is one process on both sides is not what changed.
  const auto process = OnlyProcess(after), old_process = OnlyProcess(before);
  if (process && old_process && *process != *old_process) {
    const absl::string_view shown = process->empty() ? *old_process : *process;
    after_copy.SetProcess(shown);
    before_copy.SetProcess(shown);
    if (!process->empty() && !old_process->empty()) {
      builder.AddComment(absl::StrCat("before: process ", *old_process, " is shown as ", shown));
    }
  }
  auto add = [&](const Profile& from, ProfileCopy& copy, bool is_base) {
    for (size_t i = 0; i < from.samples.size(); ++i) {
      const ProfileSample& s = from.samples[i];
      std::fill(values.begin(), values.end(), 0);
      for (size_t t = 0; t < pairs.size(); ++t) {
        values[t + (is_base ? pairs.size() : 0)] =
            std::max<int64_t>(from.Value(i, is_base ? pairs[t].before : pairs[t].after), 0);
      }
      AddSample(builder, s.time_ns, copy.Thread(s.thread), s.cpu, copy.Stack(s.stack), values);
    }
  };
  add(after, after_copy, false);
  add(before, before_copy, true);
  return std::move(builder).Build();
}

std::vector<FunctionChange> FunctionChanges(const Profile& p) {
  const size_t base = BaseType(p).value_or(0);
  struct Sums {
    __int128 before = 0;
    __int128 after = 0;
  };
  Sums all;
  absl::flat_hash_map<StackId, Sums> stacks;
  for (size_t i = 0; i < p.samples.size(); ++i) {
    const int64_t after = p.Value(i, 0), before = p.Value(i, base);
    all.after += after;
    all.before += before;
    if (!p.samples[i].stack.valid()) continue;
    Sums& sums = stacks[p.samples[i].stack];
    sums.after += after;
    sums.before += before;
  }
  auto share = [](__int128 part, __int128 whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
  };

  std::vector<FunctionChange> changes;
  std::vector<std::pair<Sums, Sums>> functions;  // by change: self, total
  absl::flat_hash_map<std::string, uint32_t> by_text;
  absl::flat_hash_map<std::pair<FunctionId, uint32_t>, uint32_t> by_line;
  absl::flat_hash_set<uint32_t> seen;
  for (const auto& [leaf, sums] : stacks) {
    seen.clear();
    for (StackId s = leaf; s.valid(); s = p.stacks[s.value].caller) {
      for (const Line& line : p.Lines(p.locations[p.stacks[s.value].location.value])) {
        auto [it, added] = by_line.try_emplace(
            std::pair(line.function, p.show_lines ? line.line : 0), changes.size());
        if (added) {
          std::string text = FunctionText(p, p.functions[line.function.value], line.line);
          it->second = by_text.try_emplace(text, changes.size()).first->second;
          if (it->second == changes.size()) {
            changes.push_back({std::move(text)});
            functions.emplace_back();
          }
        }
        auto& [self, total] = functions[it->second];
        if (seen.empty()) {
          self.before += sums.before;
          self.after += sums.after;
        }
        if (!seen.insert(it->second).second) continue;
        total.before += sums.before;
        total.after += sums.after;
      }
    }
  }
  for (size_t i = 0; i < changes.size(); ++i) {
    const auto& [self, total] = functions[i];
    changes[i].self_before = share(self.before, all.before);
    changes[i].self_after = share(self.after, all.after);
    changes[i].total_before = share(total.before, all.before);
    changes[i].total_after = share(total.after, all.after);
  }
  // Equal growth that is rounded in different ways is equal.
  auto key = [](const FunctionChange& change) { return std::llround(1e9 * change.self_growth()); };
  std::sort(changes.begin(), changes.end(), [&](const FunctionChange& a, const FunctionChange& b) {
    return key(a) != key(b) ? key(a) > key(b) : a.text < b.text;
  });
  return changes;
}

}  // namespace jprof
