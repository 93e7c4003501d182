// Much inlined code of several files, in -O2 -g: templates of the standard library, methods, local
// functions, lambdas. Runs until it is killed.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace shop {

class Item {
 public:
  Item(std::string name, int price) : name_(std::move(name)), price_(price) {}
  const std::string& name() const { return name_; }
  int price() const { return price_; }
  bool operator<(const Item& other) const {
    return price_ != other.price_ ? price_ < other.price_ : name_ < other.name_;
  }

 private:
  std::string name_;
  int price_;
};

namespace {

inline int Halve(int price) { return price / 2; }
inline int Reduced(const Item& item) { return Halve(item.price()) + item.price() % 7; }

std::string Word(std::mt19937& random) {
  std::string word;
  for (int i = 0; i < 8; ++i) word.push_back(static_cast<char>('a' + random() % 26));
  return word;
}

}  // namespace

template <typename Compare>
void SortBy(std::vector<Item>& items, Compare compare) {
  std::sort(items.begin(), items.end(), compare);
}

struct Stock {
  std::vector<Item> items;
  std::map<std::string, std::set<int>> prices;
  std::unordered_map<std::string, std::shared_ptr<Item>> by_name;

  void Fill(int count, uint32_t seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < count; ++i) {
      Item item(Word(random), static_cast<int>(random() % 1000));
      prices[item.name().substr(0, 2)].insert(item.price());
      by_name[item.name()] = std::make_shared<Item>(item);
      items.push_back(std::move(item));
    }
  }
  int Total() const {
    return std::accumulate(items.begin(), items.end(), 0,
                           [](int sum, const Item& item) { return sum + Reduced(item); });
  }
};

}  // namespace shop

int Trade(uint32_t seed) {
  shop::Stock stock;
  stock.Fill(2000, seed);
  shop::SortBy(stock.items, [](const shop::Item& a, const shop::Item& b) { return b < a; });
  shop::SortBy(stock.items, std::less<>());
  std::string out;
  for (const shop::Item& item : stock.items) {
    if (stock.by_name.count(item.name()) != 0) out += item.name() + ' ';
  }
  std::function<int(int)> twice = [&](int n) { return 2 * n + static_cast<int>(out.size()); };
  return stock.Total() + twice(3);
}

int Shelve(int seed);   // in inlines_older.cc
int Arrange(int seed);  // in inlines_plain.cc

int main() {
  std::puts("ready");
  std::fflush(stdout);
  volatile int total = 0;
  for (uint32_t seed = 1;; ++seed) {
    const int small = static_cast<int>(seed % 1000);
    total = total + Trade(seed) + Shelve(small) + Arrange(small);
  }
}
