// The part of `inlines` that is compiled with the version of DWARF before: many programs have both,
// and they keep their address ranges in different sections.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace {

struct Shelf {
  std::string label;
  std::vector<int> boxes;
  int Weight() const {
    int weight = 0;
    for (int box : boxes) weight += box % 11 > 5 ? box : -box;
    return weight;
  }
  bool operator<(const Shelf& other) const { return Weight() < other.Weight(); }
};

}  // namespace

int Shelve(int seed) {
  std::map<std::string, Shelf> shelves;
  for (int i = 0; i < 40; ++i) {
    Shelf& shelf = shelves[std::to_string((seed + i) % 17)];
    shelf.label += static_cast<char>('a' + i % 26);
    shelf.boxes.push_back(seed * i % 101);
  }
  std::vector<Shelf> sorted;
  for (auto& [label, shelf] : shelves) sorted.push_back(std::move(shelf));
  std::stable_sort(sorted.begin(), sorted.end());
  std::reverse(sorted.begin(), sorted.end());
  auto heavy = std::partition(sorted.begin(), sorted.end(),
                              [](const Shelf& shelf) { return shelf.Weight() > 20; });
  return static_cast<int>(heavy - sorted.begin()) + sorted.front().Weight();
}
