// Counts words, to be profiled: `words ordered` in a std::map, `words hashed` in a
// std::unordered_map. Ends after 4 s of CPU time. To be compiled without frame pointers, as Debian
// compiles its packages:
//
//   g++ -O2 -g -fomit-frame-pointer demo/words.cc -o words
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <random>
#include <regex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using Counts = std::vector<std::pair<std::string, int>>;

std::vector<std::string> MakeLines(std::mt19937& random) {
  std::vector<std::string> lines;
  for (int i = 0; i < 2000; ++i) {
    std::string line;
    for (int j = 0; j < 12; ++j) line += "word" + std::to_string(random() % 5000) + " ";
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> Split(const std::string& line) {
  std::vector<std::string> words;
  size_t begin = 0;
  for (size_t end; (end = line.find(' ', begin)) != std::string::npos; begin = end + 1) {
    words.push_back(line.substr(begin, end - begin));
  }
  return words;
}

template <typename Map>
Counts Count(const std::vector<std::string>& lines) {
  Map counts;
  for (const std::string& line : lines) {
    for (const std::string& word : Split(line)) ++counts[word];
  }
  return Counts(counts.begin(), counts.end());
}

void SortByCount(Counts& counts) {
  std::sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
}

size_t Matching(const Counts& counts, const std::regex& pattern) {
  size_t matching = 0;
  for (size_t i = 0; i < counts.size(); i += 20) {
    if (std::regex_match(counts[i].first, pattern)) ++matching;
  }
  return matching;
}

}  // namespace

int main(int argc, char** argv) {
  const bool hashed = argc > 1 && std::strcmp(argv[1], "hashed") == 0;
  const std::regex pattern("word[0-9]*7");
  std::mt19937 random(1);
  size_t matching = 0;
  while (std::clock() < 4 * CLOCKS_PER_SEC) {
    const std::vector<std::string> lines = MakeLines(random);
    Counts counts = hashed ? Count<std::unordered_map<std::string, int>>(lines)
                           : Count<std::map<std::string, int>>(lines);
    SortByCount(counts);
    matching += Matching(counts, pattern);
  }
  std::printf("%zu\n", matching);
  return 0;
}
